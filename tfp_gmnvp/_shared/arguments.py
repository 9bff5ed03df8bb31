"""Checks of scalar arguments: numbers, choices and sizes of layers."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Mapping, Sequence

import numpy as np

__all__ = [
    "as_sizes",
    "as_tuple",
    "check_choice",
    "check_number",
    "check_whole_number",
    "did_you_mean",
]


def check_choice(name: str, value, choices: Sequence) -> None:
    """Raises a `ValueError` unless the value is one of the choices, strings or `None`.

    #### Examples

    >>> check_choice("coupling", "spline", ["affine", "spline"])
    """
    known = list(choices)
    if (isinstance(value, str) or value is None) and value in known:
        return
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, known))}, got {value!r}."
        + did_you_mean(value, known)
    )


def as_tuple(name: str, value, of: str = "whole numbers") -> tuple:
    """Checks that a value is a sequence, and returns it as a tuple.

    Args:
      name: name of the argument in errors.
      value: anything.
      of: what it must hold, for the error.

    Raises:
      TypeError: if it is not a sequence, or a string.

    #### Examples

    >>> as_tuple("num_components", range(1, 3))
    (1, 2)
    """
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise TypeError(f"`{name}` must be a sequence of {of}, got {value!r}.")
    return tuple(value)


def as_sizes(name: str, value) -> tuple[int, ...]:
    """Checks the widths of layers, and returns them as a tuple.

    Raises:
      TypeError: if it is not a sequence.
      ValueError: if it holds anything but whole numbers >= 1.

    #### Examples

    >>> as_sizes("hidden_units", [64, 64])
    (64, 64)
    """
    sizes = as_tuple(name, value)
    if not all(isinstance(size, (int, np.integer)) and size >= 1 for size in sizes):
        raise ValueError(f"`{name}` must hold whole numbers >= 1, got {list(sizes)!r}.")
    return tuple(int(size) for size in sizes)


def check_number(name: str, value, is_good: Callable[[float], bool], must: str) -> None:
    """Raises an error unless the value is a finite number within its range.

    Args:
      name: name of the argument in errors.
      value: anything.
      is_good: returns whether a number is within the range.
      must: what the number must be, for the error.

    Raises:
      TypeError: if it is not a number.
      ValueError: if it is out of range or not finite.

    #### Examples

    >>> check_number("l2", 0.1, lambda l2: l2 >= 0, "not be negative")
    """
    if not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number, got {value!r}.")
    if not (abs(value) < math.inf and is_good(value)):
        but = "" if abs(value) < math.inf else ", and finite"
        raise ValueError(f"`{name}` must {must}{but}, got {value!r}.")


def check_whole_number(name: str, value, smallest: int = 1) -> None:
    """Raises a `ValueError` unless the value is a whole number >= `smallest`.

    #### Examples

    >>> check_whole_number("batch_size", 32)
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < smallest:
        raise ValueError(f"`{name}` must be a whole number >= {smallest}, got {value!r}.")


def did_you_mean(found, choices: Sequence) -> str:
    """Returns the end of an error message, which suggests the nearest choice, if any.

    #### Examples

    >>> did_you_mean("splines", ["affine", "spline"])
    " Did you mean 'spline'?"
    """
    names = {choice.lower(): choice for choice in choices if isinstance(choice, str)}
    near = difflib.get_close_matches(str(found).lower(), names, n=1)
    return f" Did you mean {names[near[0]]!r}?" if near else ""
