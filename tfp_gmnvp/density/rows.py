"""The distinct rows of a table, their weights and labels, in a random order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors import SinglePassChain, Spread, column_spread
from tfp_gmnvp.flows.gaussian_mixture_flow import standardizing
from tfp_gmnvp.training.data import distinct_rows

__all__ = ["DistinctRows", "Rows", "effective_weights"]


class DistinctRows(NamedTuple):
    """The distinct rows of a table, each once.

    Repeated rows, and rows with a weight, become the same: so a weight of two is the same as the
    row twice, in everything that follows.

    Attributes:
      x: `[N, D]` in float64.
      weight: positive `[N]`, or `None` if all are one.
      y: labels `[N]`, or `None`.

    #### Examples

    >>> rows = DistinctRows.of_table(np.array([[0.0], [3.0], [0.0]]))
    >>> sorted(zip(rows.x[:, 0].tolist(), rows.weight.tolist()))
    [(0.0, 2.0), (3.0, 1.0)]
    """

    x: np.ndarray
    weight: np.ndarray | None
    y: np.ndarray | None

    @classmethod
    def of_table(cls, x, sample_weight=None, y=None) -> DistinctRows:
        """Adds up the weights of equal rows with equal labels; leaves out weights of zero.

        If no row is repeated, and no weight differs from one, the rows keep their order. Otherwise
        their order depends on their values alone.

        Args:
          x: rows `[N, D]`.
          sample_weight: weights `[N]`, some of them positive, or `None`.
          y: whole numbers `[N]`, or `None`.
        """
        x = np.asarray(x, np.float64)
        weight = None if sample_weight is None else effective_weights(sample_weight)
        if weight is not None:
            kept = weight > 0
            x, weight, y = x[kept], weight[kept], None if y is None else y[kept]
            weight = None if np.all(weight == 1.0) else weight
        keyed = x if y is None else np.concatenate([x, y[:, np.newaxis]], axis=1)
        first, group = distinct_rows.by_value(keyed)
        if weight is None and len(first) == len(x):
            return cls(x, None, y)
        weight = np.bincount(group, weight)
        weight = None if np.all(weight == 1.0) else weight.astype(np.float64)
        return cls(x[first], weight, None if y is None else y[first])


class Rows(NamedTuple):
    """Distinct rows in a random order, those to validate by first; and standardised.

    Attributes:
      x: `[N, D]` in float64.
      z: `[N, D]`, as the networks of the flow get to see them.
      weight: `[N]`, or `None` if all are one.
      y: labels `[N]`, or `None`.
      num_validation: how many of the rows, the first, are to validate by.
      spread: of the columns.

    #### Examples

    >>> rows = Rows.split(DistinctRows.of_table(np.eye(5)), 2, seed=0)
    >>> rows.validation.x.shape, rows.train.x.shape
    ((2, 5), (3, 5))
    """

    x: np.ndarray
    z: np.ndarray
    weight: np.ndarray | None
    y: np.ndarray | None
    num_validation: int
    spread: Spread

    @classmethod
    def split(cls, table: DistinctRows, num_validation: int, *, seed: int) -> Rows:
        """Brings rows in a random order.

        Args:
          table: the rows.
          num_validation: how many to validate by, if all have one weight; otherwise as many as
            make up the same share of all weights.
          seed: integer seed.
        """
        x, weight, y = table
        order = np.random.default_rng(seed).permutation(len(x))
        spread = column_spread(x, weight)
        z = SinglePassChain(standardizing(spread, x.shape[1], dtype=tf.float64)).inverse(x).numpy()
        if weight is not None:
            weight = weight[order]
            num_validation = _same_share(weight, num_validation)
        y = None if y is None else y[order]
        return cls(x[order], z[order], weight, y, num_validation, spread)

    @property
    def train(self) -> Rows:
        """The rows to train on."""
        return self.part(slice(self.num_validation, None))

    @property
    def validation(self) -> Rows:
        """The rows to validate by."""
        return self.part(slice(self.num_validation))

    def part(self, rows: slice) -> Rows:
        """Some of the rows; none of them is to validate by.

        Args:
          rows: which.
        """
        arrays = (None if array is None else array[rows] for array in self[:4])
        return Rows(*arrays, 0, self.spread)

    def to_show(self, most: int) -> np.ndarray:
        """Rows for a figure, drawn in proportion to their weights.

        Args:
          most: how many at most.

        Returns:
          Rows `[n, D]`.
        """
        if self.weight is None:
            return self.x[:most].copy()  # a view would keep all rows
        size = int(np.clip(self.weight.sum(), 1, most))
        share = self.weight / self.weight.sum()
        return self.x[np.random.default_rng(0).choice(len(self.x), size, p=share)]


def effective_weights(weight: np.ndarray) -> np.ndarray:
    """Brings weights to the scale of a number of rows.

    Whole numbers count rows, and stay what they are. Others are scaled to the effective number of
    rows, (sum_n w_n)^2 / sum_n w_n^2 (Kish 1965, "Survey Sampling"), in all.

    Args:
      weight: `[N]` not negative, and not all zero.

    #### Examples

    >>> effective_weights([2, 1]).tolist(), effective_weights([0.5, 0.5]).tolist()
    ([2.0, 1.0], [1.0, 1.0])
    """
    weight = np.asarray(weight, np.float64).reshape(-1)
    if np.all(weight == np.round(weight)):
        return weight
    weight = weight / weight.max()
    return weight * (weight.sum() / np.square(weight).sum())


def _same_share(weight, number):
    """How many rows have that share of the weight, no more than leave as many as are left now."""
    if not 0 < number < len(weight):
        return number
    total = np.cumsum(weight)
    found = int(np.searchsorted(total, total[-1] * number / len(weight) * (1 - 1e-12))) + 1
    return int(np.clip(found, min(2, number), max(number, len(weight) // 2)))
