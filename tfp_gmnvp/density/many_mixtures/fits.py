"""Mixtures of one covariance structure, fitted side by side from k-means++ starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.density.many_mixtures import em
from tfp_gmnvp.density.many_mixtures.points import Points
from tfp_gmnvp.density.many_mixtures.starts import k_means_plus_plus
from tfp_gmnvp.density.many_mixtures.structures import STRUCTURES, ManyCovariances

__all__ = ["fit_many", "fit_points", "make_settings"]


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
    num_starts: int = 1,
    num_first_iterations: int = 10,
    num_iterations: int,
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
      num_starts: of each mixture, the best of which goes on.
      num_first_iterations: the most iterations of EM before that is known.
      num_iterations: the most iterations after it.
      tolerance: the change of the objective, in nats per point, below which one has converged.

    Returns:
      A `Fit` for each; means are those of `z` itself.

    #### Examples

    >>> z = np.array([[0.0], [2.0], [4.0]])
    >>> settings = {"covariance_floor": 1e-6, "tolerance": 1e-6, "num_iterations": 9}
    >>> (found,) = fit_many(z, np.ones([1, 3]), [1], "diag", seeds=[(0,)],
    ...     prior_points=[0], prior_scale=[0], **settings)
    >>> found.loc.tolist()
    [[2.0]]
    """
    structure = STRUCTURES[covariance_type]
    points = Points(z, weight, structure.features)
    prior = (prior_points, prior_scale)
    return fit_points(
        points,
        points,
        sizes,
        structure,
        make_settings(structure, points, *prior, covariance_floor),
        seeds=seeds,
        num_starts=num_starts,
        num_iterations=(num_first_iterations, num_iterations),
        tolerance=tolerance,
    )


def fit_points(
    points,
    start: Points,
    sizes: Sequence[int],
    structure: ManyCovariances,
    settings: em.Settings,
    *,
    seeds: Sequence,
    num_starts: int,
    num_iterations: tuple[int, int],
    **arguments,
) -> list[em.Fit]:
    """Fits mixtures to points by EM, each from the best of several starts.

    Args:
      points: what the E-step takes.
      start: complete points with the same center and weights, from which the mixtures start.
      sizes: numbers of components, `[B]`.
      structure: of the covariances.
      settings: of the M-step.
      seeds: as of `fit_many`.
      num_starts: as of `fit_many`.
      num_iterations: the most before the best start is known, and after it.
      **arguments: of `em.fit`.

    Returns:
      A `Fit` for each.

    #### Examples

    >>> structure = STRUCTURES["diag"]
    >>> points = Points(np.array([[0.0], [2.0]]), np.ones([1, 2]), structure.features)
    >>> settings = make_settings(structure, points, [0.0], [0.0], 1e-6)
    >>> (found,) = fit_points(points, points, [1], structure, settings, seeds=[(0,)],
    ...     num_starts=1, num_iterations=(9, 9), tolerance=1e-6)
    >>> found.loc.tolist()
    [[1.0]]
    """
    sizes = np.asarray(sizes)
    each = np.repeat(np.arange(len(sizes)), num_starts)
    seeds = [(*seed, start) for seed in seeds for start in range(num_starts)]
    tried, of_tried = points.of(each), settings.of(each)
    sums = _first_sums(start.of(each), sizes[each], seeds)
    first, last = num_iterations
    if num_starts > 1:
        found = em.fit(tried, sizes[each], sums, of_tried, num_iterations=first, **arguments)
        sums = np.concatenate([fit.sums for fit in _highest(found, num_starts)])
    return [
        one._replace(loc=one.loc + points.center, covariance=structure.of_one(one.covariance))
        for one in em.fit(points, sizes, sums, settings, num_iterations=last, **arguments)
    ]


def _highest(fits, num_starts):
    """The fit of the highest objective of each mixture's starts."""
    objective = np.array([fit.objective for fit in fits]).reshape(-1, num_starts)
    best = np.argmax(np.nan_to_num(objective, nan=-np.inf), axis=1)
    return [fits[mixture * num_starts + start] for mixture, start in enumerate(best)]


def make_settings(
    structure: ManyCovariances, points, prior_points, prior_scale, covariance_floor: float
) -> em.Settings:
    """The settings of the M-step; the arguments are those of `fit_many`.

    #### Examples

    >>> structure = STRUCTURES["diag"]
    >>> points = Points(np.array([[0.0], [2.0]]), np.ones([1, 2]), structure.features)
    >>> make_settings(structure, points, [0.0], [0.0], 0.5).floor.tolist()
    [[0.5]]
    """
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
