"""Starts of mixtures: k-means++ centers, and the points nearest to each."""

from __future__ import annotations

import numpy as np

__all__ = ["k_means_plus_plus"]


def k_means_plus_plus(z: np.ndarray, weight, num_clusters: int, rng) -> np.ndarray:
    """Spreads centers over points, as `em.k_means_plus_plus`; which one is nearest to each point.

    Args:
      z: points `[N, D]`.
      weight: of the points, `[N]`.
      num_clusters: K.
      rng: a NumPy generator.

    Returns:
      Whole numbers `[N]`, from 0 to K - 1.

    #### Examples

    >>> rng = np.random.default_rng(0)
    >>> k_means_plus_plus(np.array([[0.0], [9.0]]), np.array([1.0, 1.0]), 1, rng).tolist()
    [0, 0]
    """
    num_trials = 2 + int(np.log(num_clusters))
    distance, number = np.full(len(z), np.inf), np.zeros(len(z), np.int64)
    for cluster in range(num_clusters):
        potential = weight * distance if cluster else weight
        potential = np.cumsum(potential if potential.any() else weight)
        draws = rng.uniform(size=num_trials if cluster else 1) * potential[-1]
        candidates = np.searchsorted(potential, draws, side="right")
        differences = z[np.minimum(candidates, len(z) - 1)][:, np.newaxis] - z
        squared = np.einsum("tnd,tnd->tn", differences, differences)
        best = squared[np.argmin(np.minimum(distance, squared) @ weight)]
        number[best < distance] = cluster
        distance = np.minimum(distance, best)
    return number
