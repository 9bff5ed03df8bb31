"""Imputations that follow a density as it changes: a Markov chain for each incomplete row.

A refresh has two moves, both of which leave p(y_u | y_o) as it is:

- iterated importance resampling: S proposals from a mixture's conditional q and the current state
  have weights p(y) / q(y_u | y_o), and one of them is drawn by these. It reaches other modes.
- a random walk in the missing entries, accepted by Metropolis' rule. It goes on where q is poor.

#### References

Andrieu, Lee and Vihola 2018, "Uniform ergodicity of the iterated conditional SMC and geometric
ergodicity of particle Gibbs samplers". Tjelmeland 2004, "Using all Metropolis-Hastings proposals to
estimate mean values".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.density.missing.mixtures import TableMixture

__all__ = ["ImputationChains", "Refresh"]

_TARGET = 0.35  # acceptance of the random walk


class Refresh(NamedTuple):
    """How well a refresh moved.

    Attributes:
      effective_sample_size: of the proposals and the state, the mean over all chains, from 1 to
        S + 1.
      moved: the share of chains that took a proposal.
      acceptance: the share of accepted steps of the random walk.

    #### Examples

    >>> Refresh._fields
    ('effective_sample_size', 'moved', 'acceptance')
    """

    effective_sample_size: float
    moved: float
    acceptance: float


class ImputationChains:
    """C chains for each of N incomplete rows.

    #### Examples

    >>> mixture = TableMixture(np.ones([1]), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    >>> y = np.array([[1.0, np.nan], [np.nan, 2.0]])
    >>> chains = ImputationChains(y, mixture, 3, np.random.default_rng(0))
    >>> round(chains.refresh(mixture.log_prob).effective_sample_size, 6), chains.state.shape
    (5.0, (3, 2, 2))
    """

    def __init__(
        self,
        y: np.ndarray,
        proposal: TableMixture,
        num_chains: int,
        rng: np.random.Generator,
        *,
        num_proposals: int = 4,
    ):
        """Starts the chains with draws from the proposal.

        Args:
          y: rows `[N, D]`, NaN where an entry is missing, at least one in each.
          proposal: the mixture.
          num_chains: C.
          rng: a NumPy generator.
          num_proposals: S of each refresh.
        """
        self._y, self._rng, self._num_proposals = y, rng, num_proposals
        self._is_missing = np.isnan(y)
        self._imputations = proposal.imputations(y)
        self._scale = 0.5
        #: The rows with their current imputations, `[C, N, D]`.
        self.state = self._imputations.draw(num_chains, rng)

    def propose_from(self, proposal: TableMixture) -> None:
        """Has later refreshes propose from another mixture."""
        self._imputations = proposal.imputations(self._y)

    def refresh(self, log_prob: Callable[[np.ndarray], np.ndarray]) -> Refresh:
        """Moves all chains once.

        Args:
          log_prob: the density: complete rows `[n, D]` to `[n]` nats.
        """
        size, moved, log_p, spread = self._resample(log_prob)
        return Refresh(size, moved, self._walk(log_prob, log_p, spread))

    def _resample(self, log_prob):
        num_chains, num_rows, size = self.state.shape
        shape = (self._num_proposals, num_chains, num_rows, size)
        drawn = self._imputations.draw(shape[0] * num_chains, self._rng).reshape(shape)
        every = np.concatenate([self.state[np.newaxis], drawn])
        log_p = _finite(log_prob(every.reshape(-1, size))).reshape(every.shape[:-1])
        log_weight = log_p - self._imputations.log_prob(every)
        weight = np.exp(log_weight - log_weight.max(axis=0))
        weight /= weight.sum(axis=0)
        uniform = self._rng.uniform(size=[1, num_chains, num_rows])
        chosen = (uniform >= np.cumsum(weight, axis=0)[:-1]).sum(axis=0)
        chains, rows = np.indices(chosen.shape)
        self.state = every[chosen, chains, rows]
        sizes = 1.0 / np.square(weight).sum(axis=0)
        spread = drawn.reshape(-1, num_rows, size).std(axis=0)
        return float(sizes.mean()), float((chosen > 0).mean()), log_p[chosen, chains, rows], spread

    def _walk(self, log_prob, log_p, spread):
        noise = self._rng.normal(size=self.state.shape)
        step = self._scale * np.where(self._is_missing, spread, 0.0) * noise
        moved = self.state + step / np.sqrt(self._is_missing.sum(axis=1))[:, np.newaxis]
        ratio = _finite(log_prob(moved.reshape(-1, moved.shape[-1]))).reshape(log_p.shape) - log_p
        accepted = np.log(self._rng.uniform(size=ratio.shape)) < ratio
        self.state = np.where(accepted[..., np.newaxis], moved, self.state)
        share = float(accepted.mean())
        self._scale = float(np.clip(self._scale * np.exp(share - _TARGET), 0.02, 3.0))
        return share


def _finite(log_prob):
    return np.nan_to_num(log_prob, nan=-1e300, neginf=-1e300, posinf=-1e300)
