"""Densities of one column, known up to a factor: by the trapezoidal rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["ByQuadrature"]

_NUM_POINTS = 600
_NEGLIGIBLE = 30.0  # nats below the highest density


class ByQuadrature:
    """N densities of one column.

    #### Examples

    >>> density = ByQuadrature(lambda y: -0.5 * y**2, np.array([-20.0]), np.array([20.0]))
    >>> density.log_normalizer.round(4).tolist()
    [0.9189]
    """

    effective_sample_size = None

    def __init__(
        self,
        log_density: Callable[[np.ndarray], np.ndarray],
        low: np.ndarray,
        high: np.ndarray,
    ):
        """Integrates the densities, once on the whole range and again where they are not zero.

        Args:
          log_density: of points `[S, N]` in nats, up to a constant for each of the N.
          low: lower end of the range of each, `[N]`.
          high: upper end.
        """
        self._log_density = log_density
        self._points = np.linspace(low, high, _NUM_POINTS)
        values = log_density(self._points)
        counts = values > values.max(axis=0) - _NEGLIGIBLE
        first = np.maximum(counts.argmax(axis=0) - 1, 0)
        last = np.minimum(_NUM_POINTS - counts[::-1].argmax(axis=0), _NUM_POINTS - 1)
        rows = np.arange(len(low))
        self._points = np.linspace(self._points[first, rows], self._points[last, rows], _NUM_POINTS)
        values = log_density(self._points)
        highest = values.max(axis=0)
        density = np.exp(values - highest)
        widths = np.diff(self._points, axis=0)
        masses = 0.5 * (density[1:] + density[:-1]) * widths
        total = masses.sum(axis=0)
        #: Logarithm of each density's integral, `[N]`.
        self.log_normalizer = highest + np.log(total)
        zero = np.zeros([1, len(low)])
        self._cumulated = np.concatenate([zero, np.cumsum(masses, axis=0) / total])
        self._weights = np.concatenate([masses, zero]) + np.concatenate([zero, masses])
        self._weights *= 0.5 / total

    @property
    def num_conditions(self) -> int:
        """N."""
        return self._points.shape[1]

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws, `[num_samples, N, 1]`, by the inverse of the distribution function."""
        shape = [num_samples, self._points.shape[1]]
        uniform = np.random.default_rng(seed).uniform(size=shape)
        return self._interpolated(uniform, self._cumulated, self._points)

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """The log-density of points `[S, N, 1]`, `[S, N]`."""
        return self._log_density(y[:, :, 0]) - self.log_normalizer

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """The distribution function at points `[S, N, 1]`."""
        return self._interpolated(y[:, :, 0], self._points, self._cumulated)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles at `[Q]`, `[Q, N, 1]`."""
        shape = [len(probability), self._points.shape[1]]
        of_all = np.broadcast_to(probability[:, np.newaxis], shape)
        return self._interpolated(of_all, self._cumulated, self._points)

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Points `[P, N, 1]` and weights `[P, N]` that give expectations."""
        return self._points[:, :, np.newaxis], self._weights

    def _interpolated(self, at, x, y):
        columns = [np.interp(*column) for column in zip(at.T, x.T, y.T, strict=True)]
        return np.stack(columns, axis=1)[:, :, np.newaxis]
