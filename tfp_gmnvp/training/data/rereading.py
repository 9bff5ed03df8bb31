"""Reads the training data outside of Keras: for initialisation and for full-batch EM."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfp_gmnvp.flows.conditional import as_rows
from tfp_gmnvp.training.data.labels import as_labels
from tfp_gmnvp.training.data.row_reader import RowReader

__all__ = ["Batch", "training_batches"]

#: Points `[n, D]`, or `[n, D + C]` with their contexts, labels `[n]` or `None`, and weights `[n]`
#: or `None`.
Batch = tuple[tf.Tensor, tf.Tensor | None, tf.Tensor | None]

_BATCH_SIZE = 4096


def training_batches(
    x,
    y=None,
    sample_weight=None,
    *,
    steps_per_epoch: int | None = None,
    dtype=tf.float32,
    keeps_float64: bool = False,
) -> Callable[[], Iterator[Batch]]:
    """Returns a function that reads the data from its start, in batches.

    Args:
      x: an array `[N, D]`, a `tf.data.Dataset` or a Keras `PyDataset` (`Sequence`) of batches `x`,
        `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
      y: labels `[N]` in -1 .. K-1 if `x` is an array; -1 for points without a label.
      sample_weight: `[N]` if `x` is an array.
      steps_per_epoch: number of batches of a data set in an epoch; `None` for all.
      dtype: float dtype of the batches.
      keeps_float64: see `conditional.as_rows`.

    Returns:
      A function without arguments that yields `x [n, D]`, labels `[n]` or `None`, and weights
      `[n]` or `None`.

    Raises:
      ValueError: if `x` is infinite. If `x` can be read only once, the returned function raises a
        `TypeError`.

    #### Examples

    >>> batches = training_batches(np.zeros([5000, 2]))
    >>> [x.shape.as_list() for x, _, _ in batches()]
    [[4096, 2], [904, 2]]
    """
    if isinstance(x, tf.data.Dataset):
        if steps_per_epoch is None and x.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("`steps_per_epoch` must be given with an infinite data set.")
        elements = x if steps_per_epoch is None else x.take(steps_per_epoch)
        return lambda: _at_least_one(_unpack(element, dtype, keeps_float64) for element in elements)
    if hasattr(x, "__getitem__") and hasattr(x, "__len__") and not hasattr(x, "shape"):
        if isinstance(x, (list, tuple)):
            x = np.asarray(x)
        else:
            return lambda: _at_least_one(_unpack(x[i], dtype, keeps_float64) for i in range(len(x)))
    if not hasattr(x, "shape"):
        return lambda: _raise_read_once(x)
    reader = RowReader(x, y, sample_weight, dtype=dtype)
    return lambda: (_unpack(rows, dtype, keeps_float64) for rows in reader.slices(_BATCH_SIZE))


def _at_least_one(batches):
    """Yields the batches; raises a `ValueError` if there are none."""
    is_empty = True
    for batch in batches:
        is_empty = False
        yield batch
    if is_empty:
        raise ValueError("`x` must hold points, got no batches.")


def _raise_read_once(x):
    raise TypeError(
        "The training data is read more than once, by the first `fit` to initialise the mixture "
        "and by `FullBatchEM` before each epoch, so `x` must be an array, a `tf.data.Dataset` or a "
        f"`PyDataset`, got {type(x).__name__}. To train on it, call `initialize_mixture` first, "
        "and use an update that needs only batches: `StepwiseEM` or `GradientUpdate`."
    )


def _unpack(element, dtype, keeps_float64) -> Batch:
    x, y, weights = tf.keras.utils.unpack_x_y_sample_weight(element)
    x = as_rows(x, dtype, keeps_float64=keeps_float64)
    return x, as_labels(y), None if weights is None else tf.reshape(tf.cast(weights, dtype), [-1])
