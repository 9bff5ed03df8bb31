"""Checks the arguments of `fit` other than the data, before any work is done."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number, check_whole_number

__all__ = [
    "batch_size_of",
    "check_class_weight",
    "check_fit_arguments",
    "check_no_loss",
    "num_steps",
    "passed_on",
]


def passed_on(arguments: dict) -> dict:
    """Selects, from the `locals()` of a method, the arguments that are passed on to Keras.

    #### Examples

    >>> passed_on({"self": 1, "x": 2, "kwargs": {"workers": 3}})
    {'x': 2, 'workers': 3}
    """
    left_out = ("self", "kwargs", "__class__")
    own = {name: value for name, value in arguments.items() if name not in left_out}
    return {**own, **arguments.get("kwargs", {})}


def check_fit_arguments(arguments: dict) -> dict:
    """Checks the arguments of `fit` other than the data.

    Args:
      arguments: those of `keras.Model.fit` by name.

    Returns:
      The same arguments, with callbacks as a list.

    Raises:
      ValueError: if a number is out of its range, or there is a `class_weight`.
      TypeError: if an entry of `callbacks` is not a callback.

    #### Examples

    >>> check_fit_arguments({"epochs": 2})
    {'epochs': 2, 'callbacks': []}
    """
    check_class_weight(arguments.get("class_weight"))
    for name in ("batch_size", "validation_batch_size", "steps_per_epoch"):
        if arguments.get(name) is not None:
            check_whole_number(name, arguments[name])
    for name in ("epochs", "initial_epoch"):
        if name in arguments:
            check_whole_number(name, arguments[name], 0)
    fraction = arguments.get("validation_split")
    if fraction is not None:
        check_number("validation_split", fraction, lambda f: 0 <= f < 1, "be in (0, 1)")
    return {**arguments, "callbacks": _as_list(arguments.get("callbacks"))}


def check_class_weight(class_weight) -> None:
    """Raises a `ValueError` if there is a `class_weight`.

    #### Examples

    >>> check_class_weight(None)
    """
    if class_weight is not None:
        raise ValueError(
            "`class_weight` is not supported: give `sample_weight` instead, for example "
            "`[class_weight[k] for k in labels]`."
        )


def check_no_loss(arguments: dict) -> None:
    """Raises a `ValueError` if `compile` is called with a loss or metrics.

    #### Examples

    >>> check_no_loss({"run_eagerly": True})
    """
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if arguments.get(name):
            raise ValueError(
                f"`{name}` cannot be chosen: the loss of a flow, and all its metrics, are its "
                "negative log-likelihood."
            )


def batch_size_of(x, batch_size: int | None, steps: int | None) -> int:
    """The batch size of an array, by Keras' rule.

    Args:
      x: an array `[N, ...]`.
      batch_size: the user's batch size, or `None`.
      steps: the user's number of batches, or `None`.

    Returns:
      The user's batch size; else the one that gives this number of batches; else 32.

    #### Examples

    >>> batch_size_of(tf.zeros([100, 2]), None, 4), batch_size_of(tf.zeros([100, 2]), None, None)
    (25, 32)
    """
    return batch_size or (math.ceil(len(x) / steps) if steps else 32)


def num_steps(x, arguments: dict) -> int | None:
    """The number of training steps in all epochs of a `fit`; `None` if it is unknown.

    Args:
      x: the data.
      arguments: of `fit`, by name.

    #### Examples

    >>> num_steps(tf.zeros([100, 2]), {"epochs": 3})
    12
    """
    epochs = arguments.get("epochs", 1)  # all, so that a resumed `fit` has the same number
    steps = arguments.get("steps_per_epoch")
    if steps is None and hasattr(x, "shape"):
        steps = math.ceil(len(x) / batch_size_of(x, arguments.get("batch_size"), None))
    if steps is None and isinstance(x, tf.data.Dataset):
        cardinality = int(x.cardinality())
        steps = cardinality if cardinality >= 0 else None
    elif steps is None and hasattr(x, "__len__"):
        steps = len(x)
    return None if steps is None else int(epochs * steps)


def _as_list(callbacks):
    if callbacks is None:
        return []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # it may be a `CallbackList`
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in callbacks:
        if not hasattr(callback, "set_model"):
            raise TypeError(f"`callbacks` must be Keras callbacks, got {callback!r}.")
    return callbacks
