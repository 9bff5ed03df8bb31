"""Tables like those that were read: an array, or a table of pandas or polars."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp.density.columns.base import ColumnKind, inside
from tfp_gmnvp.density.columns.category import Category
from tfp_gmnvp.density.columns.circular import Circular
from tfp_gmnvp.density.columns.reading import Column

__all__ = ["Container"]

_LIBRARIES = ("pandas", "polars")


@dataclasses.dataclass(frozen=True)
class Container:
    """What a table was, by which one like it is built.

    Attributes:
      library: 'pandas' or 'polars', or `None` for an array.
      names: the columns' names.
      dtypes: the names of the columns' dtypes.

    #### Examples

    >>> Container(None, (0, 1), ("int64", "int64")).library is None
    True
    """

    library: str | None
    names: tuple[str | int, ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of(cls, x, columns: Sequence[Column]) -> Container:
        """Describes a table, of these columns."""
        library = type(x).__module__.partition(".")[0] if tables.is_table(x) else None
        return cls(
            library if library in _LIBRARIES else None,
            tuple(column.name for column in columns),
            tuple(column.dtype for column in columns),
        )

    def build(self, kinds: Sequence[ColumnKind], numbers: Sequence[np.ndarray]):
        """Builds a table.

        Args:
          kinds: of the columns.
          numbers: the numbers x of each column, NaN where missing.

        Returns:
          A table of the library, or an array `[N, D]`.
        """
        columns = [
            _in_dtype(kind, x, dtype)
            for kind, x, dtype in zip(kinds, numbers, self.dtypes, strict=True)
        ]
        if self.library is None:
            return _stacked(columns)
        library = importlib.import_module(self.library)
        table = library.DataFrame(dict(zip(self.names, columns, strict=True)))
        return _as_pandas(table, kinds, self.dtypes) if self.library == "pandas" else table


def _in_dtype(kind, x, dtype):
    """The values of numbers, in a dtype of NumPy if it can hold them."""
    values = kind.values_of(x)
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        return values
    has_missing = bool(np.isnan(x).any())
    if dtype.kind == "f":
        return _within_bounds(kind, values.astype(dtype))
    if dtype.kind in "iub" and kind.is_discrete and not has_missing:
        return values.astype(dtype)
    return values


def _within_bounds(kind, x):
    """Numbers of lower precision that are not rounded onto a bound."""
    if isinstance(kind, Circular):
        return kind.numbers_of(x).astype(x.dtype)
    return inside(x, *getattr(kind, "bounds", (-np.inf, np.inf)))


def _stacked(columns):
    if any(column.dtype == object for column in columns):
        table = np.empty([len(columns[0]), len(columns)], object)
        for j, column in enumerate(columns):
            table[:, j] = column
        return table
    return np.stack(columns, axis=1)


def _as_pandas(table, kinds, dtypes):
    """Casts a DataFrame's columns to the dtypes they had, where these can hold the values."""
    import pandas

    columns = {}
    for j, (kind, dtype) in enumerate(zip(kinds, dtypes, strict=True)):
        column = table.iloc[:, j]
        is_whole = dtype.lower().startswith(("int", "uint"))
        if dtype == "category" and isinstance(kind, Category):
            values = sorted(kind.categories, key=lambda value: (isinstance(value, str), value))
            column = column.astype(pandas.CategoricalDtype(values))
        elif kind.is_discrete or not is_whole:
            with contextlib.suppress(TypeError, ValueError):
                column = column.astype(dtype)
        columns[table.columns[j]] = column
    return pandas.DataFrame(columns)
