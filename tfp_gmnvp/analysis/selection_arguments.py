"""The arguments of `select_components`, checked before any work."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping

import numpy as np

from tfp_gmnvp._shared.arguments import as_tuple, check_choice, check_whole_number
from tfp_gmnvp.density.arguments import check_names, checked_table
from tfp_gmnvp.training.progress import check_verbose

__all__ = [
    "check_choices",
    "check_enough",
    "check_options",
    "check_settings",
    "checked_numbers",
    "checked_test",
]

CRITERIA = ("bic", "aic", "icl", "held_out")

_PASSED_ON = (
    *("callbacks", "initial_epoch", "shuffle", "steps_per_epoch", "validation_batch_size"),
    *("validation_data", "validation_freq", "validation_steps"),
)
_INSTEAD = {
    "class_weight": "takes no weights of classes: give `sample_weight`",
    "y": "takes no labels; `FlowModel.fit(x, y)` does",
    "validation_split": "trains on all of x: give `validation_data`, or `x_test` to be scored",
}


def check_options(function: Callable, options: Mapping) -> None:
    """Raises a `TypeError` for the first name that `FlowModel.fit` is not to get.

    Args:
      function: `select_components`.
      options: what it would pass on, by name.
    """
    known = [*inspect.signature(function).parameters, *_PASSED_ON]
    check_names(function.__name__, options, known, _INSTEAD)


def checked_test(x_test, event_size: int) -> np.ndarray:
    """Held-out data with as many columns as the data."""
    x_test = checked_table(x_test, fewest_rows=2, name="x_test")
    if x_test.shape[1] != event_size:
        raise ValueError(
            f"`x_test` must have as many columns as `x`, {event_size}, got {x_test.shape[1]}."
        )
    return x_test


def checked_numbers(num_components) -> list[int]:
    """Numbers of components, ascending, each once."""
    found = list(as_tuple("num_components", num_components))
    if not found or not all(isinstance(k, numbers.Integral) and k >= 1 for k in found):
        raise ValueError(f"`num_components` must be whole numbers >= 1, got {found!r}.")
    return sorted({int(k) for k in found})


def check_choices(criterion, num_folds, batch_size, epochs, num_points) -> None:
    """Raises a `ValueError` if a criterion or number is out of its range."""
    check_choice("criterion", criterion, list(CRITERIA))
    if not isinstance(num_folds, numbers.Integral) or not 2 <= num_folds <= num_points:
        raise ValueError(
            f"`num_folds` must be a whole number from 2 to {num_points}, the number of points, "
            f"got {num_folds!r}."
        )
    check_whole_number("batch_size", batch_size)
    check_whole_number("epochs", epochs)


def check_settings(make_model, verbose, seed) -> None:
    """Raises an error if one of these is invalid."""
    if not (make_model is None or callable(make_model)):
        raise TypeError(f"`make_model` must be callable, or `None`, got {make_model!r}.")
    check_verbose(verbose)
    check_whole_number("seed", seed, 0)


def check_enough(num_components, num_points, num_folds) -> None:
    """There must be as many points as components wherever a model is trained."""
    fewest = num_points - -(-num_points // num_folds) if num_folds else num_points
    if num_components[-1] > fewest:
        where = f", {fewest} outside a fold," if num_folds else ""
        raise ValueError(
            f"`num_components` must hold no more components than there are points, {num_points}"
            f"{where or ','} got {num_components[-1]}."
        )
