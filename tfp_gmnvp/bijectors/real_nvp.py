"""Real NVP: a stack of couplings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_choice, check_whole_number, did_you_mean
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.bijectors.act_norm import ActNorm
from tfp_gmnvp.bijectors.affine import Affine
from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.coupling import Coupling, split_sizes
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.bijectors.linear import LULinear
from tfp_gmnvp.bijectors.networks.constant import Constant
from tfp_gmnvp.bijectors.networks.mlp import MLP, TrackedConditioner
from tfp_gmnvp.bijectors.networks.residual import ResidualMLP
from tfp_gmnvp.bijectors.permutation import Permutation
from tfp_gmnvp.bijectors.spline import RationalQuadratic

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
    normalization: str | None = None,
    mixing: str = "permutation",
    conditioner: str = "mlp",
    dropout: float = 0.0,
    l2: float = 0.0,
    conditioner_fn: Callable[..., Callable] | None = None,
    context_size: int = 0,
    dtype=tf.float32,
    seed=None,
    name: str = "real_nvp",
) -> tfb.Bijector:
    """Builds a Real NVP: couplings, each of which transforms the part that the last one kept.

    `x = forward(z)` maps latents to data; the paper's f is `inverse` (Dinh, Sohl-Dickstein and
    Bengio 2017, arXiv:1605.08803). Between pairs of couplings the entries are permuted, in the
    same way in every flow of these sizes, and the last permutation restores their order. So the
    pairs see different partitions (with D > 2), and the untrained bijector is the identity.

    Args:
      event_size: size D of the vectors. With D = 1 a coupling keeps nothing that a network could
        read: its parameters depend on the context alone, or are constants without one. Then
        `coupling="spline"` is a flow; affine couplings are one affine map.
      num_couplings: number of coupling layers, at least 1; from 2 on every entry is transformed.
      hidden_units: widths of each conditioner's hidden layers.
      activation: of the hidden layers; a callable, a name in `tf.nn` or `tf.math`, or "sine" or a
        `Sine`, with which couplings fit sharp edges better where there are many points, but
        overfit tables of a few hundred rows.
      coupling: the elementwise transform: `"affine"`, `"spline"`, or an `Affine` or
        `RationalQuadratic` with your own settings, or another `CouplingTransform`.
      max_log_scale: for `coupling="affine"`, bound on the absolute log-scale, in nats per
        dimension; `None` for 1.5.
      normalization: `"act_norm"` for an `ActNorm` on the data side of each coupling, or `None`.
      mixing: `"permutation"` for fixed permutations, or `"lu"` for an `LULinear` instead of each,
        which starts as that permutation, and one more on the data side.
      conditioner: `"mlp"` for an `MLP`, `"residual"` for a `ResidualMLP`.
      dropout: share of the hidden units that training steps of a `FlowModel` set to zero.
      l2: weight of the sum of the conditioners' squared kernels, which a `FlowModel` adds to its
        training loss.
      conditioner_fn: builds a conditioner, instead of `conditioner`: called once per coupling as
        `conditioner_fn(input_size, output_size)`, it returns a callable from `[N, input_size]` to
        `[N, output_size]`, for example a Keras layer. The coupling starts as the identity if
        that callable starts at zero. With a `context_size` its input is the part that is kept,
        followed by the context, and `input_size` is the size of both.
      context_size: size C of a context `[..., C]` that every conditioner also reads, and that all
        calls then require: `forward(z, context=c)`, `log_prob(x, bijector_kwargs={"context": c})`.
        It should have about unit scale. 0 for none.
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
    4
    """
    check_whole_number("event_size", event_size)
    check_whole_number("num_couplings", num_couplings)
    check_whole_number("context_size", context_size, 0)
    coupling = _coupling(coupling, max_log_scale)
    seeds = tfp.random.split_seed(stateless_seed(seed), n=int(num_couplings) + 1)
    build = _builder(
        conditioner,
        conditioner_fn,
        reads_nothing=event_size == 1 and not context_size,
        hidden_units=hidden_units,
        activation=activation,
        context_size=int(context_size),
        dropout=dropout,
        l2=l2,
    )
    couplings = []
    for i in range(num_couplings):
        first_moves = bool(i % 2) and event_size > 1
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
    mix = _named("mixing", mixing, {"permutation": _permutation, "lu": _linear})
    normalize = _named("normalization", normalization, {None: _nothing, "act_norm": _act_norm})
    pairs = [couplings[i : i + 2] for i in range(0, len(couplings), 2)]
    return SinglePassChain(_arranged(pairs, event_size, mix, normalize, dtype), name=name)


def _coupling(coupling, max_log_scale):
    """Returns the transform of a name."""
    if isinstance(coupling, str) and coupling == "affine":
        return Affine() if max_log_scale is None else Affine(max_log_scale)
    if max_log_scale is not None:
        raise ValueError(
            f'`max_log_scale` requires `coupling="affine"`, got `coupling={coupling!r}`.'
        )
    if isinstance(coupling, str) and coupling == "spline":
        return RationalQuadratic()
    if isinstance(coupling, CouplingTransform):
        return coupling
    raise ValueError(
        '`coupling` must be "affine", "spline" or a `CouplingTransform` such as '
        f"`RationalQuadratic()`, got {coupling!r}." + did_you_mean(coupling, ["affine", "spline"])
    )


def _builder(conditioner, conditioner_fn, context_size, reads_nothing, **settings):
    """Returns a function that builds a conditioner from its sizes."""
    if not (conditioner_fn is None or callable(conditioner_fn)):
        raise TypeError(f"`conditioner_fn` must be callable, got {conditioner_fn!r}.")
    networks = {"mlp": MLP, "residual": ResidualMLP}
    if conditioner_fn is None:
        build = _named("conditioner", conditioner, networks)
        if reads_nothing:
            build(1, 1, **settings)  # which checks the settings
            return _constant
        return functools.partial(build, context_size=context_size, **settings)
    if reads_nothing:
        raise ValueError(
            "`conditioner_fn` has nothing to read where `event_size` is 1 and there is no "
            "`context_size`: remove it."
        )
    for name in ("dropout", "l2"):
        if settings[name]:
            raise ValueError(f"`{name}` has no effect on a `conditioner_fn`: remove one of them.")
    return functools.partial(_tracked, conditioner_fn, context_size)


def _constant(input_size, output_size, *, dtype, seed, name):
    return Constant(output_size, dtype=dtype, name=name)


def _named(argument, name, choices):
    check_choice(argument, name, choices)
    return choices[name]


def _arranged(pairs, event_size, mix, normalize, dtype):
    """Permutes the entries before each pair of couplings, and restores their order at the end.

    The permutations depend on the sizes alone, not on the seed of the weights: saved weights fit a
    flow with another seed.
    """
    natural = order = np.arange(event_size)
    bijectors = []
    for number, pair in enumerate(pairs):
        new_order = _order(number, event_size)
        bijectors += mix(_reorder(order, new_order), dtype, f"mixing_{number}")
        for i, coupling in enumerate(pair):
            bijectors += normalize(event_size, dtype, f"act_norm_{2 * number + i}")
            bijectors.append(coupling)
        order = new_order
    return [*bijectors, *_permutation(_reorder(order, natural), dtype, "natural_order")]


def _order(number, event_size):
    """The order of the entries in a pair: the natural one in the first, and with two entries."""
    if number == 0 or event_size == 2:
        return np.arange(event_size)
    keys = tf.random.stateless_uniform([event_size], seed=[number - 1, event_size])
    return np.argsort(keys.numpy())


def _permutation(permutation, dtype, name):
    """A fixed permutation, unless it would be the identity."""
    is_identity = np.array_equal(permutation, np.arange(len(permutation)))
    return [] if is_identity else [Permutation(permutation)]


def _linear(permutation, dtype, name):
    return [LULinear(len(permutation), permutation=permutation, dtype=dtype, name=name)]


def _act_norm(event_size, dtype, name):
    return [ActNorm(event_size, dtype=dtype, name=name)]


def _nothing(event_size, dtype, name):
    return []


def _reorder(old, new):
    """The permutation that `forward` takes from the order `old` to the order `new`."""
    return np.argsort(new)[old].astype(np.int32)


def _tracked(conditioner_fn, context_size, input_size, output_size, *, dtype, seed, name):
    del seed  # users seed their own conditioners
    input_size += context_size
    return TrackedConditioner(
        conditioner_fn(input_size, output_size),
        input_size,
        output_size,
        context_size=context_size,
        dtype=dtype,
        name=name,
    )
