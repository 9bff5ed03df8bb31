"""Checks of array arguments: points, labels and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.dense import check_dense

__all__ = [
    "as_array",
    "check_dtype",
    "check_enough",
    "check_finite",
    "check_labels",
    "check_points",
    "check_resolvable",
    "check_rows",
    "check_some_weight",
    "check_tensor_dtype",
    "check_weight_values",
    "check_weights",
]

_CHUNK = 65_536
_ROWS_TO_TELL_APART = 4096
_FEWEST_SPACINGS = 4.5  # for a tenth of the rows; 18 in a normal's standard deviation


def as_array(x, name: str = "x"):
    """Converts lists and tables to arrays; anything else is returned unchanged.

    Args:
      x: anything; lists, masked arrays and objects with `to_numpy` become arrays.
      name: name of the argument in errors.

    Raises:
      ValueError: if rows have different lengths, or entries are masked.
      TypeError: if it is sparse or ragged.

    #### Examples

    >>> as_array([[0, 1]]).tolist(), as_array(None)
    ([[0, 1]], None)
    """
    check_dense(name, x)
    if isinstance(x, np.ma.MaskedArray):
        check_rows(name, np.ma.getmaskarray(x), lambda rows: ~rows, "without masked entries")
        return x.data
    if not isinstance(x, (list, tuple)) and not hasattr(x, "to_numpy"):
        return x
    try:
        return np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    except ValueError as error:
        raise ValueError(f"`{name}` must have rows of one length: {error}") from error


def check_points(x, event_shape: Sequence[int], dtype=tf.float32, *, name: str = "x") -> None:
    """Raises an error unless an array holds points, `[N, *event_shape]`, all finite.

    Args:
      x: an array or tensor; of an `np.memmap`, which may be large, only shape and dtype are
        checked.
      event_shape: the shape of a point.
      dtype: float dtype that the points are cast to, whose range they must be in.
      name: name of the array in errors.

    Raises:
      TypeError: if it does not hold numbers.
      ValueError: if it has another shape, or holds NaN or infinity.

    #### Examples

    >>> check_points(np.zeros([5, 2]), [2])
    """
    check_dtype(name, x)
    event_shape = [int(size) for size in event_shape]
    if list(x.shape[1:]) != event_shape or not len(x.shape) or not x.shape[0]:
        size = f"vectors of size {event_shape[0]}" if len(event_shape) == 1 else "points"
        sizes = ", ".join(["N", *map(str, event_shape)])
        raise ValueError(
            f"`{name}` must hold {size}, shape [{sizes}] with N >= 1, got shape {list(x.shape)}."
        )
    if not isinstance(x, np.memmap):
        check_finite(name, np.asarray(x), dtype)


def check_tensor_dtype(name: str, value, dtype) -> None:
    """Raises a `TypeError` if a tensor has another dtype; TFP converts anything else.

    #### Examples

    >>> check_tensor_dtype("x", tf.zeros([2]), tf.float32)
    """
    if dtype is None or not (tf.is_tensor(value) or isinstance(value, tf.Variable)):
        return
    dtype, found = tf.as_dtype(dtype), tf.as_dtype(value.dtype)
    if found != dtype:
        raise TypeError(
            f"`{name}` must be a tensor of dtype {dtype.name}, the flow's, got "
            f"{found.name}: cast it by `tf.cast({name}, tf.{dtype.name})`, or build the flow with "
            f"`dtype=tf.{found.name if found.is_floating else 'float64'}`."
        )


def check_enough(name: str, x, num_components: int) -> None:
    """Raises a `ValueError` if there are fewer points than components.

    #### Examples

    >>> check_enough("x", np.zeros([5, 2]), 5)
    """
    if len(x) < num_components:
        raise ValueError(
            f"`{name}` must hold at least as many points as the mixture has components, "
            f"{num_components}, got {len(x)}."
        )


def check_finite(name: str, x: np.ndarray, dtype=tf.float32, rows=None) -> None:
    """Raises a `ValueError` if an array holds NaN, infinity, or values that overflow the dtype."""
    highest = float(tf.as_dtype(dtype).max)

    def is_finite(values):
        return np.abs(values.astype(np.float64)) <= highest  # False for NaN

    check_rows(name, x, is_finite, f"finite numbers in {tf.as_dtype(dtype).name}", rows)


def check_labels(
    y: np.ndarray,
    num_components: int,
    rows=None,
    *,
    name: str = "y",
    hint: str = " More classes take more components.",
) -> None:
    """Raises a `ValueError` unless all labels are indices of components, or -1.

    #### Examples

    >>> check_labels(np.array([0, 1, -1]), 2)
    """
    check_rows(
        name,
        y,
        lambda values: np.isin(values, np.arange(-1, num_components)),
        f"indices of components, 0 .. {num_components - 1}, or -1 where there is no label",
        rows,
        hint=hint,
    )


def check_weights(weights, num_points: int, *, name: str = "sample_weight") -> None:
    """Raises an error unless an array holds weights `[N]`, finite and not negative.

    #### Examples

    >>> check_weights(np.ones([5]), 5)
    """
    check_dtype(name, weights)
    if tuple(weights.shape) not in ((num_points,), (num_points, 1)):
        raise ValueError(
            f"`{name}` must hold one weight for each of the {num_points} points, got shape "
            f"{list(weights.shape)}."
        )
    check_weight_values(name, np.asarray(weights))


def check_some_weight(weights, *, name: str = "sample_weight") -> None:
    """Raises a `ValueError` if all weights are zero.

    #### Examples

    >>> check_some_weight(np.array([0.0, 1.0]))
    """
    if not np.any(np.asarray(weights)):
        raise ValueError(
            f"`{name}` must have a weight above zero, and all {len(weights)} are zero."
        )


def check_resolvable(name: str, x, dtype, *, loc, scale, hint: str) -> None:
    """Raises a `ValueError` if a dtype cannot resolve the values of a column.

    That is, if a tenth of the distinct values, at least five, lie within four spacings of the
    dtype. Fewer than ten rows, and constant columns, are not checked.

    Args:
      name: name of the points in errors.
      x: points `[N, D]`; at most 4,096 rows are checked.
      dtype: float dtype that `(x - loc) / scale` is cast to.
      loc: `[D]`.
      scale: positive, `[D]`.
      hint: the last sentence of the error, with a remedy.

    #### Examples

    >>> x = np.linspace(0.0, 1.0, 50)[:, np.newaxis]
    >>> check_resolvable("x", x, tf.float32, loc=[0.0], scale=[1.0], hint="")
    """
    x = np.asarray(x[:: max(1, len(x) // _ROWS_TO_TELL_APART)], np.float64)
    if len(x) < 10:
        return
    cast = tf.as_dtype(dtype).as_numpy_dtype
    values = (x - loc) / scale
    for column in range(x.shape[1]):
        different = np.unique(values[:, column])
        number = min(len(different), max(5, -(-len(different) // 10)))
        width = different[number - 1 :] - different[: len(different) - number + 1]
        farthest = np.maximum(np.abs(different[number - 1 :]), np.abs(different[: len(width)]))
        with np.errstate(over="ignore"):
            spacing = np.spacing(farthest.astype(cast)).astype(np.float64)
        if number > 1 and np.any(width < _FEWEST_SPACINGS * spacing):
            unit = scale[column]
            raise ValueError(
                f"`{name}` would lose the differences between its rows: column {column} lies about "
                f"{np.median(x[:, column]):.6g} with a spread of {x[:, column].std():.3g}, where "
                f"{tf.as_dtype(dtype).name} resolves differences of "
                f"{spacing[np.argmin(width / spacing)] * unit:.3g} at best. {hint}"
            )


def check_rows(
    name: str, array: np.ndarray, is_good: Callable, must_be: str, rows=None, hint: str = ""
) -> None:
    """Raises a `ValueError` if a row has an invalid entry, with their number and the first of them.

    Args:
      name: name of the array in errors.
      array: `[N, ...]`.
      is_good: returns which entries of a chunk of rows are valid.
      must_be: description of valid entries.
      rows: indices of the rows in the whole array, `[N]`; `None` for 0 .. N-1.
      hint: the end of the error.
    """
    count, first = 0, None
    for start in range(0, len(array), _CHUNK):
        good = np.asarray(is_good(array[start : start + _CHUNK]))
        bad = np.flatnonzero(~good.reshape(len(good), -1).all(axis=1))
        if len(bad) and first is None:
            first = start + int(bad[0])
        count += len(bad)
    if not count:
        return
    number = first if rows is None else int(rows[first])
    raise ValueError(
        f"`{name}` must hold {must_be}, and {count} of its {len(array)} rows do not, the "
        f"first of them row {number}, got {_shown(np.asarray(array[first]))}.{hint}"
    )


def _shown(row):
    values = ", ".join(str(value) for value in row.ravel()[:8])
    return values if row.size <= 8 else f"{values}, ..."


def check_dtype(name: str, x) -> None:
    """Raises a `TypeError` unless an array has a dtype of real numbers."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"`{name}` must be an array of real numbers, got {x!r}.")
    try:
        dtype = tf.as_dtype(x.dtype)
    except TypeError:
        dtype = None
    if dtype is None or not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise TypeError(
            f"`{name}` must hold real numbers, got dtype {getattr(x.dtype, 'name', x.dtype)}: "
            "convert it, for example by `np.asarray(..., dtype=float)`."
        )


def check_weight_values(name: str, weights: np.ndarray, rows=None) -> None:
    """Raises a `ValueError` if a weight is negative or not finite."""

    def is_weight(values):
        return (values >= 0) & (values < np.inf)

    check_rows(name, weights, is_weight, "finite weights that are not negative", rows)
