"""Columns of angles and times of day: numbers that repeat after a period."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.density.columns.base import ContinuousKind, check_numbers

__all__ = ["Circular"]

_NUM_CUTS = 128
_KERNEL = 1 / 30  # standard deviation in periods


@dataclasses.dataclass(frozen=True)
class Circular(ContinuousKind):
    """Numbers that repeat after a period P, such as angles.

    The circle is cut where the data is sparsest, and z lies in [cut, cut + P). The density g of z
    is one on the whole line; that of x is g wrapped around the circle,

        p(x) = sum_m g(z + m P),

    which is continuous at the cut and integrates to one over a period, whatever g is. The sum is
    taken over m = -1, 0, 1. Samples are wrapped. Any number is a valid value.

    Args:
      period: P.
      start: samples lie in [start, start + P); `None` for 0 or -P / 2, whichever suits the data.
      cut: where the circle is cut; `None` for where the data is sparsest.

    #### Examples

    >>> Circular(360.0, start=0.0, cut=90.0).place(np.array([0.0, 100.0]), None)[0].tolist()
    [360.0, 100.0]
    """

    period: float = 2 * math.pi
    start: float | None = None
    cut: float | None = None

    kind = "circular"

    def __post_init__(self):
        check_number("period", self.period, lambda period: period > 0, "be above zero")

    def fitted(self, column, others=None):
        check_numbers(column, self.kind)
        x, start, cut = column.values[column.counts], self.start, self.cut
        if start is None:
            start = 0.0 if not len(x) or x.min() >= 0 else -self.period / 2
        if cut is None:
            cut = _sparsest(x, column.weight[column.counts], start, self.period)
        return dataclasses.replace(self, start=float(start), cut=float(cut))

    def place(self, x, u):
        cut = self.cut or 0.0
        return cut + np.mod(x - cut, self.period), np.zeros(np.shape(x))

    def numbers_of(self, z):
        start = self.start or 0.0
        x = start + np.mod(z - start, self.period)
        return np.where(x >= start + self.period, start, x)  # by rounding

    def scalar_bijector(self, dtype=tf.float64):
        return tfp.bijectors.Identity()

    @property
    def description(self):
        cut = "" if self.cut is None else f", cut at {self.cut:.4g}"
        return f"circular, period {self.period:.4g}{cut}"


def _sparsest(x, weight, start, period):
    """Where a wrapped normal kernel finds the lowest density, on a grid."""
    grid = np.arange(_NUM_CUTS) / _NUM_CUTS
    parts = np.mod((x - start) / period, 1.0)
    counts = np.bincount((parts * _NUM_CUTS).astype(int) % _NUM_CUTS, weight, _NUM_CUTS)
    distance = np.minimum(grid, 1 - grid)
    kernel = np.exp(-0.5 * np.square(distance / _KERNEL))
    density = np.real(np.fft.ifft(np.fft.fft(counts) * np.fft.fft(kernel)))
    return start + period * (np.argmin(density) + 0.5) / _NUM_CUTS
