"""Finds constant, discrete, rounded and dependent columns, and copies of rows, in a table."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Findings", "examine"]

_FEWEST_ROWS = 10
_TIED = 0.2  # share of rows whose value an earlier row has
_AT_ONE_VALUE = 0.05
_COPIES = 0.01
_FEW_VALUES = 20
_STEPS = 200  # within the interquartile range: finer steps do no harm
_UNEXPLAINED = 1e-5  # share of a column's variance that the others do not explain
_BULK = 10.0  # times the interquartile range


@dataclasses.dataclass(frozen=True)
class Findings:
    """The degenerate columns by number, and the copies of rows; false if there are none.

    #### Examples

    >>> bool(Findings()), bool(Findings(constant={2: 0.0}))
    (False, True)
    """

    #: The value of each constant column.
    constant: dict[int, float] = dataclasses.field(default_factory=dict)
    #: The number of distinct values of each discrete column.
    discrete: dict[int, int] = dataclasses.field(default_factory=dict)
    #: The rounding step of each rounded column.
    rounded: dict[int, float] = dataclasses.field(default_factory=dict)
    #: The value that occurs in many rows of an otherwise continuous column, and their share.
    repeated: dict[int, tuple[float, float]] = dataclasses.field(default_factory=dict)
    #: For each dependent column, the columns of which it is almost exactly a linear function.
    dependent: dict[int, list[int]] = dataclasses.field(default_factory=dict)
    #: The number of rows that are copies of others, unless all columns are degenerate.
    copies: int = 0

    def __bool__(self):
        return any(dataclasses.astuple(self))


def examine(rows: np.ndarray, *, relations: bool = True) -> Findings:
    """Finds columns and rows that a density cannot produce.

    Samples of a density never have equal entries, except by the rounding of their dtype. So:

    - A column is discrete if at least a fifth of its rows have the value of an earlier row, and it
      has at most twenty values.
    - With more values it is rounded, if the smallest step between them is wider than the steps of
      the dtype, and at least a two-hundredth of the interquartile range.
    - A value of a continuous column is repeated if at least one row in twenty has it.
    - A column is dependent if the columns before it explain all of its variance except for a share
      of 1e-5. Outliers are left out.

    One row of each group of copies is kept before the columns are examined.

    Args:
      rows: `[N, D]` numbers; fewer than ten rows give no findings.
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
    distinct = _distinct(rows) if rows.shape[1] > 1 else rows
    for j in range(rows.shape[1]):
        _examine_column(j, rows[:, j], distinct[:, j], findings)
    if not relations:
        return findings
    found = {*findings.constant, *findings.discrete, *findings.rounded}
    copies = len(rows) - len(distinct)
    if copies >= max(3, _COPIES * len(rows)) and len(found) < rows.shape[1]:
        findings = dataclasses.replace(findings, copies=copies)
    varying = [j for j in range(rows.shape[1]) if j not in findings.constant]
    for j, others in _dependent(distinct[:, varying].astype(np.float64)).items():
        findings.dependent[varying[j]] = [varying[i] for i in others]
    return findings


def _examine_column(j, column, distinct, findings) -> None:
    values, counts = np.unique(column, return_counts=True)
    values, resolution = values.astype(np.float64), _resolution(column)
    if values[-1] - values[0] <= 2 * resolution:
        findings.constant[j] = float(values[0])
        return
    tied = 1 - len(values) / len(column)
    if tied >= _TIED and not _is_lattice(values):  # copies of rows have equal values, too
        tied = 1 - len(values) / len(distinct)
    likeliest = values[counts.argmax()]
    most = np.count_nonzero(distinct == likeliest)
    is_one_value = most - 1 > 0.5 * tied * len(distinct) and len(values) > _FEW_VALUES
    if tied < _TIED or is_one_value:
        if most >= max(5, _AT_ONE_VALUE * len(distinct)):
            findings.repeated[j] = (float(likeliest), most / len(distinct))
    elif len(values) <= _FEW_VALUES:
        findings.discrete[j] = len(values)
    elif _is_coarse(column, float(np.min(np.diff(values))), resolution):
        findings.rounded[j] = float(np.min(np.diff(values)))


def _is_coarse(column, step, resolution) -> bool:
    """Whether a step is wider than the dtype's, and large relative to the column's spread."""
    low, high = np.quantile(column.astype(np.float64), [0.25, 0.75])
    return step > 4 * resolution and step >= (high - low) / _STEPS


def _resolution(column) -> float:
    """The spacing of a column's dtype; that of float32 if all values fit into float32."""
    largest = np.max(np.abs(column.astype(np.float64)))
    if column.dtype.kind != "f":
        return 0.0
    if column.dtype.itemsize > 4 and not np.array_equal(column.astype(np.float32), column):
        return float(np.spacing(largest))
    dtype = column.dtype.type if column.dtype.itemsize <= 4 else np.float32
    return float(np.spacing(dtype(largest)))


def _is_lattice(values) -> bool:
    """Whether there are few values, or their distances are whole multiples of a step."""
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
    """Columns that are linear functions of earlier ones, found by Gaussian elimination."""
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
