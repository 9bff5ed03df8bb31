"""EM of many mixtures at once, each until it has converged."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.density.many_mixtures.groups import Groups
from tfp_gmnvp.density.many_mixtures.points import Points
from tfp_gmnvp.density.many_mixtures.structures import ManyCovariances

__all__ = ["Fit", "Settings", "e_step", "fit"]

_TINY = np.finfo(np.float64).tiny
_LOWEST = -600.0  # of logarithms of responsibilities: numbers that are smaller still are slow


class Settings(NamedTuple):
    """What the M-step is told of each mixture.

    Attributes:
      structure: of the covariances.
      floor: lower bound of the covariances, `[B, D]`.
      prior_points: how many points the prior on covariances counts for, `[B]`; 0 for none.
      prior_scatter: of those points, a diagonal, `[B, D]`.

    #### Examples

    >>> from tfp_gmnvp.density.many_mixtures import STRUCTURES
    >>> Settings(STRUCTURES["diag"], np.ones([3, 2]), np.zeros(3), np.zeros([3, 2])).of([0]).floor
    array([[1., 1.]])
    """

    structure: ManyCovariances
    floor: np.ndarray
    prior_points: np.ndarray
    prior_scatter: np.ndarray

    def of(self, mixtures) -> Settings:
        """The parts of some mixtures."""
        return Settings(self.structure, *(array[mixtures] for array in self[1:]))


class Fit(NamedTuple):
    """One mixture of K components.

    Attributes:
      probs: weights `[K]`.
      loc: means `[K, D]`, about the points' center.
      covariance: in the structure's shape.
      sums: of the features of each component's points, `[K, P]`: the next M-step's.
      log_prob: of each point, `[N]`, in nats; those of weight zero, too.
      objective: mean log-density of its points and the prior's part, in nats per point.

    #### Examples

    >>> Fit._fields[:3]
    ('probs', 'loc', 'covariance')
    """

    probs: np.ndarray
    loc: np.ndarray
    covariance: np.ndarray
    sums: np.ndarray
    log_prob: np.ndarray
    objective: float


def fit(
    points: Points,
    sizes: np.ndarray,
    sums: np.ndarray,
    settings: Settings,
    *,
    num_iterations: int,
    tolerance: float,
    expectation: Callable | None = None,
) -> list[Fit]:
    """EM of all mixtures; each that has converged is left as it is.

    Args:
      points: of all mixtures.
      sizes: their numbers of components, `[B]`.
      sums: of the features of each component's points at the start, `[M, P]`.
      settings: of the M-step.
      num_iterations: the most iterations.
      tolerance: the change of the objective, in nats per point, below which one has converged.
      expectation: what takes the place of `e_step`; `None` for that.

    Returns:
      A `Fit` for each mixture.

    #### Examples

    >>> from tfp_gmnvp.density.many_mixtures import STRUCTURES
    >>> z, structure = np.array([[0.0], [2.0]]), STRUCTURES["diag"]
    >>> points = Points(z, np.ones([1, 2]), structure.features)
    >>> settings = Settings(structure, np.full([1, 1], 1e-6), np.zeros(1), np.zeros([1, 1]))
    >>> sums = structure.features(points.z).sum(axis=0, keepdims=True)
    >>> (found,) = fit(points, [1], sums, settings, num_iterations=9, tolerance=1e-6)
    >>> found.covariance.tolist()
    [[1.0]]
    """
    groups, expectation = Groups(sizes), expectation or e_step
    found = [None] * len(groups.sizes)
    active, before = np.arange(len(found)), np.full(len(found), -np.inf)
    for iteration in range(num_iterations + 1):
        parameters = _m_step(sums, groups, settings)
        sums, log_prob = expectation(points, parameters, groups, settings.structure)
        objective = _objective(points, log_prob, parameters, groups, settings)
        # Negated, so that NaN ends the iterations.
        done = ~(objective - before >= tolerance) | (iteration == num_iterations)
        for b in np.flatnonzero(done):
            one = _parameters_of(b, parameters, groups, settings.structure)
            mine = groups.owner == b
            found[active[b]] = Fit(*one, sums[mine], log_prob[b], float(objective[b]))
        if done.all():
            break
        if done.any():
            sums = sums[~groups.of_components(done)]
            points, settings, active = points.of(~done), settings.of(~done), active[~done]
            groups = Groups(groups.sizes[~done])
        before = objective[~done]
    return found


def _m_step(sums, groups, settings):
    """Weights, means and covariances of all components from the sums of their features."""
    structure, floor, points, scatter = settings
    size = floor.shape[1]
    mass = np.maximum(sums[:, 0], _TINY)
    probs = np.maximum(mass / groups.of_components(groups.sums(mass)), _TINY)
    means = sums[:, 1:] / mass[:, np.newaxis]
    loc, products = means[:, :size], means[:, size:]
    covariance = structure.maximum(mass, loc, products, groups)
    if structure.is_shared:
        mass = groups.sums(mass)
    else:
        floor, points, scatter = map(groups.of_components, (floor, points, scatter))
    if points.any():
        covariance = structure.shrunk(covariance, mass, points, scatter)
    return probs, loc, structure.lift(covariance, floor)


def e_step(points: Points, parameters, groups: Groups, structure: ManyCovariances):
    """The sums of the features of each component's points, and all log-densities.

    Args:
      points: of all mixtures.
      parameters: weights `[M]`, means `[M, D]` and covariances of all components.
      groups: of the components.
      structure: of the covariances.

    Returns:
      The sums `[M, P]`, and the log-densities `[B, N]` in nats.

    #### Examples

    >>> from tfp_gmnvp.density.many_mixtures import STRUCTURES
    >>> structure = STRUCTURES["diag"]
    >>> points = Points(np.array([[0.0], [2.0]]), np.ones([1, 2]), structure.features)
    >>> one = np.ones([1]), np.zeros([1, 1]), np.ones([1, 1])
    >>> e_step(points, one, Groups([1]), structure)[0].tolist()
    [[2.0, 0.0, 2.0]]
    """
    probs, loc, covariance = parameters
    theta = structure.coefficients(np.log(probs), loc, covariance, groups)
    sums, log_prob = np.zeros_like(theta), np.empty(points.weight.shape)
    for rows, features, parts in points.blocks(len(theta)):
        log_joint = np.empty([len(theta), len(features)])
        for part in parts:
            np.matmul(theta[part], features.T, out=log_joint[part])
        highest = groups.maxima(log_joint)
        log_joint -= groups.of_components(highest)
        joint = np.exp(np.maximum(log_joint, _LOWEST, out=log_joint), out=log_joint)
        total = groups.sums(joint)
        log_prob[:, rows] = highest + np.log(total)
        joint *= groups.of_components(points.weight[:, rows] / total)
        for part in parts:
            sums[part] += joint[part] @ features
    return sums, log_prob


def _objective(points, log_prob, parameters, groups, settings):
    """The mean log-density of each mixture's points, and the prior's part, `[B]`."""
    total = np.einsum("bn,bn->b", points.weight, log_prob)
    structure, _, prior_points, scatter = settings
    if prior_points.any():
        shared = structure.is_shared
        spread = (lambda values: values) if shared else groups.of_components
        log_prior = structure.log_prior(parameters[2], spread(prior_points), spread(scatter))
        total += log_prior if shared else groups.sums(log_prior)
    return total / points.weight.sum(axis=1)


def _parameters_of(b, parameters, groups, structure):
    probs, loc, covariance = parameters
    mine = groups.owner == b
    return probs[mine], loc[mine], covariance[b] if structure.is_shared else covariance[mine]
