"""Columns of numbers above a bound, zero unless said otherwise."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_choice, check_number
from tfp_gmnvp.bijectors.bounds import Above
from tfp_gmnvp.density.columns.base import ContinuousKind, check_numbers, refuse
from tfp_gmnvp.density.columns.held_out import best_kind

__all__ = ["Positive"]

_TRANSFORMS = ("log", "softplus")
_FEWEST_ROWS = 20


@dataclasses.dataclass(frozen=True)
class Positive(ContinuousKind):
    """Numbers above a bound.

        log:       x = low + exp(z)
        softplus:  x = low + s log(1 + exp(z / s)),  s the median of x - low

    Args:
      low: the bound. A value on it is refused, unless there is a `margin`.
      transform: 'log' or 'softplus'; `None` to choose by the held-out likelihood of mixtures.
      scale: s of the softplus; `None` for the median.
      margin: values nearer to the bound than this are moved to `low + margin`, for example half of
        the smallest amount that can be measured. 0 for none.

    #### Examples

    >>> Positive(transform="log").place(np.array([np.e]), None)
    (array([1.]), array([-1.]))
    """

    low: float = 0.0
    transform: str | None = None
    scale: float | None = None
    margin: float = 0.0

    kind = "positive"

    def __post_init__(self):
        check_number("low", self.low, lambda low: True, "be a number")
        check_number("margin", self.margin, lambda margin: margin >= 0, "not be negative")
        if self.transform is not None:
            check_choice("transform", self.transform, _TRANSFORMS)
        if self.scale is not None:
            check_number("scale", self.scale, lambda scale: scale > 0, "be above zero")

    @property
    def bounds(self):
        return (self.low, np.inf)

    def fitted(self, column, others=None):
        counts = column.counts
        x = self.numbers(column)[counts]
        kinds = self.candidates(x)
        is_chosen = len(kinds) < 2 or len(x) < _FEWEST_ROWS
        return kinds[0] if is_chosen else best_kind(kinds, x, column.weight[counts])[0]

    def candidates(self, x: np.ndarray) -> list[Positive]:
        """Returns the kinds of each transform that is possible, with the scale of numbers `[N]`.

        #### Examples

        >>> [kind.transform for kind in Positive().candidates(np.array([1.0, 2.0]))]
        ['log', 'softplus']
        """
        scale = self.scale or (float(np.median(x - self.low)) if len(x) else 1.0)
        transforms = _TRANSFORMS if self.transform is None else (self.transform,)
        return [dataclasses.replace(self, transform=t, scale=scale) for t in transforms]

    def is_possible(self, column):
        return ~(column.values < self.low if self.margin else column.values <= self.low)

    def numbers(self, column):
        check_numbers(column, self.kind)
        x, low = column.values, self.low
        if self.margin:
            refuse(
                column,
                ~self.is_possible(column),
                f"hold numbers from {low:g}",
                "correct it, or lower `low`",
            )
            return np.maximum(x, low + self.margin)  # NaN stays NaN
        instead = (
            f"declare it 'integer' if it holds counts, 'real' if it has no bound, or "
            f"`Positive({'' if low == 0 else f'low={low:g}, '}margin=...)` to move values on the "
            "bound inside by so much"
        )
        refuse(column, ~self.is_possible(column), f"hold numbers above {low:g}", instead)
        return x

    def scalar_bijector(self, dtype=tf.float64):
        scale = self.scale or 1.0
        return Above(self.low, transform=self.transform or "log", scale=scale, dtype=dtype)

    @property
    def description(self):
        kind = "positive" if self.low == 0 else f"above {self.low:g}"
        margin = f", moved up to {self.low + self.margin:g}" if self.margin else ""
        return f"{kind}, {self.transform or 'log or softplus'}{margin}"
