"""Reading the training data once more: what full-batch EM and the first fit see of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

__all__ = ["head", "rows_at_once", "training_batches"]

_BATCH_SIZE = 4096
_BATCH_ENTRIES = 2**20  # so fewer of large events, such as images


def training_batches(
    x, sample_weight=None, *, steps_per_epoch: int | None = None, dtype=tf.float32
) -> Callable[[], Iterator[tuple[tf.Tensor, tf.Tensor | None]]]:
    """Returns a function that reads the data from its start, in batches.

    Args:
      x: what Keras' `fit` takes: an array `[N, D]`, a `tf.data.Dataset` or a Keras `PyDataset`
        (`Sequence`) of batches `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
      sample_weight: `[N]`, with an array.
      steps_per_epoch: how many batches of a data set make up an epoch; `None` for all.
      dtype: float dtype of the batches.

    Returns:
      A function without arguments that yields pairs of `x [n, D]` and weights `[n]` or `None`.

    Raises:
      ValueError: if `x` has no end. Where it can be read only once, the function returned raises a
        `TypeError`.

    #### Examples

    >>> batches = training_batches(np.zeros([5000, 2]))
    >>> [x.shape.as_list() for x, _ in batches()]
    [[4096, 2], [904, 2]]
    """
    if isinstance(x, tf.data.Dataset):
        if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("`steps_per_epoch` must be given with a data set that has no end.")
        elements = x if steps_per_epoch is None else x.take(steps_per_epoch)
        return lambda: (_unpack(element, dtype) for element in elements)
    if hasattr(x, "__getitem__") and hasattr(x, "__len__") and not hasattr(x, "shape"):
        if isinstance(x, (list, tuple)):
            x = np.asarray(x)
        else:
            return lambda: (_unpack(x[i], dtype) for i in range(len(x)))
    if not hasattr(x, "shape"):
        return lambda: _refuse(x)
    return lambda: _slices(x, sample_weight, dtype)


def head(batches, size: int) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The first `size` points, or all if there are fewer; fewer, too, of points as large as images.

    Args:
      batches: what `training_batches` returned.
      size: number of points.

    Returns:
      Points `[n, D]` and weights `[n]` or `None`.

    #### Examples

    >>> head(training_batches(np.zeros([50, 2])), 10)[0].shape.as_list()
    [10, 2]
    """
    points, weights, count = [], [], 0
    for x, sample_weight in batches():
        points.append(x)
        size = rows_at_once(x, size, entries=4 * _BATCH_ENTRIES)
        weights.append(sample_weight)
        count += len(x)
        if count >= size:
            break
    weights = None if weights[0] is None else tf.concat(weights, axis=0)[:size]
    return tf.concat(points, axis=0)[:size], weights


def rows_at_once(x, most: int, *, entries: int = _BATCH_ENTRIES) -> int:
    """How many rows to hold in memory at once: `most`, or fewer where each is large.

    Args:
      x: an array or tensor `[N, ...]`.
      most: a whole number.
      entries: how many numbers are not too many.

    Returns:
      A whole number >= 1.

    #### Examples

    >>> rows_at_once(np.zeros([9, 2]), 4096), rows_at_once(np.zeros([9, 32, 32, 3]), 4096)
    (4096, 341)
    """
    return max(1, min(most, entries // max(1, math.prod(x.shape[1:]))))


def _refuse(x):
    raise TypeError(
        "The training data is read more than once, by the first `fit` to set the mixture down and "
        "by `FullBatchEM` before each epoch, so `x` must be an array, a `tf.data.Dataset` or a "
        f"`PyDataset`, got {type(x).__name__}. It will do after `initialize_mixture`, with an "
        "update that reads batches only: `StepwiseEM` or `GradientUpdate`."
    )


def _slices(x, sample_weight, dtype):
    batch_size = rows_at_once(x, _BATCH_SIZE)
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        weights = None if sample_weight is None else sample_weight[rows]
        yield _unpack((x[rows], None, weights), dtype)


def _unpack(element, dtype):
    x, _, weights = tf.keras.utils.unpack_x_y_sample_weight(element)
    x = tf.cast(tf.convert_to_tensor(x), dtype)
    return x, None if weights is None else tf.reshape(tf.cast(weights, dtype), [-1])
