"""Points as many mixtures see them: features that all log-densities are linear in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["Points", "outlier_proof_variance"]

_ENTRIES_TO_KEEP = 2**25  # of features, 256 MiB
_ENTRIES_AT_ONCE = 2**18  # of log-densities, which a processor's cache holds
_FACTORS_AT_ONCE = 2**18  # of a product of matrices: BLAS divides larger ones among threads
_FEWEST_ROWS, _FEWEST_COMPONENTS = 32, 16  # of such a product


class Points:
    """Points about their mean, and the weight of each in each mixture.

    A fold's mixture sees the points outside the fold: the others have the weight zero.

    #### Examples

    >>> points = Points(np.array([[1.0], [3.0]]), np.ones([1, 2]), lambda z: z**2)
    >>> points.center.tolist(), points.variance.tolist()
    ([2.0], [[1.0]])
    >>> [(rows, features.tolist()) for rows, features, _ in points.blocks(1)]
    [(slice(0, 2, None), [[1.0], [1.0]])]
    """

    def __init__(self, z: np.ndarray, weight: np.ndarray, features: Callable):
        """Keeps the points, and their features unless they are too many.

        Args:
          z: points `[N, D]`.
          weight: of each point in each mixture, `[B, N]`.
          features: of points `[n, D]`, `[n, P]`.
        """
        self._keep(z, z.mean(axis=0), weight, features)

    @classmethod
    def about(cls, z, weight, features: Callable, *, center: np.ndarray) -> Points:
        """Points about a center `[D]` other than their mean; the rest is as above."""
        points = object.__new__(cls)
        points._keep(z, center, weight, features)
        return points

    def _keep(self, z, center, weight, features):
        self.center = center
        self.z = z - self.center
        self.weight = weight
        self._features = features
        self.num_features = features(self.z[:1]).shape[1]
        is_kept = len(z) * self.num_features <= _ENTRIES_TO_KEEP
        self._kept = features(self.z) if is_kept else None

    @property
    def variance(self) -> np.ndarray:
        """The variance of the points in each mixture, `[B, D]`."""
        return _variance(self.weight, self.z)

    @property
    def variance_without_outliers(self) -> np.ndarray:
        """The same, but no more than ten times that of the 95 % about the median, `[B, D]`.

        It is never quite zero; see `em.positive_variance`.
        """
        return outlier_proof_variance(self.z, self.variance, self.center)

    @property
    def in_units(self) -> np.ndarray:
        """The points in units of each column's standard deviation, `[N, D]`."""
        stddev = self.z.std(axis=0)
        return self.z / np.where(stddev > 0, stddev, 1.0)

    def of(self, mixtures: np.ndarray) -> Points:
        """The same points with the weights of some mixtures.

        Args:
          mixtures: their numbers, or booleans `[B]`.
        """
        others = object.__new__(Points)
        others.__dict__.update(self.__dict__, weight=self.weight[mixtures])
        return others

    def blocks(self, num_components: int) -> Iterator[tuple[slice, np.ndarray, list[slice]]]:
        """Some rows at a time, their features, and components to be multiplied with them.

        On a busy machine a thread of BLAS waits for the other longer than a small product takes.

        Args:
          num_components: M, of all mixtures together.
        """
        size, factors = self._at_once(num_components)
        parts = [slice(k, k + factors) for k in range(0, num_components, factors)]
        for start in range(0, len(self.z), size):
            rows = slice(start, min(start + size, len(self.z)))
            is_kept = self._kept is not None
            yield rows, self._kept[rows] if is_kept else self._features(self.z[rows]), parts

    def _at_once(self, num_components):
        """How many rows, and how many components."""
        size = max(_FEWEST_ROWS, _ENTRIES_AT_ONCE // num_components)
        most = _FACTORS_AT_ONCE // self.num_features
        if most < _FEWEST_ROWS * _FEWEST_COMPONENTS:
            return size, num_components
        size = min(size, most // _FEWEST_COMPONENTS)
        return size, most // size


def outlier_proof_variance(z: np.ndarray, variance: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Variances of no more than ten times that of the 95 % about the median, and above zero.

    Args:
      z: points about their center, `[N, D]`, NaN where an entry is missing.
      variance: of the points in each mixture, `[B, D]`.
      center: of the points, `[D]`.

    Returns:
      An array `[B, D]`.

    #### Examples

    >>> z = np.append(np.linspace(-1.0, 1.0, 99), 1e3)[:, np.newaxis]
    >>> bool(outlier_proof_variance(z, z.var(axis=0)[np.newaxis], np.zeros(1))[0, 0] < 4.0)
    True
    """
    distance = np.abs(z - np.nanmedian(z, axis=0))
    kept = np.where(distance <= np.nanquantile(distance, 0.95, axis=0), z, np.nan)
    variance = np.minimum(variance, 10 * np.nanvar(kept, axis=0))
    rounding = np.maximum(np.square(np.finfo(np.float64).eps * center), 1e-30)
    smallest = np.maximum(1e-6 * variance.mean(axis=1, keepdims=True), rounding)
    return np.where(variance > rounding, variance, smallest)


def _variance(weight, z):
    total = weight.sum(axis=1, keepdims=True)
    mean = weight @ z / total
    return np.maximum(weight @ np.square(z) / total - np.square(mean), 0.0)
