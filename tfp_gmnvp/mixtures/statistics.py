"""Sufficient statistics of Gaussian mixtures, as pure functions of tensors.

The statistics of component k are taken about a reference point c_k, ordinarily its present mean:

    mass_k   = sum_n w_n r_nk
    first_k  = sum_n w_n r_nk (z_n - c_k)
    second_k = sum_n w_n r_nk (z_n - c_k)(z_n - c_k)^T

They are sums over points, so those of several batches (or of several devices) about the same
reference add up; and as the points lie about the reference, no digits cancel however far from the
origin they are.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp.mixtures import factor_analysis

__all__ = [
    "MixtureParameters",
    "SufficientStatistics",
    "add",
    "as_statistics",
    "parts",
    "reference_point",
    "scale",
    "sufficient_statistics",
]


class MixtureParameters(NamedTuple):
    """Weights, means and covariances of a Gaussian mixture.

    The covariances have shape `[K, D, D]` ('full'), `[D, D]` ('tied'), `[K, D]` ('diag') or
    `[K]` ('spherical'), as in scikit-learn; or `[K, D, 1 + R]` ('low_rank'), the variances before
    the loadings (see `factor_analysis`).

    #### Examples

    >>> MixtureParameters(probs=[1.0], loc=[[0.0, 0.0]], covariance=[1.0]).probs
    [1.0]
    """

    probs: tf.Tensor
    loc: tf.Tensor
    covariance: tf.Tensor


class SufficientStatistics(NamedTuple):
    """What the M-step needs to know of the points, about the reference points.

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
    covariance_type: str,
    *,
    sample_weight: tf.Tensor | None = None,
) -> SufficientStatistics:
    """Sums the statistics of points about the reference points.

    Args:
      z: points `[N, D]`.
      responsibilities: `[N, K]`.
      reference: the points c_k, `[K, D]`; for 'low_rank' a `reference_point`.
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
    loc, covariance = parts(reference, covariance_type)
    mass = tf.reduce_sum(weights, axis=[1, 2])
    deviation = z - loc[:, tf.newaxis]  # [K, N, D]
    if covariance_type == "full":  # both sums from one product
        both = _sum_of_products(tf.concat([weights, weights * deviation], -1), deviation)
        first, second = both[:, 0], both[:, 1:]
        return SufficientStatistics(reference, mass, first, second)
    first = _sum_of_products(weights, deviation)[:, 0]
    if covariance_type == "tied":
        second = tf.reduce_sum(_sum_of_products(weights * deviation, deviation), axis=0)
    elif covariance_type == "low_rank":
        second = factor_analysis.second_moments(deviation, weights, covariance)
    else:
        second = _sum_of_products(weights, tf.square(deviation))[:, 0]
    return SufficientStatistics(reference, mass, first, second)


def _sum_of_products(a, b):
    """sum_n a_ki b_kj: a product of matrices adds up in blocks, and so keeps float32's digits.

    `tf.reduce_sum` along N would add one row after another: 10^7 of them to two digits. Only where
    no axis comes after N does it halve them instead, while the product of two columns adds one
    after another on some processors.
    """
    if a.shape[-1] == b.shape[-1] == 1:
        return tf.reduce_sum(a * b, axis=[1, 2], keepdims=True)
    return tf.matmul(a, b, transpose_a=True)


def reference_point(parameters: MixtureParameters, covariance_type: str) -> tf.Tensor:
    """What the statistics are taken about: the means, and for 'low_rank' the covariances too.

    Args:
      parameters: of a mixture.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      The means `[K, D]`, or means, variances and loadings packed as `[K, D, 2 + R]`.

    #### Examples

    >>> parameters = MixtureParameters(tf.ones([1]), tf.zeros([1, 4]), tf.ones([1, 4, 3]))
    >>> reference_point(parameters, "low_rank").shape.as_list()
    [1, 4, 4]
    """
    if covariance_type != "low_rank":
        return parameters.loc
    return factor_analysis.pack(parameters.loc, parameters.covariance)


def parts(reference: tf.Tensor, covariance_type: str) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Means, and where the statistics need them the covariances, of a `reference_point`.

    #### Examples

    >>> parts(tf.zeros([1, 4]), "diag")[1] is None
    True
    """
    return factor_analysis.unpack(reference) if covariance_type == "low_rank" else (reference, None)


def add(a: SufficientStatistics, b: SufficientStatistics) -> SufficientStatistics:
    """The statistics of two sets of points together, about the same reference.

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
    """The statistics with every point's weight multiplied by `factor`.

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


def as_statistics(parameters: MixtureParameters, covariance_type: str) -> SufficientStatistics:
    """The statistics, of total mass one, from which the M-step gives these parameters.

        mass_k = pi_k,    first_k = 0,    second_k = pi_k Sigma_k,    about mu_k

    Args:
      parameters: of a mixture.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      `SufficientStatistics` about the means.

    #### Examples

    >>> parameters = MixtureParameters(tf.ones([1]), tf.ones([1, 1]), tf.constant([[4.0]]))
    >>> from tfp_gmnvp.mixtures.em import maximization
    >>> maximization(as_statistics(parameters, "diag"), "diag").covariance.numpy().tolist()
    [[4.0]]
    """
    probs, loc, covariance = parameters
    if covariance_type == "full":
        second = probs[:, tf.newaxis, tf.newaxis] * covariance
    elif covariance_type == "tied":
        second = covariance
    elif covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        total = variance + tf.reduce_sum(tf.square(loadings), axis=-1)
        second = probs[:, tf.newaxis, tf.newaxis] * factor_analysis.pack(total, loadings)
    else:
        variance = covariance if covariance_type == "diag" else covariance[:, tf.newaxis]
        second = probs[:, tf.newaxis] * variance + tf.zeros_like(loc)
    reference = reference_point(parameters, covariance_type)
    return SufficientStatistics(reference, probs, tf.zeros_like(loc), second)
