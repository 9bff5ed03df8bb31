"""Missing entries under any density, by importance sampling from a mixture's conditional.

With draws y_s of the missing entries from q(y_u | y_o), weights w_s = p(y_o, y_s) / q(y_s | y_o):

    p(y_o) ~ mean w_s,    p(y_u | y_o) ~ sum_s w_s delta(y_u - y_s) / sum_s w_s

and (sum w)^2 / sum w^2 is the number of independent draws that they are worth.

#### References

Owen 2013, "Monte Carlo theory, methods and examples", chapter 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.density.missing.mixtures import TableMixture

__all__ = ["PoorSamplesWarning", "WeightedRows", "weighted_rows"]

_ENTRIES_AT_ONCE = 2**22


class PoorSamplesWarning(UserWarning):
    """Importance samples are worth few independent ones, so that results are inexact.

    #### Examples

    >>> issubclass(PoorSamplesWarning, UserWarning)
    True
    """


class WeightedRows(NamedTuple):
    """S completions of each of N rows, with weights.

    Attributes:
      completed: `[S, N, D]`.
      log_weight: `[S, N]`, not normalised.

    #### Examples

    >>> rows = WeightedRows(np.zeros([2, 1, 3]), np.log([[1.0], [1.0]]))
    >>> rows.log_normalizer.round(4).tolist(), rows.effective_sample_size.tolist()
    ([0.0], [2.0])
    """

    completed: np.ndarray
    log_weight: np.ndarray

    @property
    def log_normalizer(self) -> np.ndarray:
        """log p(y_o) of each row, `[N]`, in nats."""
        highest = self._highest
        return highest + np.log(np.exp(self.log_weight - highest).mean(axis=0))

    @property
    def standard_error(self) -> np.ndarray:
        """Of `log_normalizer`, by the delta method, `[N]`."""
        weight = np.exp(self.log_weight - self._highest)
        return weight.std(axis=0, ddof=1) / weight.mean(axis=0) / np.sqrt(len(weight))

    @property
    def effective_sample_size(self) -> np.ndarray:
        """(sum w)^2 / sum w^2 of each row, `[N]`."""
        weight = np.exp(self.log_weight - self._highest)
        return np.square(weight.sum(axis=0)) / np.square(weight).sum(axis=0)

    @property
    def weight(self) -> np.ndarray:
        """Weights of sum one, `[S, N]`."""
        weight = np.exp(self.log_weight - self._highest)
        return weight / weight.sum(axis=0)

    def resampled(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Completions drawn by their weights, `[num_samples, N, D]`."""
        cumulated = np.cumsum(self.weight, axis=0)
        uniform = rng.uniform(size=[num_samples, cumulated.shape[1]]) * cumulated[-1]
        number = np.stack(
            [
                np.searchsorted(edges, draws, side="right")
                for edges, draws in zip(cumulated.T, uniform.T, strict=True)
            ],
            axis=1,
        )
        number = np.minimum(number, len(cumulated) - 1)
        return self.completed[number, np.arange(cumulated.shape[1])]

    @property
    def _highest(self):
        highest = self.log_weight.max(axis=0)
        return np.where(np.isfinite(highest), highest, 0.0)


def weighted_rows(
    log_prob: Callable[[np.ndarray], np.ndarray],
    proposal: TableMixture,
    y: np.ndarray,
    num_samples: int,
    rng: np.random.Generator,
) -> WeightedRows:
    """Completes rows by draws of a mixture's conditional, weighted by a density.

    Args:
      log_prob: the density: complete rows `[N, D]` to `[N]` nats.
      proposal: the mixture.
      y: rows `[N, D]`, NaN where an entry is missing.
      num_samples: S.
      rng: a NumPy generator.

    Returns:
      `WeightedRows`.

    #### Examples

    >>> mixture = TableMixture(np.ones([1]), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    >>> y = np.array([[1.0, np.nan]])
    >>> rows = weighted_rows(mixture.log_prob, mixture, y, 8, np.random.default_rng(0))
    >>> rows.effective_sample_size.round(6).tolist()
    [8.0]
    """
    imputations = proposal.imputations(y)
    completed = imputations.draw(num_samples, rng)
    flat = completed.reshape(-1, completed.shape[-1])
    log_p = log_prob(flat).reshape(completed.shape[:-1])
    log_weight = np.nan_to_num(log_p, nan=-np.inf) - imputations.log_prob(completed)
    return WeightedRows(completed, log_weight)


def rows_at_once(num_samples: int, event_size: int) -> int:
    """How many rows to complete at once, so that they fit into memory.

    #### Examples

    >>> rows_at_once(1024, 4)
    1024
    """
    return max(1, _ENTRIES_AT_ONCE // (num_samples * event_size))
