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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp.mixtures.covariance_floor import lift

if TYPE_CHECKING:
    from tfp_gmnvp.mixtures.priors import Prior

__all__ = [
    "MixtureParameters",
    "SufficientStatistics",
    "add",
    "as_statistics",
    "expectation",
    "maximization",
    "scale",
    "sufficient_statistics",
    "total_variance",
]


class MixtureParameters(NamedTuple):
    """Weights, means and covariances of a Gaussian mixture.

    The covariances have shape `[K, D, D]` ('full'), `[D, D]` ('tied'), `[K, D]` ('diag') or
    `[K]` ('spherical'), as in scikit-learn.

    #### Examples

    >>> MixtureParameters(probs=[1.0], loc=[[0.0, 0.0]], covariance=[1.0]).probs
    [1.0]
    """

    probs: tf.Tensor
    loc: tf.Tensor
    covariance: tf.Tensor


class SufficientStatistics(NamedTuple):
    """What the M-step needs to know of the points, about the reference points.

    `second` has shape `[K, D, D]` ('full'), `[D, D]` ('tied') or `[K, D]` ('diag', 'spherical').

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


def expectation(
    log_joint: tf.Tensor, *, inverse_temperature: float | tf.Tensor = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """The E-step: `r_nk = pi_k N(z_n | mu_k, Sigma_k) / p(z_n)`.

    Deterministic annealing takes them proportional to a power beta of the joint density instead,
    so that at first, beta being small, every component is responsible for every point (Ueda and
    Nakano 1998, "Deterministic annealing EM algorithm", eq. 11).

    Args:
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
      inverse_temperature: beta > 0.

    Returns:
      The responsibilities `[N, K]`, and log p(z_n) `[N]` in nats.

    #### Examples

    >>> responsibilities, log_prob = expectation(tf.math.log([[0.1, 0.3]]))
    >>> responsibilities.numpy().round(3).tolist()
    [[0.25, 0.75]]
    """
    log_prob = tf.reduce_logsumexp(log_joint, axis=-1)
    if isinstance(inverse_temperature, tf.Tensor) or inverse_temperature != 1:
        log_joint = tf.cast(inverse_temperature, log_joint.dtype) * log_joint
    return tf.nn.softmax(log_joint), log_prob


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
      reference: the points c_k, `[K, D]`.
      covariance_type: 'full', 'tied', 'diag' or 'spherical'.
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
    deviation = z - reference[:, tf.newaxis]  # [K, N, D]
    first = _sum_of_products(weights, deviation)[:, 0]
    if covariance_type == "full":
        second = _sum_of_products(weights * deviation, deviation)
    elif covariance_type == "tied":
        second = tf.einsum("kni,knj->ij", weights * deviation, deviation)
    else:
        second = _sum_of_products(weights, tf.square(deviation))[:, 0]
    mass = tf.reduce_sum(weights, axis=[1, 2])
    return SufficientStatistics(reference, mass, first, second)


def _sum_of_products(a, b):
    """sum_n a_ki b_kj: a product of matrices adds up in blocks, and so keeps float32's digits.

    `tf.reduce_sum` along N would add one row after another: 10^7 of them to two digits.
    """
    return tf.matmul(a, b, transpose_a=True)


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
      covariance_type: 'full', 'tied', 'diag' or 'spherical'.

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
    else:
        variance = covariance if covariance_type == "diag" else covariance[:, tf.newaxis]
        second = probs[:, tf.newaxis] * variance + tf.zeros_like(loc)
    return SufficientStatistics(loc, probs, tf.zeros_like(loc), second)


def maximization(
    statistics: SufficientStatistics,
    covariance_type: str,
    *,
    covariance_floor: float = 0.0,
    prior: Prior | None = None,
) -> MixtureParameters:
    """The M-step: the parameters that best explain the statistics.

        pi_k = mass_k / sum_j mass_j,    mu_k = c_k + d_k,    d_k = first_k / mass_k
        Sigma_k = second_k / mass_k - d_k d_k^T

    Among covariances that are at least `covariance_floor` times the points' total variance in
    every direction (entry by entry on the diagonal), the maximum is that Sigma_k with its
    smaller eigenvalues lifted; so that EM under the floor still never lowers the likelihood.

    Args:
      statistics: the statistics of all points.
      covariance_type: 'full', 'tied', 'diag' or 'spherical'.
      covariance_floor: relative to the points' variance, so without unit; 0 for none.
      prior: of weights and covariances, whose posterior is maximized then; `None` for none.

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
    loc = statistics.reference + step
    covariance = _covariance(statistics.second, mass, step, covariance_type)
    parameters = MixtureParameters(probs, loc, covariance)
    if covariance_floor or prior is not None:
        variance = total_variance(parameters, covariance_type)
    if prior is not None:
        parameters = prior.posterior_mode(parameters, total, variance, covariance_type)
    if covariance_floor:
        lifted = lift(parameters.covariance, covariance_floor * variance, covariance_type)
        parameters = parameters._replace(covariance=lifted)
    return parameters


def total_variance(parameters: MixtureParameters, covariance_type: str) -> tf.Tensor:
    """The variance of a mixture's points, entry by entry; never quite zero.

    What an M-step gives has the variance of the points themselves, whatever the responsibilities.

    Args:
      parameters: of a mixture.
      covariance_type: 'full', 'tied', 'diag' or 'spherical'.

    Returns:
      A tensor `[D]`.

    #### Examples

    >>> parameters = MixtureParameters(
    ...     tf.constant([0.5, 0.5]), tf.constant([[-2.0], [2.0]]), tf.ones([2]))
    >>> total_variance(parameters, "spherical").numpy().tolist()
    [5.0]
    """
    probs, loc, covariance = parameters
    within = {
        "full": tf.linalg.diag_part,
        "tied": lambda c: tf.linalg.diag_part(c)[tf.newaxis],
        "diag": tf.identity,
        "spherical": lambda c: c[:, tf.newaxis],
    }[covariance_type](covariance)
    center = tf.reduce_sum(probs[:, tf.newaxis] * loc, axis=0)
    variance = tf.reduce_sum(probs[:, tf.newaxis] * (within + tf.square(loc - center)), axis=0)
    smallest = tf.maximum(1e-6 * tf.reduce_mean(variance), 1e-30)
    return tf.maximum(variance, smallest)


def _covariance(second, mass, step, covariance_type):
    if covariance_type == "full":
        outer = step[:, :, tf.newaxis] * step[:, tf.newaxis, :]
        return second / mass[:, tf.newaxis, tf.newaxis] - outer
    if covariance_type == "tied":
        between = tf.einsum("k,ki,kj->ij", mass, step, step)
        return (second - between) / tf.reduce_sum(mass)
    variance = second / mass[:, tf.newaxis] - tf.square(step)
    return variance if covariance_type == "diag" else tf.reduce_mean(variance, axis=-1)
