"""The M-step: a mixture's parameters from sufficient statistics."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.em.component_restart import repair
from tfp_gmnvp.em.covariance_floor import capped_variance
from tfp_gmnvp.em.statistics import SufficientStatistics, as_statistics
from tfp_gmnvp.mixtures import (
    CovarianceStructure,
    MixtureParameters,
    Prior,
    assign_parameters,
    covariance_structure,
    mixture_parameters,
    mixture_structure,
)

__all__ = ["m_step", "maximization", "points_variance", "positive_variance", "total_variance"]


def maximization(
    statistics: SufficientStatistics,
    covariance_type: str | CovarianceStructure,
    *,
    covariance_floor: float = 0.0,
    prior: Prior | None = None,
    dtype: tf.DType | None = None,
) -> MixtureParameters:
    """The M-step: the parameters that maximise the expected log-likelihood.

        pi_k = mass_k / sum_j mass_j,    mu_k = c_k + d_k,    d_k = first_k / mass_k
        Sigma_k = second_k / mass_k - d_k d_k^T

    The floor bounds covariances from below, in every direction (entry by entry on the diagonal), by
    `covariance_floor` times the points' total variance (without outliers, see `robust`). The
    maximum under this constraint is Sigma_k with its smaller eigenvalues raised to the bound, so
    that EM under the floor never lowers the likelihood. The step of 'low_rank' is that of
    `factor_analysis`, with the floor on its variances.

    Args:
      statistics: the statistics of all points.
      covariance_type: one of `COVARIANCE_TYPES`, or a structure.
      covariance_floor: relative to the points' variance, so without unit. Even at 0 no variance is
        below the resolution of the dtype; see `CovarianceStructure.resolution`.
      prior: of weights and covariances, for the maximum of their posterior; `None` for none.
      dtype: dtype that the mixture is evaluated in; `None` for that of the statistics.

    Returns:
      `MixtureParameters` in the dtype of the statistics. A component without mass stays
      at its reference point, with the smallest valid covariance.

    #### Examples

    >>> from tfp_gmnvp.em import sufficient_statistics
    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "spherical")
    >>> parameters = maximization(statistics, "spherical")
    >>> parameters.loc.numpy().tolist(), parameters.covariance.numpy().tolist()
    ([[1.0]], [1.0])
    """
    structure = covariance_structure(covariance_type)
    mass, step, parameters = _maximum(statistics, structure)
    if covariance_floor or prior is not None:
        variance = _variance(parameters, statistics, mass, step, structure)
    if prior is not None:
        parameters = prior.posterior_mode(parameters, tf.reduce_sum(mass), variance, structure)
    _, loc, covariance = parameters
    floor = structure.resolution(covariance, loc, tf.as_dtype(dtype or loc.dtype))
    if covariance_floor:
        variance = _without_outliers(variance, parameters, structure)
        floor = tf.maximum(floor, covariance_floor * variance)
    return parameters._replace(covariance=structure.lift(covariance, floor))


def _maximum(statistics, structure):
    """The positive masses, the new means minus the centers, and the parameters."""
    reference, mass, first, second = statistics
    tiny = np.finfo(mass.dtype.as_numpy_dtype).tiny
    mass = tf.maximum(mass, tiny)
    probs = tf.maximum(mass / tf.reduce_sum(mass), tiny)  # with a finite logarithm
    step = first / mass[:, tf.newaxis]
    covariance = structure.m_step(reference, mass, second, step)
    return mass, step, MixtureParameters(probs, structure.centers(reference) + step, covariance)


def _variance(parameters, statistics, mass, step, structure):
    """The points' variance `[D]`."""
    probs, loc, covariance = parameters
    within = structure.points_variances(covariance, mass, statistics.second, step)
    return _total(probs, loc, within)


def total_variance(
    parameters: MixtureParameters, covariance_type: str | CovarianceStructure
) -> tf.Tensor:
    """Computes the total variance of a mixture, entry by entry; always positive.

    After an M-step it is the variance of the points, whatever the responsibilities; except for
    structures that keep only a part of the points' variance, see `points_variance`.

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
    return _total(probs, loc, covariance_structure(covariance_type).variances(covariance))


def _without_outliers(variance, parameters, structure):
    probs, loc, covariance = parameters
    if loc.shape[0] == 1:
        return variance
    center = tf.reduce_sum(probs[:, tf.newaxis] * loc, axis=0)
    capped = capped_variance(variance, probs, loc, structure.variances(covariance))
    return positive_variance(capped, center)


def positive_variance(variance: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """Bounds a variance of points away from zero.

    The bound of an almost constant entry is a millionth of the mean variance, or the resolution of
    the dtype at the center. Other entries are unchanged, however small: they may have any units.

    Args:
      variance: of each entry, `[D]`.
      center: the points' mean, `[D]`.

    Returns:
      A tensor `[D]`.

    #### Examples

    >>> variance = positive_variance(tf.constant([0.0, 2.0]), tf.zeros([2]))
    >>> [f"{entry:.0e}" for entry in variance.numpy()]
    ['1e-06', '2e+00']
    """
    rounding = np.finfo(variance.dtype.as_numpy_dtype).eps * center
    resolved = tf.maximum(tf.square(rounding), 1e-30)
    smallest = tf.maximum(1e-6 * tf.reduce_mean(variance), resolved)
    return tf.where(variance > resolved, variance, smallest)


def points_variance(
    statistics: SufficientStatistics, covariance_type: str | CovarianceStructure
) -> tf.Tensor:
    """Computes the variance of points from their statistics, entry by entry; always positive.

    Args:
      statistics: of all points.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      A tensor `[D]`; for 'spherical' the variance within components is their mean over entries.

    #### Examples

    >>> from tfp_gmnvp.em import sufficient_statistics
    >>> z = tf.constant([[0.0], [2.0]])
    >>> statistics = sufficient_statistics(z, tf.ones([2, 1]), tf.zeros([1, 1]), "diag")
    >>> points_variance(statistics, "diag").numpy().tolist()
    [1.0]
    """
    structure = covariance_structure(covariance_type)
    mass, step, parameters = _maximum(statistics, structure)
    return _variance(parameters, statistics, mass, step, structure)


def _total(probs, loc, within):
    """Computes the total variance from the variance within components and that of their means."""
    center = tf.reduce_sum(probs[:, tf.newaxis] * loc, axis=0)
    variance = tf.reduce_sum(probs[:, tf.newaxis] * (within + tf.square(loc - center)), axis=0)
    return positive_variance(variance, center)


def m_step(
    mixture,
    statistics: SufficientStatistics,
    worst_z: tf.Tensor,
    *,
    covariance_floor: float = 0.0,
    prior: Prior | None = None,
    current: MixtureParameters | None = None,
    min_share: float | tf.Tensor = 1e-3,
) -> None:
    """Updates a mixture by an M-step, and repairs collapsed components.

    The mixture is unchanged if the points have no mass, or if the bijector has diverged. So the
    loss shows the divergence, for example to `TerminateOnNaN`, instead of an error of the
    eigenvalue decomposition.

    Args:
      mixture: the mixture of the latents, whose variables are assigned.
      statistics: of all points; their mass is their weight against the prior.
      worst_z: the latents of lowest log-density, `[M, D]`.
      covariance_floor: see `maximization`.
      prior: see `maximization`.
      current: the mixture's current parameters; `None` reads them.
      min_share: see `repair`.

    #### Examples

    >>> from tfp_gmnvp.em import e_step
    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(2, 1, seed=0)
    >>> batch = e_step(mixture, tf.constant([[1.0], [3.0]]))
    >>> m_step(mixture, batch.statistics, batch.worst_z)
    >>> mixture.mean().numpy().round(3).tolist()
    [2.0]
    """
    structure = mixture_structure(mixture)
    current = current or mixture_parameters(mixture)
    is_step = _have_mass(statistics)
    parameters = maximization(
        _select(is_step, statistics, as_statistics(current, structure)),
        structure,
        covariance_floor=covariance_floor,
        prior=prior,
        dtype=mixture.dtype,
    )
    parameters = repair(parameters, worst_z, structure, min_share=min_share)
    assign_parameters(mixture, _select(is_step, parameters, current))


def _have_mass(statistics):
    """Whether the statistics are finite and have mass."""
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(s)) for s in statistics])
    return is_finite & tf.reduce_any(statistics.mass > 0)


def _select(predicate, values, others):
    """Selects values where the predicate is true, else the others, in the dtype of the values."""
    pairs = zip(values, others, strict=True)
    return type(values)(*(tf.where(predicate, a, tf.cast(b, a.dtype)) for a, b in pairs))
