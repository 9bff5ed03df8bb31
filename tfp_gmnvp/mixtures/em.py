"""EM for Gaussian mixtures: E-step, sufficient statistics, M-step, as pure functions of tensors.

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

import numpy as np
import tensorflow as tf

from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.triangular import inverse_tril

__all__ = [
    "MixtureParameters",
    "SufficientStatistics",
    "add",
    "as_statistics",
    "expectation",
    "maximization",
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


def expectation(log_joint: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The E-step: `r_nk = pi_k N(z_n | mu_k, Sigma_k) / p(z_n)`.

    Args:
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.

    Returns:
      The responsibilities `[N, K]`, and log p(z_n) `[N]` in nats.

    #### Examples

    >>> responsibilities, log_prob = expectation(tf.math.log([[0.1, 0.3]]))
    >>> responsibilities.numpy().round(3).tolist()
    [[0.25, 0.75]]
    """
    return tf.nn.softmax(log_joint), tf.reduce_logsumexp(log_joint, axis=-1)


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
    loc, covariance = _parts(reference, covariance_type)
    deviation = z - loc[:, tf.newaxis]  # [K, N, D]
    weighted = weights * deviation
    if covariance_type == "full":
        second = tf.matmul(weighted, deviation, transpose_a=True)
    elif covariance_type == "tied":
        second = tf.einsum("kni,knj->ij", weighted, deviation)
    elif covariance_type == "low_rank":
        second = factor_analysis.second_moments(deviation, weighted, covariance)
    else:
        second = tf.reduce_sum(weighted * deviation, axis=1)
    mass = tf.reduce_sum(weights, axis=[1, 2])
    return SufficientStatistics(reference, mass, tf.reduce_sum(weighted, axis=1), second)


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


def _parts(reference, covariance_type):
    """Means, and where the statistics need them the covariances."""
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


def maximization(
    statistics: SufficientStatistics, covariance_type: str, *, covariance_floor: float = 0.0
) -> MixtureParameters:
    """The M-step: the parameters that best explain the statistics.

        pi_k = mass_k / sum_j mass_j,    mu_k = c_k + d_k,    d_k = first_k / mass_k
        Sigma_k = second_k / mass_k - d_k d_k^T

    Among covariances that are at least `covariance_floor` times the points' total variance in
    every direction (entry by entry on the diagonal), the maximum is that Sigma_k with its
    smaller eigenvalues lifted; so that EM under the floor still never lowers the likelihood.
    The step of 'low_rank' is that of `factor_analysis`, with the floor on its variances.

    Args:
      statistics: the statistics of all points.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      covariance_floor: relative to the points' variance, so without unit; 0 for none.

    Returns:
      `MixtureParameters` in the dtype of the statistics. A component without mass stays
      at its reference point, with the smallest covariance there is.

    #### Examples

    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "spherical")
    >>> parameters = maximization(statistics, "spherical")
    >>> parameters.loc.numpy().tolist(), parameters.covariance.numpy().tolist()
    ([[1.0]], [1.0])
    """
    mass = tf.maximum(statistics.mass, np.finfo(statistics.mass.dtype.as_numpy_dtype).tiny)
    total = tf.reduce_sum(mass)
    probs = mass / total
    step = statistics.first / mass[:, tf.newaxis]
    present_loc, present = _parts(statistics.reference, covariance_type)
    loc = present_loc + step
    if covariance_type == "low_rank":
        second = statistics.second / mass[:, tf.newaxis, tf.newaxis]
        covariance = factor_analysis.loadings_step(second, step, present)
    else:
        covariance = _covariance(statistics.second, mass, step, covariance_type)
    if covariance_floor:
        variance = _total_variance(probs, loc, covariance, covariance_type)
        covariance = _lift(covariance, covariance_floor * variance, covariance_type)
    return MixtureParameters(probs, loc, covariance)


def _covariance(second, mass, step, covariance_type):
    if covariance_type == "full":
        outer = step[:, :, tf.newaxis] * step[:, tf.newaxis, :]
        return second / mass[:, tf.newaxis, tf.newaxis] - outer
    if covariance_type == "tied":
        between = tf.einsum("k,ki,kj->ij", mass, step, step)
        return (second - between) / tf.reduce_sum(mass)
    variance = second / mass[:, tf.newaxis] - tf.square(step)
    return variance if covariance_type == "diag" else tf.reduce_mean(variance, axis=-1)


def _total_variance(probs, loc, covariance, covariance_type):
    """The variance of all points, entry by entry, `[D]`; never quite zero."""
    within = {
        "full": tf.linalg.diag_part,
        "tied": lambda c: tf.linalg.diag_part(c)[tf.newaxis],
        "diag": tf.identity,
        "spherical": lambda c: c[:, tf.newaxis],
        "low_rank": lambda c: c[..., 0] + tf.reduce_sum(tf.square(c[..., 1:]), axis=-1),
    }[covariance_type](covariance)
    center = tf.reduce_sum(probs[:, tf.newaxis] * loc, axis=0)
    variance = tf.reduce_sum(probs[:, tf.newaxis] * (within + tf.square(loc - center)), axis=0)
    smallest = tf.maximum(1e-6 * tf.reduce_mean(variance), 1e-30)
    return tf.maximum(variance, smallest)


def _lift(covariance, floor, covariance_type):
    """The nearest covariance, in likelihood, that is nowhere below `diag(floor)`."""
    if covariance_type == "spherical":
        return tf.maximum(covariance, tf.reduce_mean(floor))
    if covariance_type == "diag":
        return tf.maximum(covariance, floor)
    if covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        return factor_analysis.pack(tf.maximum(variance, floor), loadings)
    stddev = tf.sqrt(floor)
    unit = stddev[:, tf.newaxis] * stddev
    in_units = covariance / unit
    return tf.cond(
        _are_above_one(in_units), lambda: covariance, lambda: _lift_to_one(in_units) * unit
    )


def _are_above_one(matrices):
    """Whether all eigenvalues surely are, by a Cholesky factor: a bound far cheaper than they are.

        lambda_min(S) >= 1 / tr((S + j I)^-1) - j,    tr((S + j I)^-1) = |L^-1|^2

    The shift j lets rounding push no eigenvalue of S + j I below zero.
    """
    identity = tf.eye(matrices.shape[-1], dtype=matrices.dtype)
    shift = 0.5 + 1e-4 * tf.linalg.trace(matrices)[..., tf.newaxis, tf.newaxis]
    scale_tril = tf.linalg.cholesky(matrices + shift * identity)
    trace = tf.reduce_sum(tf.square(inverse_tril(scale_tril)), axis=[-2, -1], keepdims=True)
    return tf.reduce_all((1.0 + shift) * trace <= 1.0)


def _lift_to_one(matrices):
    eigenvalues, eigenvectors = tf.linalg.eigh(matrices)
    lifted = eigenvectors * tf.maximum(eigenvalues, 1.0)[..., tf.newaxis, :]
    return tf.matmul(lifted, eigenvectors, transpose_b=True)
