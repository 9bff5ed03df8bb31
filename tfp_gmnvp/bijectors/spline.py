"""Monotonic rational-quadratic splines: value and log-det from one evaluation."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["RationalQuadratic"]

_MIN_SHARE = 0.01  # of a bin's width and height, relative to those of equal bins
_MIN_SLOPE, _MAX_SLOPE = 1e-3, 1e9  # beyond, the log-slope overflows in float32
_SLOPE_OFFSET = math.log(math.expm1(1 - _MIN_SLOPE))  # so that a raw slope of zero gives one


@dataclasses.dataclass(frozen=True)
class RationalQuadratic(CouplingTransform):
    """Couplings by monotonic rational-quadratic splines with linear tails.

    Every transformed entry has a spline `z = g(x)` of its own: within `[-B, B]` a ratio of two
    quadratics in each of K bins, with a continuous slope; outside the identity, whose slope the
    spline has at `-B` and `B` (Durkan et al. 2019, arXiv:1906.04032, section 3.1).
    In a bin of width w and height h, whose lower corner is `(x_k, z_k)` and whose slopes at the
    two ends are `d_0` and `d_1`, with `s = h / w`, `t = (x - x_k) / w` and `u = 1 - t`,

        z = z_k + h (s t^2 + d_0 t u) / q,       q = s (t^2 + u^2) + (d_0 + d_1) t u,
        dz/dx = s^2 (d_1 t^2 + 2 s t u + d_0 u^2) / q^2.

    Training evaluates the closed form from x to z; sampling, from z to x, takes the root of a
    quadratic. Where a conditioner's output is zero, the spline is the identity. No bin is
    smaller than a hundredth of an equal one, and no slope at a knot is below 0.001 or above 1e9.

    Attributes:
      num_bins: number K >= 2 of bins.
      bound: B, in the units of the latents, which should lie within it.

    #### Examples

    >>> spline = RationalQuadratic(num_bins=4, bound=3.0)
    >>> spline.num_parameters
    11
    >>> bijector = spline(tf.zeros([2 * 11]))
    >>> bijector.forward([-2.5, 7.0]).numpy().round(5).tolist()
    [-2.5, 7.0]
    """

    num_bins: int = 8
    bound: float = 5.0

    def __post_init__(self):
        """Checks the numbers.

        Raises:
          ValueError: if there are fewer than two bins, or the bound is not positive and finite.
        """
        check_whole_number("num_bins", self.num_bins, 2)
        check_number("bound", self.bound, lambda bound: bound > 0, "be positive")

    @property
    def num_parameters(self) -> int:
        """Parameters per entry: K widths, K heights and K - 1 slopes, all unconstrained."""
        return 3 * self.num_bins - 1

    def __call__(self, parameters: tf.Tensor) -> SinglePassBijector:
        """Builds the splines with these parameters, as a bijector.

        Args:
          parameters: unconstrained, `[..., m * num_parameters]`, entry by entry.

        Returns:
          A bijector of vectors `[..., m]`, whose `forward` maps z to x.
        """
        return _SplineBijector(self._splines(parameters), parameters.dtype)

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> tuple:
        return self._splines(parameters).forward_and_log_det(x)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> tuple:
        return self._splines(parameters).inverse_and_log_det(y)

    def _splines(self, parameters):
        size = parameters.shape[-1] // self.num_parameters
        shape = tf.concat([tf.shape(parameters)[:-1], [size, self.num_parameters]], axis=0)
        return _Splines(tf.reshape(parameters, shape), int(self.num_bins), float(self.bound))


class _Bin(NamedTuple):
    """The bin that each entry lies in."""

    x: tf.Tensor
    width: tf.Tensor
    z: tf.Tensor
    height: tf.Tensor
    slope: tf.Tensor
    next_slope: tf.Tensor


class _SplineBijector(SinglePassBijector):
    """Splines as a bijector."""

    def __init__(self, splines, dtype, name="splines"):
        self._splines = splines
        super().__init__(dtype=dtype, name=name)

    def _forward_and_log_det(self, x, **call_kwargs):
        return self._splines.forward_and_log_det(x)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return self._splines.inverse_and_log_det(y)


class _Splines:
    """Independent splines with unconstrained parameters `[..., m, 3 K - 1]`."""

    def __init__(self, parameters, num_bins, bound):
        self._num_bins, self._bound = num_bins, bound
        widths, heights, self._raw_slopes = tf.split(
            parameters, [num_bins, num_bins, num_bins - 1], axis=-1
        )
        self._widths, self._heights = self._lengths(widths), self._lengths(heights)

    def inverse_and_log_det(self, x):
        inside, x_inside = self._clipped(x)
        at = self._bin(x_inside)
        t = _share((x_inside - at.x) / at.width)
        u, s = 1 - t, at.height / at.width
        q = s * (t * t + u * u) + (at.slope + at.next_slope) * t * u
        z = at.z + at.height * t * (s * t + at.slope * u) / q
        return tf.where(inside, z, x), _sum_where(inside, _log_slope(at, s, t, u, q))

    def forward_and_log_det(self, z):
        inside, z_inside = self._clipped(z)
        at = self._bin(z_inside, by_height=True)
        s = at.height / at.width
        t, u = _root(at, s, _share((z_inside - at.z) / at.height))
        q = s * (t * t + u * u) + (at.slope + at.next_slope) * t * u
        x = at.x + at.width * t
        return tf.where(inside, x, z), -_sum_where(inside, _log_slope(at, s, t, u, q))

    def _lengths(self, raw):
        """Lengths of the bins that add up to the interval's."""
        equal = 2 * self._bound / self._num_bins
        relative = self._num_bins * tf.nn.softmax(raw)
        return equal * (_MIN_SHARE + (1 - _MIN_SHARE) * relative)

    def _edges(self, lengths):
        """The lower edges of the bins: a cumulative sum, which XLA does fastest as a product."""
        before = np.triu(np.ones([self._num_bins, self._num_bins]), k=1)
        return tf.linalg.matmul(lengths, tf.constant(before, lengths.dtype)) - self._bound

    def _clipped(self, values):
        return tf.abs(values) <= self._bound, tf.clip_by_value(values, -self._bound, self._bound)

    def _bin(self, values, by_height=False):
        """The bin of each entry, by sums over bins, of which all but one are zero."""
        x_edges, z_edges = self._edges(self._widths), self._edges(self._heights)
        edges = z_edges if by_height else x_edges
        is_above = tf.cast(values[..., tf.newaxis] >= edges[..., 1:], tf.int32)
        number = tf.reduce_sum(is_above, axis=-1, keepdims=True)
        is_here = tf.cast(tf.equal(number, tf.range(self._num_bins)), values.dtype)

        def here(quantity):
            return tf.reduce_sum(is_here * quantity, axis=-1)

        ends = tf.pad(self._raw_slopes, [[0, 0]] * (self._raw_slopes.shape.rank - 1) + [[1, 1]])
        return _Bin(
            here(x_edges),
            here(self._widths),
            here(z_edges),
            here(self._heights),
            _slope(here(ends[..., :-1])),
            _slope(here(ends[..., 1:])),
        )


def _slope(raw):
    return _MIN_SLOPE + tf.nn.softplus(tf.minimum(raw + _SLOPE_OFFSET, _MAX_SLOPE))


def _share(position):
    """Clips a position to its bin, as sums of lengths may round to more than their parts."""
    return tf.clip_by_value(position, 0.0, 1.0)


def _log_slope(at, s, t, u, q):
    return tf.math.log((at.next_slope * t * t + 2 * s * t * u + at.slope * u * u) * (s / q) ** 2)


def _root(at, s, v):
    """Finds t and 1 - t, where the spline reaches the fraction v of the bin's height.

    With `e = d_0 (1 - v) - d_1 v`, the quadratic's discriminant is a sum of squares,
    `r^2 = e^2 + 4 s^2 v (1 - v)`, and `t : (1 - t)` is as `2 s v` to `e + r`, or as `r - e` to
    `2 s (1 - v)`: nothing cancels in the one where `e` adds to `r`.
    """
    e = at.slope * (1 - v) - at.next_slope * v
    larger = tf.abs(e) + tf.sqrt(e * e + 4 * s * s * v * (1 - v))
    left = tf.where(e >= 0, 2 * s * v, larger)
    right = tf.where(e >= 0, larger, 2 * s * (1 - v))
    return left / (left + right), right / (left + right)


def _sum_where(inside, log_slopes):
    return tf.reduce_sum(tf.where(inside, log_slopes, tf.zeros_like(log_slopes)), axis=-1)
