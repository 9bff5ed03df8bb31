"""Mixtures of one covariance structure, fitted side by side from k-means++ starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.density.many_mixtures import em
from tfp_gmnvp.density.many_mixtures.points import Points
from tfp_gmnvp.density.many_mixtures.starts import k_means_plus_plus
from tfp_gmnvp.density.many_mixtures.structures import STRUCTURES

__all__ = ["fit_many"]


def fit_many(
    z: np.ndarray,
    weight: np.ndarray,
    sizes: Sequence[int],
    covariance_type: str,
    *,
    prior_points: Sequence[float],
    prior_scale: Sequence[float],
    covariance_floor: float,
    seeds: Sequence,
    num_iterations: Sequence[int],
    tolerance: float,
) -> list[em.Fit]:
    """Fits mixtures by EM.

    Args:
      z: points `[N, D]`.
      weight: of each point in each mixture, `[B, N]`.
      sizes: numbers of components, `[B]`.
      covariance_type: of all mixtures.
      prior_points: how many points the prior on covariances is worth in each mixture, `[B]`.
      prior_scale: of those points' scatter, relative to the points' variance, `[B]`.
      covariance_floor: lower bound of the covariances relative to the points' variance.
      seeds: of each mixture's start, tuples of whole numbers; mixtures of the same seed and size
        have the same weights, and start alike.
      num_iterations: the most iterations of EM; a second number for the mixture of the highest
        objective, which goes on alone.
      tolerance: the change of the objective, in nats per point, below which one has converged.

    Returns:
      A `Fit` for each, or one for the best; means are those of `z` itself.

    #### Examples

    >>> z = np.array([[0.0], [2.0], [4.0]])
    >>> settings = {"covariance_floor": 1e-6, "tolerance": 1e-6, "num_iterations": [9]}
    >>> (found,) = fit_many(z, np.ones([1, 3]), [1], "diag", seeds=[(0,)],
    ...     prior_points=[0], prior_scale=[0], **settings)
    >>> found.loc.tolist()
    [[2.0]]
    """
    structure = STRUCTURES[covariance_type]
    points = Points(z, weight, structure.features)
    settings = _settings(structure, points, prior_points, prior_scale, covariance_floor)
    sums = _first_sums(points, sizes, seeds)
    first, *more = num_iterations
    found = em.fit(points, sizes, sums, settings, num_iterations=first, tolerance=tolerance)
    for number in more:
        best = int(np.argmax([np.nan_to_num(one.objective, nan=-np.inf) for one in found]))
        sums, sizes = found[best].sums, [sizes[best]]
        points, settings = points.of([best]), settings.of([best])
        found = em.fit(points, sizes, sums, settings, num_iterations=number, tolerance=tolerance)
    return [
        one._replace(loc=one.loc + points.center, covariance=structure.of_one(one.covariance))
        for one in found
    ]


def _settings(structure, points, prior_points, prior_scale, covariance_floor):
    floor = covariance_floor * points.variance_without_outliers
    scatter = np.asarray(prior_scale, np.float64)[:, np.newaxis] * points.variance
    return em.Settings(structure, floor, np.asarray(prior_points, np.float64), scatter)


def _first_sums(points, sizes, seeds):
    """The sums of the features of the points nearest to each center, `[M, P]`."""
    z = points.in_units
    numbers, parts = {}, []
    for weight, size, seed in zip(points.weight, sizes, seeds, strict=True):
        start = (size, *seed)
        if start not in numbers:
            numbers[start] = k_means_plus_plus(z, weight, size, np.random.default_rng(seed))
        parts.append(weight * (numbers[start] == np.arange(size)[:, np.newaxis]))
    owned = np.concatenate(parts)
    sums = np.zeros([len(owned), points.num_features])
    for rows, features, some in points.blocks(len(owned)):
        for part in some:
            sums[part] += owned[part, rows] @ features
    return sums
