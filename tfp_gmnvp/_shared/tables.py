"""Tables of pandas, polars and other libraries: columns with names and dtypes."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import array_checks

__all__ = ["Names", "as_array", "column_names", "is_table", "shown_names"]

MOST_SHOWN = 8

Names = tuple[str | int, ...]


def is_table(x) -> bool:
    """Whether the value is a table with column names, as in pandas or polars.

    #### Examples

    >>> is_table(np.zeros([2, 2]))
    False
    """
    return all(hasattr(x, name) for name in ("columns", "to_numpy"))


def as_array(x, name: str = "x"):
    """Checks the dtypes of a table's columns, and converts it by `array_checks.as_array`.

    Args:
      x: anything.
      name: name of the argument in errors.

    Raises:
      TypeError: if a column does not hold numbers, by its dtype.

    #### Examples

    >>> as_array([[0.0, 1.0]]).shape
    (1, 2)
    """
    if is_table(x) and hasattr(x, "dtypes"):
        _check_dtypes(x, name)
    return array_checks.as_array(x, name)


def column_names(x) -> Names | None:
    """Returns the names of a table's columns, strings or integers; `None` for anything else.

    #### Examples

    >>> column_names(np.zeros([2, 2])) is None
    True
    """
    return tuple(_plain(column) for column in x.columns) if is_table(x) else None


def shown_names(names: Sequence) -> str:
    """Formats names for an error, at most the first few.

    #### Examples

    >>> shown_names(("a", 1))
    "'a', 1"
    """
    shown = ", ".join(map(repr, names[:MOST_SHOWN]))
    return shown if len(names) <= MOST_SHOWN else f"{shown}, ... ({len(names)} in all)"


def _check_dtypes(x, name):
    others = [
        f"{_plain(column)!r} ({dtype})"
        for column, dtype in zip(x.columns, x.dtypes, strict=True)
        if not _is_number(dtype)
    ]
    if others:
        shown = ", ".join(others[:MOST_SHOWN]) + (", ..." if len(others) > MOST_SHOWN else "")
        columns = "columns" if len(others) > 1 else "column"
        raise TypeError(
            f"`{name}` must hold real numbers in each column, of a dtype such as float64 or int64, "
            f"got {columns} {shown}: convert numbers, for example by `.astype(float)`, and "
            "leave out the rest."
        )


def _is_number(dtype) -> bool:
    """Whether a dtype of NumPy, pandas or polars is numeric, with NaN alone for missing values."""
    if type(dtype).__name__ == "SparseDtype":
        dtype = dtype.subtype
    if isinstance(dtype, np.dtype):
        return dtype.kind in "iuf"
    kinds = (getattr(dtype, name, None) for name in ("is_float", "is_integer"))
    return any(callable(kind) and kind() for kind in kinds)


def _plain(column) -> str | int:
    """Converts a name to a type that JSON takes."""
    is_whole = isinstance(column, numbers.Integral) and not isinstance(column, bool)
    return int(column) if is_whole else str(column)
