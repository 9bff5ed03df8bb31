"""Plain tables of numbers from CSV files, and a random split of rows."""

import dataclasses
import os
import pathlib

import numpy as np

__all__ = ["Table", "load_csv", "train_test_split"]

_DELIMITERS = ("\t", ";", ",")
_PANDAS = "For any other table use `pandas.read_csv`: `fit` takes a DataFrame."


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


def load_csv(path: str | os.PathLike, *, min_rows: int = 2) -> Table:
    """Reads a CSV file of numbers with `np.genfromtxt`.

    The first row determines the delimiter (tab, semicolon or comma). It is a header if none of its
    cells is a number; without a header the columns are called `column_1`, `column_2`, ...

    Args:
      path: the file, in UTF-8.
      min_rows: minimum number of rows, without the header.

    Returns:
      A `Table` of `[N, D]` values.

    Raises:
      FileNotFoundError: if the file does not exist.
      ValueError: if the file has too few rows, rows of different lengths, or a cell that is not a
        finite number.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "sizes.csv")
    ...     _ = file.write_text("width;height\\n1;2.5\\n3;4\\n")
    ...     table = load_csv(file)
    >>> table.columns, table.values.tolist()
    (('width', 'height'), [[1.0, 2.5], [3.0, 4.0]])
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}.") from error
    lines = [line for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
    cells = [cell.strip().strip('"') for cell in first.split(delimiter)]
    has_header = not any(map(_is_number, cells))
    names = cells if has_header else [f"column_{j}" for j in range(1, len(cells) + 1)]
    rows = lines[has_header:]
    if len(rows) < min_rows:
        raise ValueError(f"{path} has {len(rows)} rows of data; at least {min_rows} are needed.")
    try:
        values = np.genfromtxt(rows, delimiter=delimiter, comments=None, ndmin=2)
    except ValueError as error:
        details = " ".join(str(error).split())
        raise ValueError(f"{path} has rows of different lengths: {details}. {_PANDAS}") from error
    if values.shape[1] != len(names):
        raise ValueError(
            f"{path} has {len(names)} names for {values.shape[1]} columns of data. {_PANDAS}"
        )
    invalid = np.argwhere(~np.isfinite(values))
    if len(invalid):
        row, column = invalid[0]
        cell = rows[row].split(delimiter)[column].strip()
        raise ValueError(
            f"{path}, row {row + 1} of data, column {names[column]!r}: {cell!r} is not a finite "
            f"number. {_PANDAS}"
        )
    return Table(values, tuple(names))


def train_test_split(
    values: np.ndarray, *, test_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows at random into a training set and a test set.

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


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
