"""Initialises the mixture for `fit_mixture`, by the best of several k-means++ starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared.seeds import stateless_seed

__all__ = ["is_untrained", "start_from_latents"]

_MOST_ROWS = 20_000


def is_untrained(mixture) -> bool:
    """Whether a mixture still has its initial weights, means and covariances.

    #### Examples

    >>> is_untrained(mixtures.gaussian_mixture(2, 1, seed=0))
    True
    """
    components = mixture.components_distribution
    logits = tf.convert_to_tensor(mixture.mixture_distribution.logits)
    if hasattr(components, "scale_tril"):
        scale = tf.convert_to_tensor(components.scale_tril)
        unit = tf.eye(scale.shape[-1], dtype=scale.dtype)
    else:
        scale, unit = tf.convert_to_tensor(components.scale_diag), 1.0
    start = getattr(components, "untrained_loc", None)
    if start is None:
        return False
    pairs = ((logits, 0.0), (scale, unit), (components.loc, start))
    return all(bool(tf.reduce_all(tf.equal(a, b))) for a, b in pairs)


def start_from_latents(
    mixture, latents: Sequence[tuple], *, covariance_floor: float, prior, n_init: int, seed
) -> None:
    """Initialises a mixture by `initial_parameters` on a sample of at most 20,000 latents.

    Labelled latents are sampled first.

    Args:
      mixture: made by `gaussian_mixture` or `gated_mixture`.
      latents: for each batch, latents `[n, D]`, labels `[n]` or `None` and weights `[n]` or `None`.
      covariance_floor: see `em.maximization`.
      prior: see `em.maximization`.
      n_init: number of starts; the best one is kept.
      seed: integer or stateless seed `[2]`.

    Raises:
      ValueError: if there are fewer points than components.

    #### Examples

    >>> mixture, z = mixtures.gaussian_mixture(2, 1), tf.constant([[0.0], [0.2], [9.0], [9.2]])
    >>> settings = {"covariance_floor": 1e-4, "prior": None, "n_init": 1, "seed": 0}
    >>> start_from_latents(mixture, [(z, None, None)], **settings)
    >>> sorted(mixture.components_distribution.loc.numpy().astype(float).round(1).ravel().tolist())
    [0.1, 9.1]
    """
    z, labels, sample_weight = (
        None if column[0] is None else np.concatenate(column)
        for column in zip(*latents, strict=True)
    )
    seed = stateless_seed(seed)
    rows = _sample(len(z), labels, sample_weight, seed)
    components = mixture.components_distribution
    parameters = em.initial_parameters(
        tf.constant(z[rows], tf.float64),
        components.batch_shape[-1],
        components.covariance_type,
        rank=getattr(components, "rank", None),
        seed=seed,
        n_init=n_init,
        covariance_floor=covariance_floor,
        prior=prior,
        sample_weight=None if sample_weight is None else tf.constant(sample_weight[rows]),
        labels=None if labels is None else tf.constant(labels[rows]),
        dtype=mixture.dtype,
    )
    mixtures.assign_initial_parameters(mixture, parameters)


def _sample(num_points, labels, sample_weight, seed):
    rows = np.arange(num_points) if sample_weight is None else np.flatnonzero(sample_weight > 0)
    if len(rows) <= _MOST_ROWS:
        return rows
    rows = np.random.default_rng(seed.numpy().astype(np.uint32)).permutation(rows)
    if labels is not None:
        rows = rows[np.argsort(labels[rows] < 0, kind="stable")]
    return np.sort(rows[:_MOST_ROWS])
