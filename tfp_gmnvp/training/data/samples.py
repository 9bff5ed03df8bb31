"""Random samples of the training data, with a seed, for initialisation and checks."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp._shared.row_samples import row_numbers
from tfp_gmnvp.training.data import rereading
from tfp_gmnvp.training.data.row_reader import rows_at_once

__all__ = ["sample_of_arrays", "sample_of_batches"]

_MOST_ENTRIES = 2**22  # numbers in a sample


def sample_of_arrays(x, y=None, sample_weight=None, *, size: int, seed, dtype=tf.float32) -> tuple:
    """Samples rows of positive weight uniformly, without replacement.

    Only the sampled rows are read, which matters for an `np.memmap`.

    Args:
      x: points `[N, D]`.
      y: labels `[N]` or `None`.
      sample_weight: `[N]` or `None`.
      size: number of rows, and the maximal number of additional labelled rows; fewer if rows are
        large, as images are.
      seed: whole numbers, the seed of NumPy's generator.
      dtype: float dtype that points are cast to; they must be finite in it.

    Returns:
      Points, labels or `None` and weights or `None`, in the order of the rows. If there are at most
      `size` rows, all of them.

    Raises:
      ValueError: if all weights are zero, or a point is not finite.

    #### Examples

    >>> x, _, weights = sample_of_arrays(np.arange(3.0)[:, None], None, [1, 0, 2], size=9, seed=0)
    >>> x.ravel().tolist(), weights.tolist()
    ([0.0, 2.0], [1, 2])
    """
    size = rows_at_once(x, size, entries=_MOST_ENTRIES)
    rows = row_numbers(len(x), size=size, seed=seed, y=y, sample_weight=sample_weight)
    x, *others = (
        None if part is None else np.asarray(_as_array(part)[rows])
        for part in (x, y, sample_weight)
    )
    array_checks.check_finite("x", x, dtype, rows)
    return x, *others


def sample_of_batches(batches, *, size: int, seed) -> rereading.Batch:
    """Samples rows of batches uniformly in one pass: reservoir sampling.

    Each row draws a random number, and the rows with the lowest numbers are kept (Vitter 1985,
    "Random sampling with a reservoir"; by the method of Efraimidis and Spirakis 2006).

    Args:
      batches: what `rereading.training_batches` returned.
      size: number of points, and the maximal number of additional labelled points.
      seed: whole numbers, the seed of NumPy's generator.

    Returns:
      Points `[n, D]`, labels `[n]` or `None` and weights `[n]` or `None`.

    Raises:
      ValueError: if there are no points, or all weights are zero.

    #### Examples

    >>> batches = rereading.training_batches(np.arange(5000.0)[:, np.newaxis])
    >>> rows, _, _ = sample_of_batches(batches, size=100, seed=0)
    >>> len(rows), bool(rows[-1] > 4096)
    (100, True)
    """
    rng = np.random.default_rng(seed)
    kept, labelled, num_seen = None, None, 0
    for x, y, weights in batches():
        if kept is None:
            size = rows_at_once(x, size, entries=_MOST_ENTRIES)
            kept, labelled = _Lowest(size), _Lowest(size)
        draws = rng.random(len(x))
        order = num_seen + np.arange(len(x))
        num_seen += len(x)
        good = np.ones(len(x), bool) if weights is None else weights.numpy() > 0
        parts = [part if part is None else part.numpy() for part in (x, y, weights)]
        kept.add(draws, order, parts, good)
        if y is not None:
            labelled.add(draws, order, parts, good & (parts[1] >= 0))
    if not num_seen:
        raise ValueError("`x` must hold points, got only empty batches.")
    if not kept.num_rows:
        raise ValueError(
            f"`sample_weight` must have a weight above zero, and all {num_seen} are zero."
        )
    return _joined(kept, labelled)


class _Lowest:
    """Keeps the rows with the lowest random numbers among all rows that were added."""

    def __init__(self, size):
        self.size, self.num_rows, self.highest, self.blocks = size, 0, np.inf, []

    def add(self, draws, order, parts, good):
        chosen = np.flatnonzero(good & (draws < self.highest))
        if not len(chosen):
            return
        block = [draws, order, *parts]
        self.blocks.append([None if part is None else part[chosen] for part in block])
        self.num_rows += len(chosen)
        if self.num_rows > 2 * self.size:
            self.rows()

    def rows(self):
        """Random numbers, indices, points, labels and weights of at most `size` rows."""
        block = [
            None if parts[0] is None else np.concatenate(parts)
            for parts in zip(*self.blocks, strict=True)
        ]
        if self.num_rows > self.size:
            lowest = np.argpartition(block[0], self.size)[: self.size]
            block = [None if part is None else part[lowest] for part in block]
            self.highest = block[0].max()
        self.num_rows, self.blocks = len(block[0]), [block]
        return block


def _joined(kept, labelled) -> rereading.Batch:
    """Joins the sampled rows and the additional labelled rows, in the order of the data."""
    block = kept.rows()
    if labelled.num_rows:
        others = labelled.rows()
        is_new = ~np.isin(others[1], block[1])
        block = [
            None if part is None else np.concatenate([part, other[is_new]])
            for part, other in zip(block, others, strict=True)
        ]
    order = np.argsort(block[1])
    return tuple(None if part is None else tf.constant(part[order]) for part in block[2:])


def _as_array(part):
    return part if isinstance(part, np.ndarray) else np.asarray(part)
