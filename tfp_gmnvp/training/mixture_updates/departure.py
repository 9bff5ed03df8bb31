"""Tests whether the means of a batch differ from the mixture's by more than sampling noise."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp import em
from tfp_gmnvp.training.devices import replicas

__all__ = ["Departure", "departure", "share_beyond_noise"]

_STANDARD_DEVIATIONS = 3.0


class Departure(NamedTuple):
    """Statistics of the difference between a batch's means and the mixture's: sums over points.

    Attributes:
      whitened: `L_k^-1 sum_n w_n r_nk (z_n - mu_k)`, `[K, D]`.
      mass: `sum_n w_n r_nk`, `[K]`.
      squares: `sum_n w_n^2`.

    #### Examples

    >>> Departure(tf.zeros([2, 1]), tf.ones([2]), tf.constant(2.0)).squares.numpy().item()
    2.0
    """

    whitened: tf.Tensor
    mass: tf.Tensor
    squares: tf.Tensor


def departure(mixture, statistics: em.SufficientStatistics, sample_weight) -> Departure:
    """Computes the `Departure` of one batch.

    Args:
      mixture: the mixture of the latents.
      statistics: the sufficient statistics of the batch, about the mixture's means.
      sample_weight: weights `[N]` of the points, or `None`.

    #### Examples

    >>> from tfp_gmnvp import mixtures
    >>> mixture = mixtures.gaussian_mixture(1, 1)
    >>> statistics = em.sufficient_statistics(
    ...     tf.constant([[1.0], [3.0]]), tf.ones([2, 1]), tf.zeros([1, 1]), "full")
    >>> departure(mixture, statistics, None).whitened.numpy().tolist()
    [[4.0]]
    """
    components = mixture.components_distribution
    total = tf.reduce_sum(statistics.mass)
    whitened = components.whiten_sums(statistics.first)
    squares = total if sample_weight is None else tf.reduce_sum(tf.square(sample_weight))
    return Departure(whitened, statistics.mass, tf.cast(squares, total.dtype))


def share_beyond_noise(departure: Departure) -> tf.Tensor:
    """The share of a batch's departure that sampling noise does not explain, in [0, 1).

    If m_k is the mean of N_k points from N(mu_k, Sigma_k), then

        T = sum_k N_k (m_k - mu_k)^T Sigma_k^-1 (m_k - mu_k)

    has a chi-squared distribution with K D degrees of freedom. The noise is taken as its mean plus
    three standard deviations, c. The result is max(0, 1 - c / T), a shrinkage factor like that of
    the James-Stein estimator. The weights are scaled so that they add up to their effective number
    of points; so the result does not depend on their scale.

    Args:
      departure: the `Departure` of this replica's part of the batch.

    Returns:
      A scalar, equal on all replicas.

    #### Examples

    >>> from tfp_gmnvp import mixtures
    >>> mixture = mixtures.gaussian_mixture(1, 1)
    >>> def part(z):
    ...     statistics = em.sufficient_statistics(
    ...         z, tf.ones_like(z), tf.zeros([1, 1]), "full")
    ...     return share_beyond_noise(departure(mixture, statistics, None)).numpy().item()
    >>> f"{part(tf.ones([4, 1])):.2f}, {part(10.0 * tf.ones([4, 1])):.2f}"
    '0.00, 0.99'
    """
    whitened, mass, squares = replicas.sum_over_replicas(departure)
    distance = tf.math.divide_no_nan(tf.reduce_sum(tf.square(whitened), axis=-1), mass)
    distance = tf.reduce_sum(distance) * tf.math.divide_no_nan(tf.reduce_sum(mass), squares)
    freedom = whitened.shape.num_elements()
    by_chance = freedom + _STANDARD_DEVIATIONS * (2.0 * freedom) ** 0.5
    return 1 - by_chance / tf.maximum(distance, by_chance)
