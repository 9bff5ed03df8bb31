"""Columns of numbers between two bounds."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.bijectors.bounds import Between
from tfp_gmnvp.density.columns.base import ContinuousKind, check_numbers, refuse

__all__ = ["Bounded"]


@dataclasses.dataclass(frozen=True)
class Bounded(ContinuousKind):
    """Numbers between two bounds: `x = low + (high - low) / (1 + exp(-z))`.

    Args:
      low: the lower bound. A value on a bound is refused, unless there is a `margin`.
      high: the upper bound.
      margin: values nearer to a bound than this are moved to this distance from it. 0 for none.

    #### Examples

    >>> Bounded(0, 1).place(np.array([0.5]), None)[0].tolist()
    [0.0]
    """

    low: float
    high: float
    margin: float = 0.0

    kind = "bounded"

    def __post_init__(self):
        check_number("low", self.low, lambda low: True, "be a number")
        check_number("high", self.high, lambda high: high > self.low, f"be above {self.low!r}")
        width = self.high - self.low
        within = f"be in [0, {width / 2:g}), half the distance of the bounds"
        check_number("margin", self.margin, lambda margin: 0 <= margin < width / 2, within)

    @property
    def bounds(self):
        return (self.low, self.high)

    def fitted(self, column, others=None):
        self.numbers(column)
        return self

    def is_possible(self, column):
        x, low, high = column.values, self.low, self.high
        outside = ((x < low) | (x > high)) if self.margin else ((x <= low) | (x >= high))
        return ~outside

    def numbers(self, column):
        check_numbers(column, self.kind)
        x, low, high = column.values, self.low, self.high
        if self.margin:
            refuse(
                column,
                ~self.is_possible(column),
                f"hold numbers in [{low:g}, {high:g}]",
                "widen the bounds",
            )
            return np.clip(x, low + self.margin, high - self.margin)
        instead = (
            f"widen the bounds, or declare `Bounded({low:g}, {high:g}, margin=...)` to move values "
            "on a bound inside by so much"
        )
        must = f"hold numbers above {low:g} and below {high:g}"
        refuse(column, ~self.is_possible(column), must, instead)
        return x

    def scalar_bijector(self, dtype=tf.float64):
        return Between(self.low, self.high, dtype=dtype)

    @property
    def description(self):
        margin = f", moved inside by {self.margin:g}" if self.margin else ""
        return f"between {self.low:g} and {self.high:g}{margin}"
