"""Columns of whole numbers, and of numbers rounded to a step."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.density.columns.base import ColumnKind, ContinuousKind, check_numbers, inside, refuse
from tfp_gmnvp.density.columns.bounded import Bounded
from tfp_gmnvp.density.columns.held_out import best_kind, held_out, is_better
from tfp_gmnvp.density.columns.lattice import Lattice, find_lattice
from tfp_gmnvp.density.columns.positive import Positive
from tfp_gmnvp.density.columns.real import Real

__all__ = ["Integer"]

_FEWEST_ROWS = 20
_FEWEST_VALUES = 5
_MANY_AT_BOUND = 0.05
_ALMOST_LINEAR = 2.0  # ratio of largest and smallest value


@dataclasses.dataclass(frozen=True)
class Integer(ColumnKind):
    """Whole numbers, or multiples of a resolution r.

    The cell of x is (x - r/2, x + r/2), and u places a point in it uniformly (Theis, van den Oord
    and Bethge 2016, "A note on the evaluation of generative models", section 3.1):

        y = x + r (u - 1/2),    z = h(y)

    Without bounds h is the identity. With a lower bound it is the inverse of a `Positive` from
    `low - r/2`, whose softplus has the scale r, and with two bounds that of a `Bounded`, so that
    no probability is lost beyond them.

    Args:
      resolution: r; `None` for the widest step that fits all values, or 1 if these are fewer than
        five whole numbers.
      low: the smallest value that is possible. `None`: no bound, unless values are not negative,
        and mixtures with a bound at zero describe held-out rows better by two standard errors, or
        not worse by as much if one row in twenty is zero.
      high: the largest value that is possible, or `None`. It takes a `low`.
      offset: a number of which values differ by multiples of r; `None` to find it.
      inner: h as a kind of column; `None` to choose it.

    #### Examples

    >>> z, log_width = Integer(0.5, inner=Real()).place(np.array([2.0]), np.array([0.5]))
    >>> z.tolist(), np.exp(log_width).tolist()
    ([2.0], [0.5])
    """

    resolution: float | None = None
    low: float | None = None
    high: float | None = None
    offset: float | None = None
    inner: ContinuousKind | None = None

    kind = "integer"
    is_discrete = True

    def __post_init__(self):
        if self.resolution is not None:
            check_number("resolution", self.resolution, lambda step: step > 0, "be above zero")
        for name in ("low", "offset"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), lambda number: True, "be a number")
        if self.high is not None:
            if self.low is None:
                raise ValueError(f"`high` must come with a `low`, got high={self.high!r} alone.")
            above = f"be above `low`, {self.low!r}"
            check_number("high", self.high, lambda high: high > self.low, above)

    def fitted(self, column, others=None):
        check_numbers(column, self.kind)
        if self.inner is not None:
            return self
        counts = column.counts
        weight = column.weight[counts]
        lattice = self._lattice_of(column.name, column.values[counts])
        kind = dataclasses.replace(self, resolution=lattice.step, offset=lattice.offset)
        x = kind.numbers(column)[counts]
        if kind.low is not None:
            kinds = kind._with_bounds(x)
            return kinds[0] if len(x) < _FEWEST_ROWS else best_kind(kinds, x, weight)[0]
        kind = dataclasses.replace(kind, inner=Real())
        if len(x) < _FEWEST_ROWS or x.min() < 0 or x.max() < _ALMOST_LINEAR * x.min():
            return kind
        low = float(np.mod(lattice.offset, lattice.step))
        kinds = dataclasses.replace(kind, low=low)._with_bounds(x)
        best, scores = best_kind(kinds, x, weight)
        others = held_out(kind, x, weight)
        if np.mean(x == low) >= _MANY_AT_BOUND:
            return kind if is_better(others, scores)[0] else best
        return best if is_better(scores, others)[0] else kind

    def _lattice_of(self, name, x) -> Lattice:
        step = self.resolution
        offset = self.low if self.offset is None else self.offset
        if step is None:
            found = find_lattice(x) or _of_one_value(x)
            if found is None:
                raise ValueError(
                    f"column {name!r} is declared 'integer' and must hold multiples of a "
                    "step, got numbers without a common one: give it, `Integer(resolution=...)`, "
                    "and round the column to it, or declare it 'real'."
                )
            if found.step > 1 and _may_be_by_chance(x):
                found = Lattice(1.0)
            return Lattice(found.step, found.offset if offset is None else offset)
        if offset is None:
            has_zero = not len(x) or Lattice(step).has(x).mean() >= 0.5
            offset = 0.0 if has_zero else float(x[0])
        return Lattice(step, offset)

    def _with_bounds(self, x) -> list[Integer]:
        """The kinds that are possible with these bounds."""
        half = self.resolution / 2
        if self.high is not None:
            inner = [Bounded(self.low - half, self.high + half)]
        else:
            inner = Positive(self.low - half, scale=self.resolution).candidates(x)
        return [dataclasses.replace(self, inner=kind) for kind in inner]

    @property
    def _lattice(self) -> Lattice:
        return Lattice(self.resolution or 1.0, self.offset or 0.0)

    def is_possible(self, column):
        lattice = self._lattice
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        tolerance = 1e-3 * lattice.step
        with np.errstate(invalid="ignore"):
            on_lattice, x = lattice.has(column.values), lattice.nearest(column.values)
        is_within = (x >= low - tolerance) & (x <= high + tolerance)
        return column.is_missing | (on_lattice & is_within)

    def numbers(self, column):
        check_numbers(column, self.kind)
        x, lattice = column.values, self._lattice
        must = f"hold multiples of {lattice.step:g}" + (
            f" from {lattice.offset:g}" if lattice.offset else ""
        )
        with np.errstate(invalid="ignore"):
            off = ~lattice.has(x)
        refuse(column, off, must, "round it, or declare `Integer(resolution=...)` or 'real'")
        low = -np.inf if self.low is None else self.low
        within = f"hold numbers from {low:g}"
        within += "" if self.high is None else f" to {self.high:g}"
        instead = "correct it, or declare `Integer(low=..., high=...)`"
        refuse(column, ~self.is_possible(column), within, instead)
        return lattice.nearest(x)

    def place(self, x, u):
        inner = self.inner or Real()
        y = x + self._lattice.step * (u - 0.5)
        z, log_det = inner.place(inside(y, *inner.bounds), u)
        return z, log_det + np.log(self._lattice.step)

    def numbers_of(self, z):
        y = (self.inner or Real()).numbers_of(z)
        x = self._lattice.nearest(y)
        return np.clip(
            x,
            -np.inf if self.low is None else self.low,
            np.inf if self.high is None else self.high,
        )

    def numbers_between(self, low, high):
        lattice = self._lattice
        first, last = lattice.multiples(self.numbers_of(np.array([low, high])))
        return lattice.nearest(lattice.offset + lattice.step * np.arange(first, last + 1))

    @property
    def description(self):
        step = "" if self.resolution is None else f", steps of {self.resolution:g}"
        inner = self.inner
        bounds = "" if self.low is None else f", from {self.low:g}"
        bounds += "" if self.high is None else f" to {self.high:g}"
        transform = f", {inner.transform}" if isinstance(inner, Positive) else ""
        return f"integer{step}{bounds}{transform}"


def _may_be_by_chance(x) -> bool:
    """Whether whole numbers are so few that a step above one may be chance."""
    return bool(np.all(x == np.round(x))) and len(np.unique(x)) < _FEWEST_VALUES


def _of_one_value(x) -> Lattice | None:
    """Whole numbers, if there is a single one, or none."""
    is_whole = len(np.unique(x)) < 2 and np.all(x == np.round(x))
    return Lattice(1.0) if is_whole else None
