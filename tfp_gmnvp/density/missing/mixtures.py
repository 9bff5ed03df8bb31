"""A Gaussian mixture at a table with missing entries: densities of rows, and imputations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfp_gmnvp import mixtures
from tfp_gmnvp.density.missing.gaussians import Conditionals, Gaussians
from tfp_gmnvp.density.missing.patterns import Block, Patterns

__all__ = ["Imputations", "TableMixture"]

_ENTRIES_AT_ONCE = 2**20


class TableMixture(NamedTuple):
    """A mixture's weights `[K]`, means `[K, D]` and matrices `[K, D, D]`, in float64.

    #### Examples

    >>> mixture = TableMixture(np.ones([1]), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    >>> mixture.log_prob(np.array([[0.0, np.nan], [np.nan, np.nan]])).round(4).tolist()
    [-0.9189, 0.0]
    """

    probs: np.ndarray
    loc: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, parameters: mixtures.MixtureParameters, covariance_type: str) -> TableMixture:
        """From parameters of any covariance type."""
        covariance = mixtures.full_covariances(parameters, covariance_type)
        parts = (parameters.probs, parameters.loc, covariance)
        return cls(*(np.asarray(part, np.float64) for part in parts))

    def with_wide_parts(self, share: float = 0.1, factor: float = 4.0) -> TableMixture:
        """The mixture with a share of the weight on wider copies of the components.

        As a proposal it covers what is a little beyond the mixture, so that no importance weight is
        far above the others (a defensive mixture: Hesterberg 1995).

        Args:
          share: of the weight, in (0, 1).
          factor: of the copies' covariances.
        """
        return TableMixture(
            np.concatenate([(1 - share) * self.probs, share * self.probs]),
            np.tile(self.loc, [2, 1]),
            np.concatenate([self.covariance, factor * self.covariance]),
        )

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """The log-density of each row's observed entries, exactly.

        Args:
          z: points `[N, D]`, NaN where an entry is missing.

        Returns:
          An array `[N]`, in nats; zero for a row without an entry.
        """
        log_prob = np.empty(len(z))
        for block, found in self._at(z):
            log_prob[block.rows] = _log_sum_exp(found.log_prob + np.log(self.probs)[:, np.newaxis])
        return log_prob

    def imputations(self, z: np.ndarray) -> Imputations:
        """The density of the missing entries given the others, to draw from.

        Args:
          z: points `[N, D]`, NaN where an entry is missing.
        """
        parts, log_prob = [], np.empty(len(z))
        for block, found in self._at(z):
            log_joint = found.log_prob + np.log(self.probs)[:, np.newaxis]
            log_prob[block.rows] = _log_sum_exp(log_joint)
            shares = np.exp(log_joint - log_prob[block.rows])
            parts.append((block, np.cumsum(shares, axis=0), found))
        return Imputations(self, z, log_prob, parts)

    def _at(self, z):
        """Blocks of rows, and all components there."""
        gaussians = Gaussians.of(self.loc, self.covariance)
        filled, size = np.nan_to_num(z, nan=0.0), z.shape[1]
        most = max(1, _ENTRIES_AT_ONCE // (len(self.probs) * size * max(1, size // 2)))
        for block in Patterns(z).blocks(most):
            yield block, gaussians.at(filled[block.rows], block)


class Imputations(NamedTuple):
    """A mixture's density of the missing entries of a table's rows.

    Attributes:
      mixture: the mixture.
      z: points `[N, D]`, NaN where an entry is missing.
      log_prob_of_observed: `[N]`, in nats.
      parts: blocks of rows, cumulated responsibilities, and components.

    #### Examples

    >>> mixture = TableMixture(np.ones([1]), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    >>> imputations = mixture.imputations(np.array([[3.0, np.nan]]))
    >>> draws = imputations.draw(4, np.random.default_rng(0))
    >>> draws.shape, draws[:, 0, 0].tolist()
    ((4, 1, 2), [3.0, 3.0, 3.0, 3.0])
    """

    mixture: TableMixture
    z: np.ndarray
    log_prob_of_observed: np.ndarray
    parts: list[tuple[Block, np.ndarray, Conditionals]]

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Rows with their missing entries drawn, `[num_samples, N, D]`.

        Args:
          num_samples: of each row.
          rng: a NumPy generator.
        """
        drawn = np.tile(self.z, [num_samples, 1, 1])
        for block, cumulated, found in self.parts:
            if not block.num_missing:
                continue
            for start in range(0, num_samples, self._samples_at_once(block)):
                some = drawn[start : start + self._samples_at_once(block)]
                values = _draw(len(some), block, cumulated, found, rng)
                rows = some[:, block.rows]
                columns = np.broadcast_to(block.missing[block.pattern], values.shape)
                np.put_along_axis(rows, columns, values, axis=2)
                some[:, block.rows] = rows
        return drawn

    def log_prob(self, completed: np.ndarray) -> np.ndarray:
        """The log-density of imputations given the observed entries.

        Args:
          completed: rows of the table without missing entries, `[..., N, D]`.

        Returns:
          An array `[..., N]`, in nats.
        """
        flat = completed.reshape(-1, completed.shape[-1])
        joint = self.mixture.log_prob(flat).reshape(completed.shape[:-1])
        return joint - self.log_prob_of_observed

    def mean(self) -> np.ndarray:
        """The rows with the mean of what is missing in its place, `[N, D]`."""
        completed = self.z.copy()
        for block, cumulated, found in self.parts:
            shares = np.diff(cumulated, axis=0, prepend=0.0)
            values = np.einsum("kn,knu->nu", shares, found.mean)
            rows = completed[block.rows]
            np.put_along_axis(rows, block.missing[block.pattern], values, axis=1)
            completed[block.rows] = rows
        return completed

    def _samples_at_once(self, block):
        return max(1, _ENTRIES_AT_ONCE // (len(block.rows) * block.num_missing**2))


def _draw(num_samples, block, cumulated, found, rng):
    """Missing entries `[num_samples, n, u]`: a component, then a point of it."""
    rows = np.arange(len(block.rows))
    uniform = rng.uniform(size=[num_samples, 1, len(rows)]) * cumulated[-1]
    component = (uniform >= cumulated[:-1]).sum(axis=1)
    noise = rng.normal(size=[num_samples, len(rows), 1, block.num_missing])
    step = noise @ found.whitening[component, block.pattern]
    return found.mean[component, rows] + step[:, :, 0]


def _log_sum_exp(log_joint):
    highest = log_joint.max(axis=0)
    return highest + np.log(np.exp(log_joint - highest).sum(axis=0))
