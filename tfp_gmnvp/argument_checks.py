"""Arguments that are one of several choices, and sizes of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfp_gmnvp.checks import did_you_mean

__all__ = ["as_sizes", "as_tuple", "check_choice"]


def check_choice(name: str, value, choices: Sequence) -> None:
    """Raises a `ValueError` unless this is one of some strings, or `None` where that is one.

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


def as_tuple(name: str, value) -> tuple:
    """What a sequence holds.

    Raises:
      TypeError: if it is none, or a string.

    #### Examples

    >>> as_tuple("num_components", range(1, 3))
    (1, 2)
    """
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise TypeError(f"`{name}` must be a sequence of whole numbers, got {value!r}.")
    return tuple(value)


def as_sizes(name: str, value) -> tuple[int, ...]:
    """Widths of layers, possibly none.

    Raises:
      TypeError: if it is no sequence.
      ValueError: if it holds anything but whole numbers >= 1.

    #### Examples

    >>> as_sizes("hidden_units", [64, 64])
    (64, 64)
    """
    sizes = as_tuple(name, value)
    if not all(isinstance(size, (int, np.integer)) and size >= 1 for size in sizes):
        raise ValueError(f"`{name}` must hold whole numbers >= 1, got {list(sizes)!r}.")
    return tuple(int(size) for size in sizes)
