"""The kind of a column that none was declared for, by its dtype, bounds and ties."""

from __future__ import annotations

import numpy as np

from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.columns.bounded import Bounded
from tfp_gmnvp.density.columns.category import Category
from tfp_gmnvp.density.columns.held_out import best_kind, held_out, is_better
from tfp_gmnvp.density.columns.integer import Integer
from tfp_gmnvp.density.columns.lattice import find_lattice
from tfp_gmnvp.density.columns.positive import Positive
from tfp_gmnvp.density.columns.reading import Column
from tfp_gmnvp.density.columns.real import Real
from tfp_gmnvp.training.data.degenerate_columns import examine

__all__ = ["detect"]

_MOST_ROWS = 10_000
_FEWEST_ROWS = 20
_ALMOST_LINEAR = 2.0  # ratio of largest and smallest value, within which a log changes little


def detect(column: Column) -> tuple[ColumnKind, str]:
    """Chooses a kind of column by its values.

    - Text and bools are categories; so are numbers of one or two values in 20 rows or more.
    - Numbers with ties, as `examine` finds them, are `Integer` if they have a common step.
    - Numbers without ties are `Positive`, or `Bounded` in (0, 1), if all are within the bounds, and
      held-out rows are described better so than as `Real`, by two standard errors.

    Args:
      column: the column; some of its entries count.

    Returns:
      The kind, not fitted, and the reason.

    #### Examples

    >>> values = np.random.default_rng(0).integers(9, size=50).astype(float)
    >>> kind, reason = detect(Column("a", values, "int64", np.ones(50)))
    >>> kind.description, reason
    ('integer', '9 values in 50 rows')
    """
    x, weight = column.values[column.counts], column.weight[column.counts]
    num_rows = len(x)
    if not column.holds_numbers:
        return Category(), f"dtype {column.dtype}"
    num_values = len(np.unique(x))
    if num_values <= 2 and num_rows >= _FEWEST_ROWS:
        return Category(), "a single value" if num_values == 1 else "two values"
    some = x if num_rows <= _MOST_ROWS else np.random.default_rng(0).choice(x, _MOST_ROWS, False)
    found = examine(some[:, np.newaxis], relations=False)
    if found.discrete or found.rounded or _is_short(column, num_rows):
        reason = f"{num_values} values in {num_rows} rows"
        if find_lattice(x) is not None:
            return Integer(), reason
    kind, reason = _continuous(x, weight)
    for value, share in found.repeated.values():
        reason += f"; {share:.0%} are {value:g}, which no density describes"
    return kind, reason


def _is_short(column, num_rows) -> bool:
    """Whether it is a short column of whole numbers, too short for `examine`."""
    return num_rows < _FEWEST_ROWS and column.dtype.lower().startswith(("int", "uint"))


def _continuous(x, weight):
    is_above = x.min() > 0
    if len(x) < _FEWEST_ROWS or not is_above or x.max() < _ALMOST_LINEAR * x.min():
        return Real(), "no ties"
    kinds: list[ColumnKind] = [*Positive().candidates(x)]
    if x.max() < 1 and x.min() < 0.5 < x.max():
        kinds.append(Bounded(0.0, 1.0))
    best, scores = best_kind(kinds, x, weight)
    is_gain, gain = is_better(scores, held_out(Real(), x, weight))
    if not is_gain:
        return Real(), "no ties; bounds do not pay"
    return best, f"no ties; held-out rows gain {gain:.2g} nats over real"
