"""Columns of any table, read one by one, with missing entries as NaN."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.dense import check_dense
from tfp_gmnvp.training.data.distinct_rows import by_value

__all__ = ["Column", "distinct_rows", "read_column", "read_columns"]

_CATEGORICAL = ("category", "Categorical", "Enum")


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Attributes:
      name: its name, or its number in a table without names.
      values: numbers `[N]` in float64 with NaN where missing; or, if it does not hold numbers
        alone, an object array of text and bools with `None` where missing.
      dtype: the name of its dtype in the table.
      weight: of each row, `[N]`.

    #### Examples

    >>> Column("age", np.array([31.0, np.nan]), "float64", np.ones(2)).is_missing.tolist()
    [False, True]
    """

    name: str | int
    values: np.ndarray
    dtype: str
    weight: np.ndarray

    @property
    def holds_numbers(self) -> bool:
        """Whether the values are numbers."""
        return self.values.dtype != object

    @property
    def is_missing(self) -> np.ndarray:
        """Which entries are missing, `[N]`."""
        if self.holds_numbers:
            return np.isnan(self.values)
        return np.array([value is None for value in self.values], bool)

    @property
    def counts(self) -> np.ndarray:
        """Which entries are not missing and have weight, `[N]`."""
        return ~self.is_missing & (self.weight > 0)

    def only(self, kept: np.ndarray) -> Column:
        """Returns the column with all entries missing but some."""
        missing = np.nan if self.holds_numbers else None
        return dataclasses.replace(self, values=np.where(kept, self.values, missing))

    def check_present(self) -> None:
        """Raises a `ValueError` if no entry counts."""
        if not self.counts.any():
            raise ValueError(
                f"column {self.name!r} is missing in all rows that have weight: leave it out."
            )

    def shown(self, row: int) -> str:
        """An entry and its row, for errors."""
        value = self.values[row]
        return f"{value.item() if isinstance(value, np.generic) else value!r} in row {row}"


def read_columns(x, sample_weight=None, *, name: str = "X") -> list[Column]:
    """Reads the columns of an array, a list of rows, or a table of pandas or polars.

    Args:
      x: the table `[N, D]`.
      sample_weight: weights `[N]`; `None` for ones.
      name: what it is called in errors.

    Returns:
      D columns.

    Raises:
      TypeError: if a column holds neither numbers nor text nor bools.
      ValueError: if it is no table, names repeat, or a number is infinite.

    #### Examples

    >>> [c.values.tolist() for c in read_columns([[1, "a"], [None, "b"]])]
    [[1.0, nan], ['a', 'b']]
    """
    raw = _table(x) if tables.is_table(x) else _array(x, name)
    num_rows = len(raw[0][1])
    if not num_rows:
        raise ValueError(f"`{name}` must have a row, got none.")
    weight = np.ones(num_rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return [
        Column(column, _values(column, entries, is_category), dtype, weight.reshape(-1))
        for column, entries, dtype, is_category in raw
    ]


def distinct_rows(table: Sequence[Column]) -> list[Column]:
    """Returns a table with equal rows joined to one, whose weight is their sum.

    Copies of whole rows say nothing about the kinds of columns, and a weight of two is the row
    twice. The order of the rows depends on their values alone. Rows of weight zero are left out. In
    a table of one column, equal rows are ties: it stays as it is.

    #### Examples

    >>> [c.weight.tolist() for c in distinct_rows(read_columns([[2.0, 5], [1.0, 6], [2.0, 5]]))]
    [[1.0, 2.0], [1.0, 2.0]]
    """
    if sum(len(set(column.values[column.counts].tolist())) > 1 for column in table) < 2:
        return list(table)
    counts = table[0].weight > 0
    table = [
        dataclasses.replace(column, values=column.values[counts], weight=column.weight[counts])
        for column in table
    ]
    first, group = by_value(np.stack([_codes(column.values) for column in table], axis=1))
    weight = np.bincount(group, table[0].weight)
    return [
        dataclasses.replace(column, values=column.values[first], weight=weight) for column in table
    ]


def _codes(values):
    """Whole numbers that are in the order of the values."""
    if values.dtype == object:
        values = np.array([f"{type(value).__name__} {value}" for value in values])
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def read_column(name: str | int, entries: np.ndarray) -> Column:
    """Reads one column of an array.

    Args:
      name: of the column.
      entries: `[N]`.

    Raises:
      TypeError: if it holds neither numbers nor text nor bools.
      ValueError: if a number is infinite.

    #### Examples

    >>> read_column("city", np.array(["a", None], object)).is_missing.tolist()
    [False, True]
    """
    dtype, weight = str(entries.dtype), np.ones(len(entries))
    return Column(name, _values(name, entries, is_category=False), dtype, weight)


def _table(x):
    names = tables.column_names(x)
    repeated = sorted({repr(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"`X` must have a name for each column, got {', '.join(repeated)} twice.")
    found = []
    for j, name in enumerate(names):
        series = x.iloc[:, j] if hasattr(x, "iloc") else x[x.columns[j]]
        dtype = str(series.dtype)
        is_category = dtype.startswith(_CATEGORICAL)
        found.append((name, np.asarray(series.to_numpy()), dtype, is_category))
    if not found:
        raise ValueError("`X` must have a column, got none.")
    return found


def _array(x, name):
    check_dense(name, x)
    if isinstance(x, np.ma.MaskedArray):
        x = np.where(np.ma.getmaskarray(x), None, x.data.astype(object))
    is_rows = isinstance(x, (list, tuple))
    array = _of_rows(x, name) if is_rows else np.asarray(x)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`{name}` must have shape [N, D], N and D >= 1, got {list(array.shape)}.")
    return [(j, array[:, j], str(array.dtype), False) for j in range(array.shape[1])]


def _of_rows(x, name):
    """Lists as an array of objects: NumPy would make text of the numbers beside text."""
    array = np.array(x) if not len(x) or np.ndim(x[0]) != 1 else None
    if array is not None:
        return array
    if len({len(row) for row in x}) > 1:
        raise ValueError(f"`{name}` must have rows of one length.")
    array = np.empty([len(x), len(x[0])], object)
    for i, row in enumerate(x):
        array[i] = list(row)
    return array


def _values(name, entries, is_category) -> np.ndarray:
    kind = entries.dtype.kind
    if kind in "iuf" and not is_category:
        return _finite(name, entries.astype(np.float64))
    if kind in "iufbUOT":
        return _of_objects(name, entries.astype(object), is_category)
    raise TypeError(
        f"column {name!r} must hold numbers, text or bools, got dtype {entries.dtype}: convert it "
        "to numbers, or leave it out."
    )


def _of_objects(name, entries, is_category) -> np.ndarray:
    values = np.empty(len(entries), object)
    for row, entry in enumerate(entries):
        values[row] = _plain(name, row, entry)
    kinds = {type(value) for value in values if value is not None}
    has_numbers = bool(kinds & {int, float})
    if not is_category and kinds <= {int, float}:
        return _finite(name, np.array([np.nan if v is None else v for v in values], np.float64))
    if has_numbers and kinds - {int, float}:
        first = next(str(v) for v in values if isinstance(v, (str, bool)))
        raise TypeError(
            f"column {name!r} must hold numbers alone or text alone, got both, for example "
            f"{first!r}: convert one to the other, or make missing entries NaN."
        )
    return values


def _plain(name, row, entry):
    """A number, text or bool in Python's own types; `None` where missing."""
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(entry, (bool, np.bool_)):
        return bool(entry)
    if isinstance(entry, str):
        return str(entry)
    if isinstance(entry, numbers.Real):
        if entry != entry:
            return None
        return int(entry) if isinstance(entry, numbers.Integral) else float(entry)
    raise TypeError(
        f"column {name!r} must hold numbers, text or bools, got {entry!r} in row {row}: convert "
        "it, or leave it out."
    )


def _finite(name, values) -> np.ndarray:
    rows = np.flatnonzero(np.isinf(values))
    if len(rows):
        raise ValueError(
            f"column {name!r} must hold finite numbers, or NaN where missing, got "
            f"{values[rows[0]]} in row {rows[0]}."
        )
    return values
