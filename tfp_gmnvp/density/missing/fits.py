"""Mixtures fitted side by side to points with missing entries, by exact EM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.density.many_mixtures import STRUCTURES, em
from tfp_gmnvp.density.many_mixtures.fits import fit_points, make_settings
from tfp_gmnvp.density.many_mixtures.groups import Groups
from tfp_gmnvp.density.many_mixtures.points import Points
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.missing.points import IncompletePoints, e_step

__all__ = ["complete_at_random", "fit_many_incomplete"]

_START_ITERATIONS = 20
_START_SHRINKAGE = 0.1


def fit_many_incomplete(
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
    """Fits mixtures to the observed entries of points by EM; the arguments are of `fit_many`.

    The likelihood is that of the observed entries, sum_n w_n log p(z_n,o), and no iteration lowers
    it. Where nothing is missing, this is `fit_many`. A start is k-means++ on points whose missing
    entries are drawn from one Gaussian.

    Args:
      z: points `[N, D]`, NaN where an entry is missing; each column has one that is not.
      weight: of each point in each mixture, `[B, N]`.
      sizes: as of `fit_many`.
      covariance_type: as of `fit_many`.
      prior_points: as of `fit_many`.
      prior_scale: as of `fit_many`, relative to the variance of the observed entries.
      covariance_floor: as of `fit_many`, likewise.
      seeds: as of `fit_many`.
      num_starts: as of `fit_many`.
      num_first_iterations: as of `fit_many`.
      num_iterations: as of `fit_many`.
      tolerance: as of `fit_many`.

    Returns:
      A `Fit` for each; `log_prob` is the log-density of what is observed of each point.

    #### Examples

    >>> z = np.array([[0.0, 1.0], [2.0, np.nan], [4.0, 5.0]])
    >>> settings = {"covariance_floor": 1e-6, "tolerance": 1e-9, "num_iterations": 200}
    >>> (found,) = fit_many_incomplete(z, np.ones([1, 3]), [1], "full", seeds=[(0,)],
    ...     prior_points=[0], prior_scale=[0], **settings)
    >>> found.loc.round(3).tolist()
    [[2.0, 3.0]]
    """
    structure = STRUCTURES[covariance_type]
    points = IncompletePoints(z, weight)
    start = Points.about(
        complete_at_random(z, np.random.default_rng(seeds[0])),
        weight,
        structure.features,
        center=points.center,
    )
    return fit_points(
        points,
        start,
        sizes,
        structure,
        make_settings(structure, points, prior_points, prior_scale, covariance_floor),
        seeds=seeds,
        num_starts=num_starts,
        num_iterations=(num_first_iterations, num_iterations),
        tolerance=tolerance,
        expectation=e_step,
    )


def complete_at_random(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws the missing entries from one Gaussian that is fitted to the observed ones.

    Args:
      z: points `[N, D]`, NaN where an entry is missing; each column has one that is not.
      rng: a NumPy generator.

    Returns:
      Points `[N, D]`.

    #### Examples

    >>> z = np.array([[0.0, 0.0], [1.0, np.nan], [2.0, 2.0]])
    >>> complete_at_random(z, np.random.default_rng(0))[0].tolist()
    [0.0, 0.0]
    """
    structure = STRUCTURES["full"]
    size = z.shape[1]
    points = IncompletePoints(z, np.ones([1, len(z)]))
    prior = ([size + 2.0], [_START_SHRINKAGE * (size + 2)])
    settings = make_settings(structure, points, *prior, 1e-6)
    variance = np.maximum(points.variance, settings.floor)
    first = (np.ones([1]), np.zeros([1, size]), variance[0] * np.eye(size)[np.newaxis])
    sums, _ = e_step(points, first, Groups([1]), structure)
    (fit,) = em.fit(
        points,
        [1],
        sums,
        settings,
        num_iterations=_START_ITERATIONS,
        tolerance=1e-4,
        expectation=e_step,
    )
    gaussian = TableMixture(fit.probs, fit.loc + points.center, fit.covariance)
    return gaussian.imputations(z).draw(1, rng)[0]
