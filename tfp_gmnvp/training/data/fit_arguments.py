"""The data that a flow is trained on, in the forms that both Kerases' `fit` takes."""

from __future__ import annotations

import types
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.training.data import batch_checks, distinct_rows
from tfp_gmnvp.training.data.labels import checked_labels, no_labels

__all__ = ["check_class_weight", "points_and_labels", "training_arguments"]


def training_arguments(arguments: dict, flow) -> dict:
    """The arguments of `fit` such that both Kerases read points and weights as they are meant.

    Args:
      arguments: those of `keras.Model.fit` by name, `x` among them.
      flow: that is to be trained, which says what points and labels there can be.

    Returns:
      The arguments with arrays for lists and tables, the last rows taken off for validation
      where there is a `validation_split`, and targets that are labels, or keep the sample weights.

    Raises:
      ValueError: if there is a `class_weight`, a `validation_split` of what is no array, labels
        that are no components, or other data that will not do.
      TypeError: if data holds no numbers.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> x = np.arange(8.0).reshape(4, 2)
    >>> arguments = {"x": x, "validation_split": 0.25}
    >>> arguments = training_arguments(arguments, gaussian_mixture_flow(2, seed=0))
    >>> len(arguments["x"]), arguments["validation_data"][0].tolist()
    (3, [[6.0, 7.0]])
    """
    check_class_weight(arguments.get("class_weight"))
    data = (arguments["x"], arguments.get("y"), arguments.get("sample_weight"))
    for name in ("batch_size", "validation_batch_size", "steps_per_epoch"):
        if arguments.get(name) is not None:
            check_whole_number(name, arguments[name])
    for name in ("epochs", "initial_epoch"):
        if name in arguments:
            check_whole_number(name, arguments[name], 0)
    fraction = arguments.pop("validation_split", None)
    if fraction is not None:
        check_number("validation_split", fraction, lambda f: 0 <= f < 1, "be in (0, 1)")
    arguments = {**arguments, **points_and_labels(*data, flow)}
    if fraction and arguments.get("validation_data") is None:
        arguments.update(
            _split(arguments["x"], arguments["y"], arguments["sample_weight"], fraction)
        )
    arguments["validation_data"] = _validation_data(arguments.get("validation_data"), flow)
    arguments["callbacks"] = _as_list(arguments.get("callbacks"))
    if isinstance(arguments["x"], (tf.data.Dataset, types.GeneratorType)):
        arguments.setdefault("shuffle", False)  # its default makes Keras warn of these
    return arguments


def check_class_weight(class_weight) -> None:
    """Raises a `ValueError` if there are weights of classes, which Keras makes of targets.

    #### Examples

    >>> check_class_weight(None)
    """
    if class_weight is not None:
        raise ValueError(
            "`class_weight` is not supported: give `sample_weight` instead, for one as "
            "`[class_weight[k] for k in labels]`."
        )


def points_and_labels(x, y, sample_weight, flow, *, of: str = "", is_batch: bool = False) -> dict:
    """Points, labels and weights of one call of a Keras method.

    Args:
      x: what Keras takes for `x`; points with contexts as `conditional.paired` makes them.
      y: labels `[N]` in -1 .. K-1 that go with an array, or `None`.
      sample_weight: weights `[N]` that go with an array, or `None`.
      flow: that the points are for.
      of: what follows their names in errors.
      is_batch: whether they are one batch of several, which may all have weight zero.

    Returns:
      The arguments `x`, `y` and `sample_weight`, as arrays where they are lists or tables. A
      `tf.data.Dataset` checks its batches when their turn comes, as an `np.memmap` has them
      checked by whoever reads it.

    Raises:
      TypeError: if points or weights are not numbers.
      ValueError: if points, weights or labels will not do; see `checks`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 2, seed=0)
    >>> data = points_and_labels([[0, 5], [1, 3]], [1, -1], None, flow)
    >>> data["x"].shape, data["y"].tolist()
    ((2, 2), [1, -1])
    """
    num_components = flow.distribution.components_distribution.batch_shape[-1]
    row_shape = conditional.row_shape(flow)
    x, y = columns.as_array(x, f"x{of}", flow), array_checks.as_array(y, f"y{of}")
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
        precision.check_resolution(flow, x, f"x{of}")
        x = _keeping_digits(x, flow, is_batch)
        y = checked_labels(y, len(x), num_components, name=f"y{of}")
        if sample_weight is not None:
            array_checks.check_weights(sample_weight, len(x), name=f"sample_weight{of}")
            if not is_batch:
                array_checks.check_some_weight(sample_weight, name=f"sample_weight{of}")
            y = no_labels(len(x)) if y is None else y
    return {"x": x, "y": y, "sample_weight": sample_weight}


def _as_tuples(batches, name):
    """What a generator yields as Keras wants it: bare arrays as tuples of one."""
    for batch in batches:
        if not isinstance(batch, (tuple, list)) and not hasattr(batch, "shape"):
            raise ValueError(
                f"`{name}` must yield batches of points, as arrays or in tuples `(x, y, "
                f"sample_weight)`, got {type(batch).__name__}."
            )
        yield batch if isinstance(batch, tuple) else (np.asarray(batch),)


def _check_some_batches(x, name):
    """Raises a `ValueError` of batches that are known to be none."""
    is_sequence = hasattr(x, "__len__") and not hasattr(x, "shape")
    is_empty = is_sequence and not isinstance(x, tf.data.Dataset) and not len(x)
    if isinstance(x, tf.data.Dataset):
        is_empty = x.cardinality() == 0
    if is_empty:
        raise ValueError(f"`{name}` must hold points, and there is no batch in it.")


def _keeping_digits(x, flow, is_batch):
    """Float64 in a form that Keras does not cast: an array, for `row_batches`, or a tensor."""
    if precision.row_dtype(flow, x.dtype) == flow.dtype:
        return x
    if is_batch:
        return tf.constant(x, tf.float64)
    return x if isinstance(x, np.ndarray) else np.asarray(x)


def _validation_data(data, flow):
    """Validation data as `(x,)` or with labels and weights; a data set as it is."""
    if data is None:
        return None
    if isinstance(data, (list, tuple)) and not data:
        raise ValueError("`validation_data` must hold points, got none.")
    if isinstance(data, list) and np.ndim(data[0]) == 1:
        data = np.asarray(data)  # points, rather than `[x, y]`
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        data = (data,)
    if not isinstance(data, (tuple, list)):
        return points_and_labels(data, None, None, flow, of=" of validation_data")["x"]
    data = tf.keras.utils.unpack_x_y_sample_weight(tuple(data))
    data = points_and_labels(*data, flow, of=" of validation_data")
    x, y, sample_weight = data.values()
    if sample_weight is None:
        return (x,) if y is None else (x, y)
    return x, y, sample_weight


def _split(x, y, sample_weight, fraction):
    """Keeps the last rows for validation, as Keras does, but no copies of those to train on."""
    if not hasattr(x, "shape"):
        raise ValueError(
            f"`validation_split` takes rows off an array, and `x` is a {type(x).__name__}: give "
            "`validation_data` instead."
        )
    size = int(len(x) * (1 - fraction))
    parts = (slice(size), slice(size, None))
    if isinstance(x, np.ndarray) and not isinstance(x, np.memmap):  # which is never copied whole
        parts = distinct_rows.split(x, fraction)
    head, tail = (
        [None if rows is None else rows[part] for rows in (x, y, sample_weight)] for part in parts
    )
    x, y, sample_weight = head
    if sample_weight is not None:
        name = "sample_weight` of the rows left by `validation_split"
        array_checks.check_some_weight(sample_weight, name=name)
    return {"x": x, "y": y, "sample_weight": sample_weight, "validation_data": tuple(tail)}


def _as_list(callbacks):
    if callbacks is None:
        return []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a `CallbackList`
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in callbacks:
        if not hasattr(callback, "set_model"):
            raise TypeError(f"`callbacks` must be callbacks of Keras', got {callback!r}.")
    return callbacks
