"""Sufficient statistics of Gaussian mixtures, as pure functions of tensors.

The statistics of component k are taken about a reference point c_k, usually its current mean:

    mass_k   = sum_n w_n r_nk
    first_k  = sum_n w_n r_nk (z_n - c_k)
    second_k = sum_n w_n r_nk (z_n - c_k)(z_n - c_k)^T

They are sums over points, so the statistics of several batches (or devices) about the same
reference add up. As the points lie near the reference, no digits cancel, however far from the
origin they are.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp.mixtures import CovarianceStructure, MixtureParameters, covariance_structure

__all__ = ["SufficientStatistics", "add", "as_statistics", "scale", "sufficient_statistics"]


class SufficientStatistics(NamedTuple):
    """The sufficient statistics of the points, about the reference points.

    `second` has shape `[K, D, D]` ('full'), `[D, D]` ('tied'), `[K, D]` ('diag', 'spherical') or
    `[K, D, 1 + R]` ('low_rank', see `factor_analysis.second_moments`).

    #### Examples

    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "full")
    >>> statistics.mass.numpy().tolist(), statistics.second.numpy().tolist()
    ([2.0], [[[4.0]]])
    """

    reference: tf.Tensor
    mass: tf.Tensor
    first: tf.Tensor
    second: tf.Tensor


def sufficient_statistics(
    z: tf.Tensor,
    responsibilities: tf.Tensor,
    reference: tf.Tensor,
    covariance_type: str | CovarianceStructure,
    *,
    sample_weight: tf.Tensor | None = None,
) -> SufficientStatistics:
    """Sums the statistics of points about the reference points.

    Args:
      z: points `[N, D]`.
      responsibilities: `[N, K]`.
      reference: the points c_k, `[K, D]`; or the `reference` of a structure.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      sample_weight: the points' weights w_n, `[N]`; `None` gives each the weight one.

    Returns:
      `SufficientStatistics` in the dtype of `z`.

    #### Examples

    >>> z = tf.constant([[9.0, 0.0], [11.0, 0.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.constant([[10.0, 0.0]]), "diag")
    >>> statistics.first.numpy().tolist(), statistics.second.numpy().tolist()
    ([[0.0, 0.0]], [[2.0, 0.0]])
    """
    weights = responsibilities
    if sample_weight is not None:
        weights = weights * tf.cast(sample_weight, z.dtype)[:, tf.newaxis]
    weights = tf.transpose(weights)[..., tf.newaxis]  # [K, N, 1]
    structure = covariance_structure(covariance_type)
    deviation = z - structure.centers(reference)[:, tf.newaxis]  # [K, N, D]
    mass = tf.reduce_sum(weights, axis=[1, 2])
    return SufficientStatistics(reference, mass, *structure.sums(weights, deviation, reference))


def add(a: SufficientStatistics, b: SufficientStatistics) -> SufficientStatistics:
    """Adds the statistics of two sets of points about the same reference.

    Args:
      a: statistics.
      b: statistics about the same reference points.

    Returns:
      The statistics of the union.

    #### Examples

    >>> z, ones, origin = tf.constant([[1.0], [3.0]]), tf.ones([2, 1]), tf.zeros([1, 1])
    >>> statistics = sufficient_statistics(z, ones, origin, "diag")
    >>> add(statistics, statistics).first.numpy().tolist()
    [[8.0]]
    """
    return SufficientStatistics(
        a.reference, a.mass + b.mass, a.first + b.first, a.second + b.second
    )


def scale(statistics: SufficientStatistics, factor: float | tf.Tensor) -> SufficientStatistics:
    """Scales statistics, as if every point's weight were multiplied by `factor`.

    Args:
      statistics: statistics.
      factor: a non-negative number.

    Returns:
      The statistics, scaled.

    #### Examples

    >>> statistics = sufficient_statistics(
    ...     tf.constant([[1.0]]), tf.ones([1, 1]), tf.zeros([1, 1]), "diag")
    >>> scale(statistics, 0.5).mass.numpy().tolist()
    [0.5]
    """
    reference, *sums = statistics
    return SufficientStatistics(reference, *(factor * total for total in sums))


def as_statistics(
    parameters: MixtureParameters, covariance_type: str | CovarianceStructure
) -> SufficientStatistics:
    """Computes statistics, of total mass one, whose M-step gives these parameters.

        mass_k = pi_k,    first_k = 0,    second_k = pi_k Sigma_k,    about mu_k

    Args:
      parameters: of a mixture.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      `SufficientStatistics` about the means.

    #### Examples

    >>> parameters = MixtureParameters(tf.ones([1]), tf.ones([1, 1]), tf.constant([[4.0]]))
    >>> from tfp_gmnvp.em import maximization
    >>> maximization(as_statistics(parameters, "diag"), "diag").covariance.numpy().tolist()
    [[4.0]]
    """
    probs, loc, covariance = parameters
    structure = covariance_structure(covariance_type)
    second = structure.second_moments(probs, loc, covariance)
    reference = structure.reference(loc, covariance)
    return SufficientStatistics(reference, probs, tf.zeros_like(loc), second)
