"""EM for Gaussian mixtures: E-step and M-step, as pure functions of tensors.

What goes from the one to the other are sums over points; see `mixtures.statistics`.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.covariance_floor import lift
from tfp_gmnvp.mixtures.priors import Prior
from tfp_gmnvp.mixtures.statistics import MixtureParameters, SufficientStatistics, parts

__all__ = ["above_zero", "expectation", "maximization", "points_variance", "total_variance"]


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
      The responsibilities `[N, K]`, and log p(z_n) `[N]` in nats. Where the log-joint is minus
      infinity for all components they share a point alike: it does not tell them apart, while
      `ordered_log_joint` does.

    #### Examples

    >>> responsibilities, log_prob = expectation(tf.math.log([[0.1, 0.3]]))
    >>> responsibilities.numpy().round(3).tolist()
    [[0.25, 0.75]]
    """
    log_prob = tf.reduce_logsumexp(log_joint, axis=-1)
    if isinstance(inverse_temperature, tf.Tensor) or inverse_temperature != 1:
        log_joint = tf.cast(inverse_temperature, log_joint.dtype) * log_joint
    is_far = tf.equal(log_prob, -np.inf)[..., tf.newaxis]
    return tf.nn.softmax(tf.where(is_far, tf.zeros_like(log_joint), log_joint)), log_prob


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
    The step of 'low_rank' is that of `factor_analysis`, with the floor on its variances.

    Args:
      statistics: the statistics of all points.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      covariance_floor: relative to the points' variance, so without unit; 0 for none.
      prior: of weights and covariances, whose posterior is maximized then; `None` for none.

    Returns:
      `MixtureParameters` in the dtype of the statistics. A component without mass stays
      at its reference point, with the smallest covariance there is.

    #### Examples

    >>> from tfp_gmnvp.mixtures import sufficient_statistics
    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "spherical")
    >>> parameters = maximization(statistics, "spherical")
    >>> parameters.loc.numpy().tolist(), parameters.covariance.numpy().tolist()
    ([[1.0]], [1.0])
    """
    tiny = np.finfo(statistics.mass.dtype.as_numpy_dtype).tiny
    mass = tf.maximum(statistics.mass, tiny)
    total = tf.reduce_sum(mass)
    probs = tf.maximum(mass / total, tiny)  # whose logarithm is finite
    step = statistics.first / mass[:, tf.newaxis]
    covariance = _covariance(statistics, mass, step, covariance_type)
    loc, _ = parts(statistics.reference, covariance_type)
    parameters = MixtureParameters(probs, loc + step, covariance)
    if covariance_floor or prior is not None:
        if covariance_type == "low_rank":
            variance = points_variance(statistics, covariance_type)
        else:
            variance = total_variance(parameters, covariance_type)
    if prior is not None:
        parameters = prior.posterior_mode(parameters, total, variance, covariance_type)
    if covariance_floor:
        lifted = lift(parameters.covariance, covariance_floor * variance, covariance_type)
        parameters = parameters._replace(covariance=lifted)
    return parameters


def total_variance(parameters: MixtureParameters, covariance_type: str) -> tf.Tensor:
    """The variance of a mixture's points, entry by entry; never quite zero.

    What an M-step gives has the variance of the points themselves, whatever the responsibilities;
    except for 'low_rank', see `points_variance`.

    Args:
      parameters: of a mixture.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

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
        "low_rank": lambda c: c[..., 0] + tf.reduce_sum(tf.square(c[..., 1:]), axis=-1),
    }[covariance_type](covariance)
    center = tf.reduce_sum(probs[:, tf.newaxis] * loc, axis=0)
    variance = tf.reduce_sum(probs[:, tf.newaxis] * (within + tf.square(loc - center)), axis=0)
    return above_zero(variance, center)


def above_zero(variance: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """A variance of points, and where they are all but equal what keeps it off zero.

    That is a millionth of the other entries', or what the dtype resolves about the center.

    Args:
      variance: of each entry, `[D]`.
      center: the points' mean, `[D]`.

    Returns:
      A tensor `[D]`.

    #### Examples

    >>> variance = above_zero(tf.constant([0.0, 2.0]), tf.zeros([2]))
    >>> [f"{entry:.0e}" for entry in variance.numpy()]
    ['1e-06', '2e+00']
    """
    rounding = np.finfo(variance.dtype.as_numpy_dtype).eps * center
    smallest = tf.maximum(1e-6 * tf.reduce_mean(variance), 1e-30)
    return tf.maximum(variance, tf.maximum(smallest, tf.square(rounding)))


def points_variance(statistics: SufficientStatistics, covariance_type: str) -> tf.Tensor:
    """The variance of the points that statistics sum up, entry by entry; never quite zero.

    Args:
      statistics: of all points.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      A tensor `[D]`; for 'spherical' the variance within components is their mean over entries.

    #### Examples

    >>> from tfp_gmnvp.mixtures import sufficient_statistics
    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "diag")
    >>> points_variance(statistics, "diag").numpy().tolist()
    [1.0]
    """
    if covariance_type == "low_rank":  # whose diagonal an M-step does not match
        loc, _ = parts(statistics.reference, covariance_type)
        statistics = statistics._replace(reference=loc, second=statistics.second[..., 0])
        covariance_type = "diag"
    return total_variance(maximization(statistics, covariance_type), covariance_type)


def _covariance(statistics, mass, step, covariance_type):
    reference, _, _, second = statistics
    if covariance_type == "low_rank":
        _, present = parts(reference, covariance_type)
        return factor_analysis.loadings_step(
            second / mass[:, tf.newaxis, tf.newaxis], step, present
        )
    if covariance_type == "full":
        outer = step[:, :, tf.newaxis] * step[:, tf.newaxis, :]
        return second / mass[:, tf.newaxis, tf.newaxis] - outer
    if covariance_type == "tied":
        between = tf.einsum("k,ki,kj->ij", mass, step, step)
        return (second - between) / tf.reduce_sum(mass)
    variance = second / mass[:, tf.newaxis] - tf.square(step)
    return variance if covariance_type == "diag" else tf.reduce_mean(variance, axis=-1)
