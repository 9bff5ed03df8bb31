"""The data that a flow is trained on, in the forms that both Kerases' `fit` takes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.labels import checked_labels, no_labels

__all__ = ["as_array", "points_and_labels", "training_arguments"]


def training_arguments(arguments: dict, num_components: int = 1) -> dict:
    """The arguments of `fit` such that both Kerases read points and weights as they are meant.

    Args:
      arguments: those of `keras.Model.fit` by name, `x` among them.
      num_components: K, which says what labels there can be.

    Returns:
      The arguments with arrays for lists and tables, the last rows taken off for validation
      where there is a `validation_split`, and targets that are labels, or keep the sample weights.

    Raises:
      ValueError: if there is a `class_weight`, a `validation_split` of what is no array, or labels
        that are no components.

    #### Examples

    >>> x = np.arange(8.0).reshape(4, 2)
    >>> arguments = training_arguments({"x": x, "validation_split": 0.25})
    >>> len(arguments["x"]), arguments["validation_data"][0].tolist()
    (3, [[6.0, 7.0]])
    """
    if arguments.get("class_weight") is not None:
        raise ValueError(
            "`class_weight` is not supported: give `sample_weight` instead, for one as "
            "`[class_weight[k] for k in labels]`."
        )
    data = (arguments["x"], arguments.get("y"), arguments.get("sample_weight"))
    arguments = {**arguments, **points_and_labels(*data, num_components)}
    fraction = arguments.pop("validation_split", None)
    if fraction and arguments.get("validation_data") is None:
        arguments.update(
            _split(arguments["x"], arguments["y"], arguments["sample_weight"], fraction)
        )
    arguments["validation_data"] = _validation_data(
        arguments.get("validation_data"), num_components
    )
    arguments["callbacks"] = _as_list(arguments.get("callbacks"))
    if isinstance(arguments["x"], tf.data.Dataset):
        arguments.setdefault("shuffle", False)  # its default makes Keras warn of a data set
    return arguments


def points_and_labels(x, y, sample_weight, num_components: int) -> dict:
    """Points, labels and weights of one call of a Keras method.

    Args:
      x: what Keras takes for `x`.
      y: labels `[N]` in -1 .. K-1 that go with an array, or `None`.
      sample_weight: weights `[N]` that go with an array, or `None`.
      num_components: K.

    Returns:
      The arguments `x`, `y` and `sample_weight`, as arrays where they are lists or tables.

    Raises:
      ValueError: if `y` holds what are no labels.

    #### Examples

    >>> data = points_and_labels([[0.0], [1.0]], [1, -1], None, num_components=2)
    >>> data["x"].shape, data["y"].tolist()
    ((2, 1), [1, -1])
    """
    x, sample_weight = as_array(x), as_array(sample_weight)
    if hasattr(x, "shape"):
        y = checked_labels(as_array(y), len(x), num_components)
        if y is None and sample_weight is not None:
            y = no_labels(len(x))
    return {"x": x, "y": y, "sample_weight": sample_weight}


def as_array(x):
    """Lists and tables as arrays, and all else as it is; Keras takes a list for several inputs."""
    return np.asarray(x) if isinstance(x, (list, tuple)) or hasattr(x, "to_numpy") else x


def _validation_data(data, num_components):
    """Validation data as `(x,)` or with labels and weights; a data set as it is."""
    if isinstance(data, list) and np.ndim(data[0]) == 1:
        data = np.asarray(data)  # points, rather than `[x, y]`
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        data = (data,)
    if not isinstance(data, (tuple, list)):
        return data
    data = tf.keras.utils.unpack_x_y_sample_weight(tuple(data))
    x, y, sample_weight = points_and_labels(*data, num_components).values()
    if sample_weight is None:
        return (x,) if y is None else (x, y)
    return x, y, sample_weight


def _split(x, y, sample_weight, fraction):
    """Keeps the last rows for validation, as Keras does."""
    if not hasattr(x, "shape"):
        raise ValueError(
            f"`validation_split` takes rows off an array, and `x` is a {type(x).__name__}: give "
            "`validation_data` instead."
        )
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_split` must be in (0, 1), got {fraction!r}.")
    size = int(len(x) * (1 - fraction))
    head, tail = (
        [None if rows is None else rows[part] for rows in (x, y, sample_weight)]
        for part in (slice(size), slice(size, None))
    )
    x, y, sample_weight = head
    return {"x": x, "y": y, "sample_weight": sample_weight, "validation_data": tuple(tail)}


def _as_list(callbacks):
    if callbacks is None:
        return []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a `CallbackList`
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
