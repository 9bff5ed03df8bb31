"""Many conditions in blocks, so that what is computed of them fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfp_gmnvp.density.averaged_density import AveragedDensity

__all__ = ["ConditionBlocks"]


class ConditionBlocks:
    """Densities of N conditions in blocks, which are asked one after another.

    Attributes:
      way: how the densities are computed: 'exact', 'by quadrature' or 'by samples'.
      num_conditions: N.

    #### Examples

    >>> from tfp_gmnvp.density.conditional_density import given
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> blocks = [AveragedDensity(given(flow, {0: [x]}), np.ones([1, 1])) for x in (0.0, 1.0)]
    >>> density = ConditionBlocks(blocks)
    >>> density.sample(3, seed=0).shape, density.log_prob(np.zeros([1, 1]), [1]).round(4).tolist()
    ((3, 2, 1), [-0.9189])
    """

    def __init__(self, blocks: Sequence[AveragedDensity]):
        """Keeps the blocks, at least one."""
        self._blocks = list(blocks)
        self.way = self._blocks[0].way
        self._ends = np.cumsum([block.num_conditions for block in self._blocks])
        self.num_conditions = int(self._ends[-1])

    @property
    def effective_sample_size(self) -> np.ndarray | None:
        """Number of independent samples that each density rests on, `[N]`; `None` if on none."""
        sizes = [block.effective_sample_size for block in self._blocks]
        return None if sizes[0] is None else np.concatenate(sizes)

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws, `[num_samples, N, d]`; see `AveragedDensity`, as of the methods below."""
        seeds = [seed]
        if len(self._blocks) > 1:
            seeds = np.random.SeedSequence(seed).generate_state(len(self._blocks)) >> 1
        return np.concatenate(
            [
                block.sample(num_samples, int(of_block))
                for block, of_block in zip(self._blocks, seeds, strict=True)
            ],
            axis=1,
        )

    def log_prob(self, z: np.ndarray, number: np.ndarray) -> np.ndarray:
        """The log-density of points `[R, d]`, each under the density of a number `[R]`."""
        number = np.asarray(number)
        found, of_block = np.empty(len(z)), np.searchsorted(self._ends, number, side="right")
        for b, block in enumerate(self._blocks):
            here = of_block == b
            if here.any():
                first = self._ends[b] - block.num_conditions
                found[here] = block.log_prob(z[here], number[here] - first)
        return found

    def cdf(self, z: np.ndarray) -> np.ndarray:
        """The distribution function of each column alone at points `[S, N, d]`."""
        parts = np.split(z, self._ends[:-1], axis=1)
        found = [block.cdf(part) for block, part in zip(self._blocks, parts, strict=True)]
        return np.concatenate(found, axis=1)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles of each column alone at `[Q]`, `[Q, N, d]`."""
        return np.concatenate([block.quantile(probability) for block in self._blocks], axis=1)

    def expectation(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """E[f(z)], `[N, ...]`."""
        return np.concatenate([block.expectation(function) for block in self._blocks])
