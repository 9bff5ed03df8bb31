"""Reads rows of points, labels and weights: in any order, from memory or from a file."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks

__all__ = ["RowReader", "rows_at_once"]

_MOST_ENTRIES = 2**20  # limits batches of large events, such as images


class RowReader:
    """Reads rows of arrays that belong together.

    The points of a memory map are checked here, as they are read: to check all of them before
    would read the file once more.

    #### Examples

    >>> reader = RowReader(np.eye(3), sample_weight=np.array([1.0, 2.0, 3.0]))
    >>> x, y, sample_weight = reader.read(np.array([2, 0]))
    >>> x.tolist(), y, sample_weight.tolist()
    ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], None, [3.0, 1.0])
    """

    def __init__(self, x, y=None, sample_weight=None, *, dtype=tf.float32):
        """Holds the arrays.

        Args:
          x: points `[N, ...]`, an array, a tensor or an `np.memmap`.
          y: labels `[N]`, or `None`.
          sample_weight: `[N]`, or `None`.
          dtype: float dtype in which the points of a memory map must be finite.
        """
        self.parts = (x, y, sample_weight)
        self._dtype, self._is_mapped = dtype, isinstance(x, np.memmap)

    def __len__(self) -> int:
        return len(self.parts[0])

    def read(self, rows: np.ndarray | slice) -> tuple:
        """Reads points, labels or `None`, and weights or `None`.

        Args:
          rows: the indices of the rows, or a slice.

        Raises:
          ValueError: if a point of a memory map is not finite.
        """
        parts = tuple(None if part is None else part[rows] for part in self.parts)
        if self._is_mapped:
            is_slice = isinstance(rows, slice)
            numbers = np.arange(*rows.indices(len(self))) if is_slice else rows
            array_checks.check_finite("x", parts[0], self._dtype, numbers)
        return parts

    def slices(self, most: int):
        """Reads all rows in their order, some at a time.

        Args:
          most: the maximal number of rows at a time.

        #### Examples

        >>> [len(x) for x, _, _ in RowReader(np.zeros([5, 2])).slices(2)]
        [2, 2, 1]
        """
        size = rows_at_once(self.parts[0], most)
        for start in range(0, len(self), size):
            yield self.read(slice(start, start + size))


def rows_at_once(x, most: int, *, entries: int = _MOST_ENTRIES) -> int:
    """The number of rows to hold in memory at once: `most`, or fewer if rows are large.

    Args:
      x: an array or tensor `[N, ...]`.
      most: the maximal number of rows.
      entries: the maximal number of entries.

    Returns:
      A whole number >= 1.

    #### Examples

    >>> rows_at_once(np.zeros([9, 2]), 4096), rows_at_once(np.zeros([9, 32, 32, 3]), 4096)
    (4096, 341)
    """
    return max(1, min(most, entries // max(1, math.prod(x.shape[1:]))))
