"""Rows of a table in blocks of equally many missing entries, sorted by which these are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["Block", "Patterns"]


class Block(NamedTuple):
    """Rows with u missing entries each.

    Attributes:
      rows: their numbers in the table, `[n]`; rows of one pattern are neighbours.
      missing: the columns that are missing in each pattern, `[P, u]`.
      pattern: which of these is each row's, `[n]`.

    #### Examples

    >>> Block(np.array([4]), np.array([[0, 1]]), np.array([0])).num_missing
    2
    """

    rows: np.ndarray
    missing: np.ndarray
    pattern: np.ndarray

    @property
    def num_missing(self) -> int:
        """u."""
        return self.missing.shape[1]

    def of_rows(self, values: np.ndarray) -> np.ndarray:
        """The missing columns of each row: `[..., n, D]` to `[..., n, u]`."""
        columns = self.missing[self.pattern]
        return np.take_along_axis(
            values, np.broadcast_to(columns, (*values.shape[:-1], columns.shape[1])), axis=-1
        )

    def of_matrices(self, values: np.ndarray) -> np.ndarray:
        """The missing rows and columns of matrices: `[M, D, D]` to `[M, P, u, u]`."""
        return values[:, self.missing[:, :, np.newaxis], self.missing[:, np.newaxis]]

    def sums_by_pattern(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of each pattern: `[..., n]` to `[..., P]`."""
        starts = np.flatnonzero(np.diff(self.pattern, prepend=-1))
        return np.add.reduceat(values, starts, axis=-1)


class Patterns:
    """Which entries of a table are missing, and its rows in blocks.

    #### Examples

    >>> patterns = Patterns(np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, 4.0]]))
    >>> [(block.rows.tolist(), block.missing.tolist()) for block in patterns.blocks(9)]
    [([1], [[]]), ([0, 2], [[1], [0]])]
    """

    def __init__(self, z: np.ndarray):
        """Sorts the rows.

        Args:
          z: points `[N, D]`, NaN where an entry is missing.
        """
        self.is_missing = np.isnan(z)
        self.distinct, of_row = np.unique(self.is_missing, axis=0, return_inverse=True)
        self._of_row = of_row.reshape(-1)
        numbers = self.distinct.sum(axis=1)
        self._order = np.lexsort([self._of_row, numbers[self._of_row]])
        sorted_numbers = numbers[self._of_row[self._order]]
        self._ends = np.append(np.flatnonzero(np.diff(sorted_numbers)) + 1, len(z))

    def blocks(self, most_rows: int) -> Iterator[Block]:
        """All rows, in blocks of at most so many.

        Args:
          most_rows: of a block, at least 1.
        """
        start = 0
        for end in self._ends:
            for first in range(start, end, most_rows):
                yield self._block(self._order[first : min(first + most_rows, end)])
            start = end

    def _block(self, rows):
        numbers, pattern = np.unique(self._of_row[rows], return_inverse=True)
        masks = self.distinct[numbers]
        missing = np.nonzero(masks)[1].reshape(len(masks), -1)
        return Block(rows, missing, pattern.reshape(-1))
