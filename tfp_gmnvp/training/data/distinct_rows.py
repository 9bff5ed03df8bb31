"""Splits of a table into parts: all copies of a row go to the same part."""

from __future__ import annotations

import numpy as np

__all__ = ["by_value", "folds", "row_groups", "split", "together"]

_ENTRIES_AT_ONCE = 2**20


def row_groups(x: np.ndarray) -> np.ndarray:
    """Numbers the distinct rows in order of first appearance.

    Rows are compared by a hash of 64 bits: among ten million different rows, two have the same
    hash with probability 3e-6.

    Args:
      x: rows `[N, ...]` of real numbers.

    Returns:
      For each row the number of its distinct row, `[N]`.

    #### Examples

    >>> row_groups(np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0]])).tolist()
    [0, 1, 0]
    """
    _, first, inverse = np.unique(_keys(x), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def by_value(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the distinct rows, in an order that depends on their values alone.

    Args:
      x: rows `[N, ...]` of real numbers.

    Returns:
      For each distinct row the index of its first copy, `[M]`; and for each row the number of its
      distinct row, `[N]`.

    #### Examples

    >>> first, group = by_value(np.array([[1.0], [0.0], [1.0]]))
    >>> sorted(first.tolist()), bool(group[0] == group[2])
    ([0, 1], True)
    """
    _, first, inverse = np.unique(_keys(x), return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def split(x: np.ndarray, fraction: float) -> tuple[slice | np.ndarray, slice | np.ndarray]:
    """Indices of the rows for training, and of the last rows for validation.

    If rows are repeated, the distinct rows that first appear last are held out, with all their
    copies.

    Args:
      x: rows `[N, ...]`.
      fraction: the share of the rows to hold out, in (0, 1).

    Returns:
      Two arrays of indices; slices if no row is repeated, or all rows are equal.

    #### Examples

    >>> split(np.array([[0.0], [1.0], [2.0], [3.0]]), 0.25)
    (slice(None, 3, None), slice(3, None, None))
    >>> train, held_out = split(np.array([[0.0], [1.0], [0.0], [1.0]]), 0.5)
    >>> train.tolist(), held_out.tolist()
    ([0, 2], [1, 3])
    """
    size = int(len(x) * (1 - fraction))
    groups = row_groups(x)
    num_groups = int(groups.max(initial=-1)) + 1
    if num_groups in (len(x), 1):
        return slice(size), slice(size, None)
    before = np.cumsum(np.bincount(groups))  # number of rows up to each distinct row
    last = int(np.clip(np.searchsorted(before, size), 0, num_groups - 2))
    return np.flatnonzero(groups <= last), np.flatnonzero(groups > last)


def together(x: np.ndarray, order: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Reorders rows so that copies are neighbours, and moves a split so that it separates none.

    Args:
      x: rows `[N, ...]`.
      order: a permutation of 0 .. N-1.
      size: size of the first part, in 1 .. N-1.

    Returns:
      The order, unchanged if no row is repeated, and the nearest size for which no part is empty;
      `size` itself if all rows are equal.

    #### Examples

    >>> x = np.array([[0.0], [1.0], [0.0], [1.0], [2.0]])
    >>> order, size = together(x, np.arange(5), 1)
    >>> order.tolist(), size
    ([0, 2, 1, 3, 4], 2)
    """
    groups = row_groups(x[order])
    ends = np.cumsum(np.bincount(groups))[:-1]  # where the first part may end
    order = order[np.argsort(groups, kind="stable")]
    return order, int(ends[np.argmin(np.abs(ends - size))]) if len(ends) else size


def folds(x: np.ndarray, order: np.ndarray, num_folds: int) -> list[np.ndarray]:
    """Divides rows into folds; all copies of a row are in the same fold.

    Args:
      x: rows `[N, ...]`.
      order: a permutation of 0 .. N-1.
      num_folds: from 2 to N.

    Returns:
      The indices of the rows of each fold: `np.array_split` of the order if no row is repeated, or
      if there are fewer distinct rows than folds.

    #### Examples

    >>> [fold.tolist() for fold in folds(np.array([[0.0], [1.0], [0.0]]), np.arange(3), 2)]
    [[0, 2], [1]]
    """
    groups = row_groups(x[order])
    num_groups = int(groups.max(initial=-1)) + 1
    if num_groups == len(order) or num_groups < num_folds:
        return np.array_split(order, num_folds)
    parts = np.array_split(np.arange(num_groups), num_folds)
    return [order[np.isin(groups, part)] for part in parts]


def _keys(x):
    """A hash of 64 bits for each row, `[N]`, computed in chunks."""
    num_entries = int(np.prod(x.shape[1:]))
    factors = np.random.default_rng(0).integers(2**63, size=num_entries, dtype=np.uint64)
    factors = 2 * factors + np.uint64(1)
    size = max(1, _ENTRIES_AT_ONCE // max(1, num_entries))
    keys = np.empty(len(x), np.uint64)
    for start in range(0, len(x), size):
        part = np.asarray(x[start : start + size], np.float64).reshape(-1, num_entries)
        bits = (part + 0.0).view(np.uint64) * factors  # no negative zero
        keys[start : start + size] = _mix_bits(bits).sum(axis=1, dtype=np.uint64)
    return keys


def _mix_bits(bits):
    """Mixes the bits of each number: the finaliser of splitmix64."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
