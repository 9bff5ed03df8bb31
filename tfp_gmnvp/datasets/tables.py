"""Tables of numbers from CSV files, with errors that say which cell is at fault."""

import csv
import dataclasses
import difflib
import io
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["Table", "load_csv", "train_test_split"]

_DELIMITERS = ("\t", ";", ",")  # a semicolon in the first row wins: its commas are decimal ones
_MISSING = frozenset({"", "na", "n/a", "null", "none", "?", "-"})

Row = tuple[int, list[str]]


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A table of finite numbers.

    Args:
      values: float64 array `[N, D]`.
      columns: the D columns' names.

    >>> Table(np.zeros([3, 2]), ("width", "height")).columns
    ('width', 'height')
    """

    values: np.ndarray
    columns: tuple[str, ...]


def load_csv(
    path: str | os.PathLike, *, columns: Sequence[str] | None = None, min_rows: int = 2
) -> Table:
    """Reads a CSV file of numbers.

    The delimiter (comma, semicolon or tab) is told from the first row. That row is a header if none
    of its cells is a number; without a header the columns are called `column_1`, `column_2`, ...
    Blank lines are skipped. Rows in error messages are numbered from 1, as lines of the file.

    Args:
      path: the file, in UTF-8.
      columns: names of the columns to read, in that order; all if None. The others may hold
        anything.
      min_rows: the least number of rows, header not counted, that is accepted.

    Returns:
      A `Table` of `[N, D]` values.

    Raises:
      FileNotFoundError: if there is no such file.
      TypeError: if `columns` is a single string.
      ValueError: if a row, a cell or a column is not as it should be; the message names it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "sizes.csv")
    ...     _ = file.write_text("width;height\\n1;2.5\\n3;4\\n")
    ...     table = load_csv(file)
    >>> table.columns, table.values.tolist()
    (('width', 'height'), [[1.0, 2.5], [3.0, 4.0]])
    """
    if isinstance(columns, str):
        raise TypeError(f"columns must be a sequence of names, got the string {columns!r}.")
    path = pathlib.Path(path)
    rows = list(_rows(path))
    if not rows:
        raise ValueError(f"{path} is empty; a CSV file with at least {min_rows} rows would do.")
    header, body = _split_header(rows)
    _check_row_lengths(path, len(header), body)
    if len(body) < min_rows:
        raise ValueError(f"{path} has {len(body)} rows of data; at least {min_rows} are needed.")
    chosen = _chosen_columns(path, header, columns)
    values = [[_number(path, header, row, j) for j in chosen] for row in body]
    return Table(np.array(values, dtype=np.float64), tuple(header[j] for j in chosen))


def train_test_split(
    values: np.ndarray, *, test_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Parts the rows in two at random.

    Args:
      values: array `[N, ...]`.
      test_fraction: the part, in (0, 1), that goes to the test set, rounded to whole rows.
      seed: integer seed of the permutation.

    Returns:
      `(train, test)`, arrays `[N - M, ...]` and `[M, ...]`.

    Raises:
      ValueError: if either part would be empty.

    >>> train, test = train_test_split(np.arange(10), test_fraction=0.3, seed=0)
    >>> len(train), len(test), sorted([*train.tolist(), *test.tolist()]) == list(range(10))
    (7, 3, True)
    """
    values = np.asarray(values)
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction must lie between 0 and 1, got {test_fraction}.")
    if values.ndim == 0:
        raise ValueError("values must have rows, got a scalar.")
    num_test = round(test_fraction * len(values))
    if not 0 < num_test < len(values):
        raise ValueError(
            f"test_fraction {test_fraction} of {len(values)} rows leaves {len(values) - num_test} "
            f"to train on and {num_test} to test on; both need at least one."
        )
    order = np.random.default_rng(seed).permutation(len(values))
    return values[order[num_test:]], values[order[:num_test]]


def _rows(path: pathlib.Path) -> Iterator[Row]:
    """The rows that are not blank, with their line numbers, cells stripped."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; the path of a CSV file would do.")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; the path of a CSV file would do.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = next((line for line in text.split("\n") if line.strip()), "")
        delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
        reader = csv.reader(
            io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def _split_header(rows: Sequence[Row]) -> tuple[list[str], Sequence[Row]]:
    """The columns' names and the rows of data."""
    _, first = rows[0]
    texts = [cell for cell in first if cell.lower() not in _MISSING]
    if texts and not any(_is_number(cell) for cell in texts):
        return [cell or f"column_{j}" for j, cell in enumerate(first, 1)], rows[1:]
    return [f"column_{j}" for j in range(1, len(first) + 1)], rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _check_row_lengths(path: pathlib.Path, expected: int, body: Sequence[Row]) -> None:
    for line, cells in body:
        if len(cells) != expected:
            raise ValueError(
                f"{path}, row {line} has {len(cells)} cells where the first row has {expected}; "
                "every row must have the same number."
            )


def _chosen_columns(
    path: pathlib.Path, header: Sequence[str], columns: Sequence[str] | None
) -> list[int]:
    """The positions of the columns asked for."""
    if columns is None:
        return list(range(len(header)))
    if not len(columns):
        raise ValueError("columns must name at least one column, or be None for all.")
    for name in columns:
        if name not in header:
            near = difflib.get_close_matches(str(name), header, n=1, cutoff=0.0)[0]
            known = ", ".join(header)
            raise ValueError(
                f"{path} has no column {name!r}; did you mean {near!r}? It has: {known}."
            )
        if header.count(name) > 1:
            raise ValueError(
                f"{path} has {header.count(name)} columns called {name!r}; rename all but one."
            )
    return [header.index(name) for name in columns]


def _number(path: pathlib.Path, header: Sequence[str], row: Row, j: int) -> float:
    """The cell's number, or an error that says where it is and what would do."""
    line, cells = row
    cell = cells[j]
    where = f"{path}, row {line}, column {header[j]!r} (number {j + 1})"
    if cell.lower() in _MISSING:
        raise ValueError(f"{where}: the value is missing; fill it in or leave out the row.")
    if not _is_number(cell):
        advice = (
            "write it with a decimal point"
            if _is_number(cell.replace(",", "."))
            else ("give numbers only, or leave the column out with `columns`")
        )
        raise ValueError(f"{where}: {cell!r} is not a number; {advice}.")
    value = float(cell)
    if not np.isfinite(value):
        raise ValueError(f"{where}: {cell!r} is not finite; fill it in or leave out the row.")
    return value
