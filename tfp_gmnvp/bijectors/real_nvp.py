"""The stack of couplings that is a Real NVP."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.affine import Affine
from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.conditioners import MLP, TrackedConditioner
from tfp_gmnvp.bijectors.coupling import Coupling, split_sizes
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.bijectors.spline import RationalQuadratic
from tfp_gmnvp.seeds import stateless_seed

__all__ = ["real_nvp"]

tfb = tfp.bijectors


def real_nvp(
    event_size: int,
    num_couplings: int = 8,
    hidden_units: Sequence[int] = (64, 64),
    *,
    activation: str | Callable = "silu",
    coupling: str | CouplingTransform = "affine",
    max_log_scale: float | None = None,
    conditioner_fn: Callable[..., Callable] | None = None,
    dtype=tf.float32,
    seed=None,
    name: str = "real_nvp",
) -> tfb.Bijector:
    """A Real NVP: affine couplings, each of which moves the part that the last one kept.

    `x = forward(z)` maps latents to data; the paper's f is `inverse` (Dinh, Sohl-Dickstein and
    Bengio 2017, arXiv:1605.08803). Between pairs of couplings the entries are shuffled, the same
    way in every flow of these sizes, and at the end put back, so that the pairs see different
    partitions (with D > 2) and the whole is the identity until it is trained.

    Args:
      event_size: size D >= 2 of the vectors.
      num_couplings: number of coupling layers, at least 1; from 2 on every entry moves.
      hidden_units: widths of each conditioner's hidden layers.
      activation: of the hidden layers; a callable, or a name in `tf.nn` or `tf.math`.
      coupling: what moves a part: `"affine"`, `"spline"`, or an `Affine` or `RationalQuadratic`
        with settings of your own, or another `CouplingTransform`.
      max_log_scale: for `coupling="affine"`, bound on the absolute log-scale, in nats per
        dimension; `None` for 1.5.
      conditioner_fn: builds a conditioner, in place of `MLP`: called once per coupling as
        `conditioner_fn(input_size, output_size)`, it returns a callable from `[N, input_size]` to
        `[N, output_size]`, a Keras layer for one. The coupling starts as the identity where
        that callable starts at zero.
      dtype: float dtype of the vectors and variables.
      seed: integer or stateless seed `[2]` of the conditioners' initial values.
      name: prefix of the operations' and variables' names.

    Returns:
      A `tfb.Bijector` of vectors `[..., D]`, with all its variables in `variables`.

    Raises:
      ValueError: if an argument is out of its range.

    #### Examples

    >>> bijector = real_nvp(event_size=3, num_couplings=4, seed=0)
    >>> bijector.forward([1.0, 2.0, 3.0]).numpy().tolist()
    [1.0, 2.0, 3.0]
    >>> len(bijector.trainable_variables)
    24
    """
    split_sizes(event_size)
    if not isinstance(num_couplings, numbers.Integral) or num_couplings < 1:
        raise ValueError(f"`num_couplings` must be a whole number >= 1, got {num_couplings!r}.")
    coupling = _coupling(coupling, max_log_scale)
    seeds = tfp.random.split_seed(stateless_seed(seed), n=int(num_couplings) + 1)
    if conditioner_fn is None:
        build = functools.partial(MLP, hidden_units=hidden_units, activation=activation)
    else:
        build = functools.partial(_tracked, conditioner_fn)
    couplings = []
    for i in range(num_couplings):
        first_moves = bool(i % 2)
        still, moving = (
            reversed(split_sizes(event_size)) if first_moves else split_sizes(event_size)
        )
        couplings.append(
            Coupling(
                build(
                    still,
                    coupling.num_parameters * moving,
                    dtype=dtype,
                    seed=seeds[i],
                    name=f"conditioner_{i}",
                ),
                event_size,
                first_moves=first_moves,
                bijector_fn=coupling,
                dtype=dtype,
                name=f"coupling_{i}",
            )
        )
    return SinglePassChain(_permuted_in_pairs(couplings, event_size), name=name)


def _coupling(coupling, max_log_scale):
    """The object that a name stands for."""
    if coupling == "affine":
        return Affine() if max_log_scale is None else Affine(max_log_scale)
    if max_log_scale is not None:
        raise ValueError(
            f'`max_log_scale` goes with `coupling="affine"` alone, got `coupling={coupling!r}`.'
        )
    if coupling == "spline":
        return RationalQuadratic()
    if isinstance(coupling, CouplingTransform):
        return coupling
    raise ValueError(
        '`coupling` must be "affine", "spline" or a `CouplingTransform` such as '
        f"`RationalQuadratic()`, got {coupling!r}."
    )


def _permuted_in_pairs(couplings, event_size):
    """Puts each pair of couplings but the first between a permutation and its inverse.

    The permutations hang on the sizes alone, not on the seed of the weights: weights that were
    saved from a flow of one seed are right in a flow of another.
    """
    if event_size == 2:
        return couplings
    pairs = [couplings[i : i + 2] for i in range(0, len(couplings), 2)]
    bijectors, order = pairs[0], np.arange(event_size)
    for number, pair in enumerate(pairs[1:]):
        keys = tf.random.stateless_uniform([event_size], seed=[number, event_size])
        new_order = np.argsort(keys.numpy())
        bijectors = [*bijectors, _reorder(order, new_order), *pair]
        order = new_order
    return [*bijectors, _reorder(order, np.arange(event_size))] if len(pairs) > 1 else bijectors


def _reorder(old, new):
    """The permutation that undoes the order `old` and takes up the order `new`, going forward."""
    return tfb.Permute(np.argsort(new)[old].astype(np.int32))


def _tracked(conditioner_fn, input_size, output_size, *, dtype, seed, name):
    del seed  # a conditioner of the user's is the user's to seed
    conditioner = conditioner_fn(input_size, output_size)
    return TrackedConditioner(conditioner, input_size, output_size, dtype=dtype, name=name)
