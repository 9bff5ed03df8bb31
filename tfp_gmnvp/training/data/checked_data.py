"""Checks points, labels and weights in the forms that Keras methods accept."""

from __future__ import annotations

import types
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.training.data import batch_checks, distinct_rows
from tfp_gmnvp.training.data.labels import checked_labels, no_labels

__all__ = ["as_validation_data", "checked_data", "checked_validation_data", "split_off_validation"]


def checked_data(
    x, y, sample_weight, flow, *, of: str = "", is_batch: bool = False, checks_resolution=True
) -> dict:
    """Checks the points, labels and weights of one call of a Keras method.

    Args:
      x: any `x` that Keras accepts; with a context the pair `(x, context)`.
      y: labels `[N]` in -1 .. K-1 if `x` is an array, or `None`.
      sample_weight: weights `[N]` if `x` is an array, or `None`.
      flow: the flow that gets the points.
      of: text after the argument's name in errors.
      is_batch: whether this is one batch of several. All its weights may be zero.
      checks_resolution: whether to check that rows of an array stay distinct in the flow's dtype.

    Returns:
      The arguments `x`, `y` and `sample_weight`. Lists and tables are converted to arrays. A
      `tf.data.Dataset` checks its batches when they are read. The rows of an `np.memmap` are
      checked by the functions that read them.

    Raises:
      TypeError: if points or weights are not numbers.
      ValueError: if points, weights or labels are invalid; see `array_checks`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 2, seed=0)
    >>> data = checked_data([[0, 5], [1, 3]], [1, -1], None, flow)
    >>> data["x"].shape, data["y"].tolist()
    ((2, 2), [1, -1])
    """
    num_components = flow.distribution.components_distribution.batch_shape[-1]
    row_shape = conditional.row_shape(flow)
    x = columns.as_array(conditional.paired(flow, x), f"x{of}", flow)
    y = array_checks.as_array(y, f"y{of}")
    sample_weight = array_checks.as_array(sample_weight, f"sample_weight{of}")
    is_data = hasattr(x, "__getitem__") or hasattr(x, "__iter__")
    if not is_data or isinstance(x, (str, bytes, Mapping)):
        raise TypeError(f"`x{of}` must be an array or batches of points, got {x!r}.")
    _check_some_batches(x, f"x{of}")
    if isinstance(x, tf.data.Dataset):
        x = batch_checks.check_batches(x, row_shape, num_components, flow.dtype)
    elif isinstance(x, types.GeneratorType):
        x = _as_tuples(x, f"x{of}")
    elif hasattr(x, "shape"):
        array_checks.check_points(x, row_shape, flow.dtype, name=f"x{of}")
        if checks_resolution:
            precision.check_resolution(flow, x, f"x{of}")
        x = _protect_float64(x, flow, is_batch)
        y = checked_labels(y, len(x), num_components, name=f"y{of}")
        if sample_weight is not None:
            array_checks.check_weights(sample_weight, len(x), name=f"sample_weight{of}")
            if not is_batch:
                array_checks.check_some_weight(sample_weight, name=f"sample_weight{of}")
            y = no_labels(len(x)) if y is None else y
    return {"x": x, "y": y, "sample_weight": sample_weight}


def checked_validation_data(data, flow):
    """Checks `validation_data` of `fit`, and converts arrays to a tuple.

    Args:
      data: any `validation_data` that Keras accepts, points alone, a pair `(x, context)`, or
        `None`.
      flow: the flow that gets the points.

    Returns:
      A tuple of points, labels and weights without trailing `None`s, batches, or `None`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> [x] = checked_validation_data([[0.0, 1.0]], gaussian_mixture_flow(2, seed=0))
    >>> x.shape
    (1, 2)
    """
    if data is None:
        return None
    if isinstance(data, (list, tuple)) and not data:
        raise ValueError("`validation_data` must hold points, got none.")
    data = conditional.validation_paired(flow, data)
    if isinstance(data, list) and np.ndim(data[0]) == 1:
        data = np.asarray(data)  # a list of points, not `[x, y]`
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        data = (data,)
    if not isinstance(data, (tuple, list)):
        return checked_data(data, None, None, flow, of=" of validation_data")["x"]
    data = tf.keras.utils.unpack_x_y_sample_weight(tuple(data))
    return as_validation_data(**checked_data(*data, flow, of=" of validation_data"))


def as_validation_data(x, y=None, sample_weight=None) -> tuple:
    """The shortest tuple that holds the data, in the form that Keras accepts.

    #### Examples

    >>> as_validation_data([[0.0]])
    ([[0.0]],)
    """
    if sample_weight is None:
        return (x,) if y is None else (x, y)
    return x, y, sample_weight


def split_off_validation(x, y, sample_weight, fraction: float) -> tuple[list, list]:
    """Splits off the last rows for validation, as `validation_split` of Keras does.

    All copies of a row stay on the same side.

    Args:
      x: points `[N, ...]`.
      y: `[N]` or `None`.
      sample_weight: `[N]` or `None`.
      fraction: the fraction of rows for validation, in (0, 1).

    Returns:
      Two lists of points, labels and weights: for training, and for validation.

    Raises:
      ValueError: if `x` is not an array, or all weights of the training rows are zero.

    #### Examples

    >>> train, validation = split_off_validation(np.arange(8.0).reshape(4, 2), None, None, 0.25)
    >>> len(train[0]), validation[0].tolist()
    (3, [[6.0, 7.0]])
    """
    if not hasattr(x, "shape"):
        raise ValueError(
            f"`validation_split` needs `x` to be an array, got {type(x).__name__}: give "
            "`validation_data` instead."
        )
    size = int(len(x) * (1 - fraction))
    parts = (slice(size), slice(size, None))
    if isinstance(x, np.ndarray) and not isinstance(x, np.memmap):  # a memory map is not copied
        parts = distinct_rows.split(x, fraction)
    train, validation = (
        [None if rows is None else rows[part] for rows in (x, y, sample_weight)] for part in parts
    )
    if sample_weight is not None:
        name = "sample_weight` of the rows left by `validation_split"
        array_checks.check_some_weight(train[2], name=name)
        array_checks.check_some_weight(validation[2], name="sample_weight of validation_data")
    return train, validation


def _as_tuples(batches, name):
    """Converts batches of a generator to tuples, the form that Keras accepts."""
    for batch in batches:
        if not isinstance(batch, (tuple, list)) and not hasattr(batch, "shape"):
            raise ValueError(
                f"`{name}` must yield batches of points, as arrays or in tuples `(x, y, "
                f"sample_weight)`, got {type(batch).__name__}."
            )
        yield batch if isinstance(batch, tuple) else (np.asarray(batch),)


def _check_some_batches(x, name):
    """Raises a `ValueError` if the number of batches is known to be zero."""
    is_sequence = hasattr(x, "__len__") and not hasattr(x, "shape")
    is_empty = is_sequence and not isinstance(x, tf.data.Dataset) and not len(x)
    if isinstance(x, tf.data.Dataset):
        is_empty = x.cardinality() == 0
    if is_empty:
        raise ValueError(f"`{name}` must hold points, got no batches.")


def _protect_float64(x, flow, is_batch):
    """Converts float64 points to an array, for `row_batches`, or a tensor: Keras casts neither."""
    if precision.row_dtype(flow, x.dtype) == flow.dtype:
        return x
    if is_batch:
        return tf.constant(x, tf.float64)
    return x if isinstance(x, np.ndarray) else np.asarray(x)
