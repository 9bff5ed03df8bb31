"""What keeps a table's rows from having a density: looked for column by column, then between."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Findings", "examine"]

_FEWEST_ROWS = 10
_TIED = 0.2  # share of rows whose value another row has already
_AT_ONE_VALUE = 0.05
_COPIES = 0.01
_FEW_VALUES = 20
_STEPS = 200  # within the interquartile range: finer ones do no harm
_UNEXPLAINED = 1e-5  # share of a column's variance that the others do not explain
_BULK = 10.0  # times the interquartile range


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is degenerate, by number of column; it is false if nothing is.

    #### Examples

    >>> bool(Findings()), bool(Findings(constant={2: 0.0}))
    (False, True)
    """

    #: The value of each constant column.
    constant: dict[int, float] = dataclasses.field(default_factory=dict)
    #: How many distinct values each discrete column has.
    discrete: dict[int, int] = dataclasses.field(default_factory=dict)
    #: The step that each rounded column is rounded to.
    rounded: dict[int, float] = dataclasses.field(default_factory=dict)
    #: The value that many rows of an otherwise continuous column have, and their share.
    repeated: dict[int, tuple[float, float]] = dataclasses.field(default_factory=dict)
    #: The columns that each dependent one is a linear function of, all but exactly.
    dependent: dict[int, list[int]] = dataclasses.field(default_factory=dict)
    #: How many rows are copies of others, where the columns do not explain it.
    copies: int = 0

    def __bool__(self):
        return any(dataclasses.astuple(self))


def examine(rows: np.ndarray, *, relations: bool = True) -> Findings:
    """Looks for what has no density.

    Rows of a density never agree in an entry, but by the rounding of their dtype. So a column is
    discrete, or rounded, where a fifth of the rows or more have a value that another row has
    already, in steps that are wider than its dtype's and no finer than a two-hundredth of the
    interquartile range; and one value of a continuous column is conspicuous in one row of twenty.
    Of copies of rows one is kept before columns are looked at. A column depends on those before it
    if they explain its variance but for a part of 1e-5, in rows that are no outliers.

    Args:
      rows: `[N, D]` numbers; fewer than ten rows say nothing.
      relations: whether to look for dependent columns and copies of rows, too.

    Returns:
      `Findings`.

    #### Examples

    >>> rng = np.random.default_rng(0)
    >>> rows = np.stack([rng.normal(size=90), rng.integers(3, size=90), np.ones(90)], axis=1)
    >>> found = examine(rows)
    >>> found.constant, found.discrete
    ({2: 1.0}, {1: 3})
    """
    findings = Findings()
    if len(rows) < _FEWEST_ROWS or rows.dtype.kind not in "fiub":
        return findings
    one_of_each = _distinct(rows) if rows.shape[1] > 1 else rows
    for j in range(rows.shape[1]):
        _examine_column(j, rows[:, j], one_of_each[:, j], findings)
    if not relations:
        return findings
    found = {*findings.constant, *findings.discrete, *findings.rounded}
    copies = len(rows) - len(one_of_each)
    if copies >= max(3, _COPIES * len(rows)) and len(found) < rows.shape[1]:
        findings = dataclasses.replace(findings, copies=copies)
    varying = [j for j in range(rows.shape[1]) if j not in findings.constant]
    for j, others in _dependent(one_of_each[:, varying].astype(np.float64)).items():
        findings.dependent[varying[j]] = [varying[i] for i in others]
    return findings


def _examine_column(j, column, one_of_each, findings) -> None:
    values, counts = np.unique(column, return_counts=True)
    values, resolution = values.astype(np.float64), _resolution(column)
    if values[-1] - values[0] <= 2 * resolution:
        findings.constant[j] = float(values[0])
        return
    tied = 1 - len(values) / len(column)
    if tied >= _TIED and not _is_lattice(values):  # copies of rows have equal values, too
        tied = 1 - len(values) / len(one_of_each)
    likeliest = values[counts.argmax()]
    most = np.count_nonzero(one_of_each == likeliest)
    is_one_value = most - 1 > 0.5 * tied * len(one_of_each) and len(values) > _FEW_VALUES
    if tied < _TIED or is_one_value:
        if most >= max(5, _AT_ONE_VALUE * len(one_of_each)):
            findings.repeated[j] = (float(likeliest), most / len(one_of_each))
    elif len(values) <= _FEW_VALUES:
        findings.discrete[j] = len(values)
    elif _is_coarse(column, float(np.min(np.diff(values))), resolution):
        findings.rounded[j] = float(np.min(np.diff(values)))


def _is_coarse(column, step, resolution) -> bool:
    """Whether a step is wider than the dtype's, and counts beside the column's spread."""
    low, high = np.quantile(column.astype(np.float64), [0.25, 0.75])
    return step > 4 * resolution and step >= (high - low) / _STEPS


def _resolution(column) -> float:
    """The spacing of the dtype that a column came in, float32 at the finest if all fit into it."""
    largest = np.max(np.abs(column.astype(np.float64)))
    if column.dtype.kind != "f":
        return 0.0
    if column.dtype.itemsize > 4 and not np.array_equal(column.astype(np.float32), column):
        return float(np.spacing(largest))
    dtype = column.dtype.type if column.dtype.itemsize <= 4 else np.float32
    return float(np.spacing(dtype(largest)))


def _is_lattice(values) -> bool:
    """Whether values are few, or whole multiples of a step apart."""
    if len(values) <= _FEW_VALUES:
        return True
    multiples = np.diff(values) / np.min(np.diff(values))
    return bool(np.all(np.abs(multiples - np.round(multiples)) <= 1e-3 * np.maximum(1, multiples)))


def _distinct(rows):
    """The rows without copies of others."""
    rows = np.ascontiguousarray(rows) + np.zeros([], rows.dtype)  # no minus zero
    as_bytes = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    _, first = np.unique(as_bytes, return_index=True)
    return rows[np.sort(first)]


def _dependent(rows) -> dict[int, list[int]]:
    """Columns that are linear functions of those before, which are eliminated one by one."""
    if rows.shape[1] < 2:
        return {}
    median = np.median(rows, axis=0)
    low, high = np.quantile(rows, [0.25, 0.75], axis=0)
    spread = np.where(high > low, high - low, rows.std(axis=0))
    bulk = rows[np.all(np.abs(rows - median) <= _BULK * spread, axis=1)] - median
    if len(bulk) < max(_FEWEST_ROWS, rows.shape[1] + 5):
        return {}
    bulk = bulk - bulk.mean(axis=0)
    std = bulk.std(axis=0)
    moving = np.flatnonzero(std > 1e-9 * spread)
    bulk = bulk[:, moving] / std[moving]
    correlation = bulk.T @ bulk / len(bulk)
    left, independent, found = correlation.copy(), [], {}
    for j in range(len(moving)):
        if left[j, j] > _UNEXPLAINED:
            left -= np.outer(left[:, j], left[j]) / left[j, j]
            independent.append(j)
            continue
        solution = np.linalg.solve(
            correlation[np.ix_(independent, independent)], correlation[independent, j]
        )
        others = [i for i, s in zip(independent, solution, strict=True) if abs(s) > 1e-3]
        found[int(moving[j])] = [int(moving[i]) for i in others]
    return found
