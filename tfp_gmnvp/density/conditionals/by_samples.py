"""Densities by weighted samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfp_gmnvp.density.missing.importance import WeightedRows

__all__ = ["BySamples"]


class BySamples:
    """N densities over d columns, by S weighted samples of each.

    #### Examples

    >>> rows = WeightedRows(np.arange(4.0).reshape(4, 1, 1), np.zeros([4, 1]))
    >>> density = BySamples(rows, lambda y: np.zeros(y.shape[:2]))
    >>> density.quantile(np.array([0.5])).tolist(), density.effective_sample_size.tolist()
    ([[[1.5]]], [4.0])
    """

    def __init__(self, rows: WeightedRows, log_prob: Callable[[np.ndarray], np.ndarray]):
        """Keeps the samples.

        Args:
          rows: samples `[S, N, d]` with their weights.
          log_prob: the log-density of points `[T, N, d]`, `[T, N]`.
        """
        self._rows = rows
        #: The log-density of points `[T, N, d]`, `[T, N]`.
        self.log_prob = log_prob

    @property
    def num_conditions(self) -> int:
        """N."""
        return self._rows.completed.shape[1]

    @property
    def effective_sample_size(self) -> np.ndarray:
        """Number of independent samples that each condition rests on, `[N]`."""
        return self._rows.effective_sample_size

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws by the weights, `[num_samples, N, d]`."""
        return self._rows.resampled(num_samples, np.random.default_rng(seed))

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """The distribution function of each column alone at points `[T, N, d]`."""
        return self._by_column(y, lambda at, values, middle: np.interp(at, values, middle, 0, 1))

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles of each column alone at `[Q]`, `[Q, N, d]`."""
        shape = (len(probability), *self._rows.completed.shape[1:])
        of_all = np.broadcast_to(probability[:, np.newaxis, np.newaxis], shape)
        return self._by_column(of_all, lambda at, values, middle: np.interp(at, middle, values))

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples `[S, N, d]`, and weights `[S, N]` of sum one."""
        return self._rows.completed, self._rows.weight

    def _by_column(self, at, function):
        """Applies a function of sorted values and the middles of their steps of probability."""
        samples, weight = self._rows.completed, self._rows.weight
        found = np.empty(at.shape)
        for n in range(samples.shape[1]):
            for d in range(samples.shape[2]):
                order = np.argsort(samples[:, n, d])
                step = weight[order, n]
                middle = np.cumsum(step) - 0.5 * step
                found[:, n, d] = function(at[:, n, d], samples[order, n, d], middle)
        return found
