"""The data that a flow is trained on, in the forms that both Kerases' `fit` takes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["as_array", "stand_in_targets", "training_arguments"]


def training_arguments(arguments: dict) -> dict:
    """The arguments of `fit` such that both Kerases read points and weights as they are meant.

    Args:
      arguments: those of `keras.Model.fit` by name, `x` among them.

    Returns:
      The arguments with arrays for lists and tables, the last rows taken off for validation
      where there is a `validation_split`, and targets that keep the sample weights.

    Raises:
      ValueError: if there is a `class_weight`, or a `validation_split` of what is no array.

    #### Examples

    >>> x = np.arange(8.0).reshape(4, 2)
    >>> arguments = training_arguments({"x": x, "validation_split": 0.25})
    >>> len(arguments["x"]), arguments["validation_data"][0].tolist()
    (3, [[6.0, 7.0]])
    """
    if arguments.get("class_weight") is not None:
        raise ValueError(
            "`class_weight` weighs targets, and a flow has none: give `sample_weight` instead, "
            "for one as `[class_weight[k] for k in labels]`."
        )
    x, sample_weight = as_array(arguments["x"]), as_array(arguments.get("sample_weight"))
    arguments = {**arguments, "x": x, "sample_weight": sample_weight}
    fraction = arguments.pop("validation_split", None)
    if fraction and arguments.get("validation_data") is None:
        arguments.update(_split(x, sample_weight, fraction))
    arguments["y"] = stand_in_targets(arguments["x"], arguments["sample_weight"])
    arguments["validation_data"] = _validation_data(arguments.get("validation_data"))
    arguments["callbacks"] = _as_list(arguments.get("callbacks"))
    if isinstance(x, tf.data.Dataset):
        arguments.setdefault("shuffle", False)  # its default makes Keras warn of a data set
    return arguments


def as_array(x):
    """Lists and tables as arrays, and all else as it is; Keras takes a list for several inputs."""
    return np.asarray(x) if isinstance(x, (list, tuple)) or hasattr(x, "to_numpy") else x


def stand_in_targets(x, sample_weight):
    """Targets that nobody reads: without any, Keras drops the sample weights of an array."""
    return np.zeros(len(x)) if sample_weight is not None and hasattr(x, "shape") else None


def _validation_data(data):
    """Validation data as `(x,)` or with weights; a data set as it is."""
    if isinstance(data, list) and np.ndim(data[0]) == 1:
        data = np.asarray(data)  # points, rather than `[x, y]`
    if hasattr(data, "shape") or hasattr(data, "to_numpy"):
        data = (data,)
    if not isinstance(data, (tuple, list)):
        return data
    x, _, sample_weight = tf.keras.utils.unpack_x_y_sample_weight(tuple(data))
    x, sample_weight = as_array(x), as_array(sample_weight)
    if sample_weight is None:
        return (x,)
    return x, stand_in_targets(x, sample_weight), sample_weight


def _split(x, sample_weight, fraction):
    """Keeps the last rows for validation, as Keras does."""
    if not hasattr(x, "shape"):
        raise ValueError(
            f"`validation_split` takes rows off an array, and `x` is a {type(x).__name__}: give "
            "`validation_data` instead."
        )
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_split` must be in (0, 1), got {fraction!r}.")
    size = int(len(x) * (1 - fraction))
    if sample_weight is None:
        return {"x": x[:size], "validation_data": (x[size:],)}
    return {
        "x": x[:size],
        "sample_weight": sample_weight[:size],
        "validation_data": (x[size:], None, sample_weight[size:]),
    }


def _as_list(callbacks):
    if callbacks is None:
        return []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # of a `CallbackList`
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
