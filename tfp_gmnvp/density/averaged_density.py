"""Averages of densities over conditions: what is known only up to a cell, or a period."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfp_gmnvp.density.table_density import TableDensity

__all__ = ["AveragedDensity"]

_POINTS_AT_ONCE = {"exact": 2**16, "by quadrature": 2**16, "by samples": 2**12}
_NUM_BISECTIONS = 45
_NEGLIGIBLE = 1e-12


class AveragedDensity:
    """N densities, each a mixture of M densities of d columns.

        p_n(z) = sum_m w_nm p_nm(z),    sum_m w_nm = 1

    Attributes:
      way: how the M densities are computed: 'exact', 'by quadrature' or 'by samples'.
      num_conditions: N.
      num_members: M.

    #### Examples

    >>> from tfp_gmnvp.density.conditional_density import given
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> normal = given(flow, {0: [0.0, 1.0]})
    >>> density = AveragedDensity(normal, np.array([[0.5, 0.5]]))
    >>> density.quantile(np.array([0.5])).round(6).tolist()
    [[[0.0]]]
    """

    def __init__(self, density: TableDensity, weight: np.ndarray):
        """Keeps what it is given.

        Args:
          density: of N M conditions, those of the same n next to each other.
          weight: w, `[N, M]`.
        """
        self._density, self._weight = density, weight
        self._size = len(density.columns)
        self.way = density.way
        self.num_conditions, self.num_members = weight.shape

    @property
    def effective_sample_size(self) -> np.ndarray | None:
        """Number of independent samples that each density rests on, `[N]`; `None` if on none."""
        sizes = self._density.effective_sample_size
        if sizes is None:
            return None
        return 1 / np.sum(np.square(self._weight) / np.reshape(sizes, self._weight.shape), axis=1)

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws, `[num_samples, N, d]`."""
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(num_samples, self._weight)
        draws = self._density.sample(int(counts.max()), seed=seed)
        draws = draws.reshape(len(draws), *self._weight.shape, self._size)
        drawn = np.empty([num_samples, self.num_conditions, self._size])
        for n, of_members in enumerate(counts):
            parts = [draws[:count, n, m] for m, count in enumerate(of_members)]
            drawn[:, n] = rng.permutation(np.concatenate(parts))
        return drawn

    def log_prob(self, z: np.ndarray, number: np.ndarray) -> np.ndarray:
        """The log-density of points, each under one of the N densities.

        Args:
          z: points `[R, d]`.
          number: n of each, `[R]`.

        Returns:
          An array `[R]`, in nats.
        """
        order = np.argsort(number, kind="stable")
        counts = np.bincount(number, minlength=self.num_conditions)
        rank = np.empty(len(z), int)
        rank[order] = np.arange(len(z)) - (np.cumsum(counts) - counts)[number[order]]
        points = np.tile(z[0], [counts.max(), self.num_conditions, 1])
        points[rank, number] = z
        return self._in_parts(self._log_prob_of_all, points)[rank, number]

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """The distribution function of each column alone at points `[S, N, d]`."""
        return self._in_parts(self._cdf_of_all, z)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles of each column alone at `[Q]`, `[Q, N, d]`, by bisection if M > 1."""
        if self.num_members == 1:
            return self._by_member(self._density.quantile(probability))[:, :, 0]
        ends = np.array([probability.min(), probability.max()])
        first, last = self._by_member(self._density.quantile(ends))
        counts = (self._weight > _NEGLIGIBLE)[:, :, np.newaxis]
        shape = (len(probability), self.num_conditions, self._size)
        low = np.broadcast_to(np.where(counts, first, np.inf).min(axis=1), shape)
        high = np.broadcast_to(np.where(counts, last, -np.inf).max(axis=1), shape)
        for _ in range(_NUM_BISECTIONS):
            middle = 0.5 * (low + high)
            is_below = self.cdf(middle) < probability[:, np.newaxis, np.newaxis]
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        return 0.5 * (low + high)

    def expectation(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """E[f(z)], `[N, ...]`; f takes points `[P, N M, d]`, and returns `[P, N M, ...]`."""
        found = self._density.expectation(function)
        found = found.reshape(*self._weight.shape, -1)
        return np.einsum("nmd,nm->nd", found, self._weight)

    def _in_parts(self, function, z):
        most = max(1, _POINTS_AT_ONCE[self.way] // self._weight.size)
        parts = [z[start : start + most] for start in range(0, len(z), most)]
        return np.concatenate([function(part) for part in parts])

    def _cdf_of_all(self, z):
        found = self._density.cdf(self._for_members(z))
        return np.einsum("snmd,nm->snd", self._by_member(found), self._weight)

    def _log_prob_of_all(self, z):
        log_prob = self._density.log_prob(self._for_members(z))
        with np.errstate(divide="ignore"):
            log_joint = log_prob.reshape(-1, *self._weight.shape) + np.log(self._weight)
        return np.logaddexp.reduce(log_joint, axis=2)

    def _for_members(self, z):
        return np.repeat(z, self.num_members, axis=1)

    def _by_member(self, values):
        return values.reshape(len(values), *self._weight.shape, self._size)
