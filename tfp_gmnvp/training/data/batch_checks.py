"""Checks each batch of a data set when it is read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp._shared.dense import check_dense_batches
from tfp_gmnvp.flows.conditional import as_rows

__all__ = ["check_batches", "value_errors_of_batches"]


def check_batches(
    batches: tf.data.Dataset, event_shape: Sequence[int], num_components: int, dtype=tf.float32
) -> tf.data.Dataset:
    """Adds checks to a data set: reading an invalid batch raises an error.

    Args:
      batches: of `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`, with a context `(x, context)`
        in the place of `x`.
      event_shape: the shape of a point, or of a row of point and context.
      num_components: K.
      dtype: float dtype that points are cast to.

    Returns:
      The data set with checks. `value_errors_of_batches` translates its errors.

    Raises:
      TypeError: if points or weights are not numbers.
      ValueError: if the shape of the points is known and wrong.

    #### Examples

    >>> batches = tf.data.Dataset.from_tensors([[0.0, 1.0], [2.0, np.inf]])
    >>> with value_errors_of_batches():
    ...     list(check_batches(batches, [2], 1))
    Traceback (most recent call last):
    ValueError: `x in a batch` must hold finite numbers in float32, and 1 of its 2 rows do not, ...
    """
    check_dense_batches("x", batches)
    is_tuple = isinstance(batches.element_spec, tuple)
    x, _, weights = tf.keras.utils.unpack_x_y_sample_weight(batches.element_spec)
    _check_no_dict(x)
    parts = x if isinstance(x, tuple) else (x,)
    if not all(isinstance(part, tf.TensorSpec) for part in parts):
        return batches
    for name, spec in (*(("x", part) for part in parts), ("sample_weight", weights)):
        if isinstance(spec, tf.TensorSpec):
            array_checks.check_dtype(name, spec)
    if x is parts[0] and not x.shape.is_compatible_with([None, *event_shape]):
        raise ValueError(
            f"`x` must hold batches of shape {[None, *map(int, event_shape)]}, got batches of "
            f"shape {x.shape.as_list() if x.shape.rank is not None else x.shape}."
        )

    def check(*element):
        parts = tf.keras.utils.unpack_x_y_sample_weight(element if is_tuple else element[0])
        with tf.control_dependencies([_check_in_graph(*parts, num_components, dtype)]):
            checked = tf.nest.map_structure(tf.identity, element)
        return checked if is_tuple else checked[0]

    return batches.map(check)


def _check_no_dict(x):
    """Raises a `TypeError` if batches hold columns by name, because their order is unknown."""
    if isinstance(x, Mapping):
        raise TypeError(
            f"`x` must hold batches of points, got dicts with the keys {', '.join(map(repr, x))}: "
            "stack their columns, for example with "
            "`data.map(lambda row: tf.stack([row[key] for key in keys], axis=-1))`."
        )


@contextlib.contextmanager
def value_errors_of_batches() -> Iterator[None]:
    """Converts TensorFlow's errors from checked data sets back to the original `ValueError`s."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        found = re.search(r"ValueError: (`(?:x|y|sample_weight)[^`]*` must .*)", str(error))
        if found is None:
            raise
        raise ValueError(found.group(1)) from None


def _check_in_graph(x, y, weights, num_components, dtype):
    """An operation that fails if a batch is invalid; it is cheap for a valid batch."""
    x = as_rows(x, dtype) if isinstance(x, tuple) else x
    good = [tf.math.is_finite(tf.cast(x, dtype))]
    if y is not None and y.dtype.is_integer:
        good.append((y >= -1) & (y < tf.cast(num_components, y.dtype)))
    if weights is not None:
        finite = tf.math.is_finite(tf.cast(weights, dtype))
        good.append((weights >= tf.zeros([], weights.dtype)) & finite)
    parts = [part for part in (x, y, weights) if part is not None]
    is_there = [part is not None for part in (x, y, weights)]

    def report(*arrays):  # TensorFlow never frees this function: it must not refer to data
        arrays = iter(arrays)
        parts = (next(arrays) if there else None for there in is_there)
        _check_values(*parts, num_components, dtype)
        return np.True_

    return tf.cond(
        tf.reduce_all([tf.reduce_all(part) for part in good]),
        lambda: tf.constant(True),
        lambda: tf.numpy_function(report, parts, tf.bool),
    )


def _check_values(x, y, weights, num_components, dtype):
    """Raises the `ValueError` of the first invalid part."""
    array_checks.check_finite("x in a batch", x, dtype)
    if y is not None and y.size:
        array_checks.check_labels(y, num_components, name="y in a batch")
    if weights is not None:
        array_checks.check_weight_values("sample_weight in a batch", weights)
