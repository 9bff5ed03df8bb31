"""Bijectors from the real line to the numbers above a bound, or between two."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_choice, check_number
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Above", "Between"]


class Above(SinglePassBijector):
    """The numbers above a bound, entry by entry.

        log:       x = low + exp(z)
        softplus:  x = low + s log(1 + exp(z / s))

    The softplus is almost linear far above `low + s`, and almost exponential below.

    #### Examples

    >>> print(Above().forward([-1.0, 0.0, 1.0]).numpy().round(3))
    [0.368 1.    2.718]
    >>> print(Above(2.0, transform="softplus", scale=0.1).inverse([2.01, 12.0]).numpy().round(3))
    [-0.225 10.   ]
    """

    def __init__(
        self,
        low: float = 0.0,
        *,
        transform: str = "log",
        scale: float = 1.0,
        dtype=tf.float32,
        name: str = "above",
    ):
        """Builds the bijector.

        Args:
          low: the bound.
          transform: 'log' or 'softplus'.
          scale: s > 0 of the softplus, in units of x.
          dtype: float dtype of x.
          name: prefix of the operations' names.

        Raises:
          ValueError: if the transform is neither, or the scale is not above zero.
        """
        parameters = dict(locals())
        check_choice("transform", transform, ("log", "softplus"))
        check_number("scale", scale, lambda s: s > 0, "be above zero")
        self._low, self._transform, self._scale = float(low), transform, float(scale)
        super().__init__(
            forward_min_event_ndims=0, dtype=tf.as_dtype(dtype), parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        if self._transform == "log":
            return self._low + tf.math.exp(x), x
        in_units = x / self._scale
        y = self._low + self._scale * tf.math.softplus(in_units)
        return y, tf.math.log_sigmoid(in_units)

    def _inverse_and_log_det(self, y, **call_kwargs):
        distance = y - self._low
        if self._transform == "log":
            x = tf.math.log(distance)
            return x, -x
        in_units = distance / self._scale
        log_slope = tf.math.log(-tf.math.expm1(-in_units))
        return distance + self._scale * log_slope, -log_slope


class Between(SinglePassBijector):
    """The numbers between two bounds, a scaled sigmoid, entry by entry.

        x = low + (high - low) / (1 + exp(-z))

    #### Examples

    >>> print(Between(0.0, 100.0).forward([-1.0, 0.0, 1.0]).numpy().round(2))
    [26.89 50.   73.11]
    """

    def __init__(self, low: float, high: float, *, dtype=tf.float32, name: str = "between"):
        """Builds the bijector.

        Args:
          low: the lower bound.
          high: the upper bound, above `low`.
          dtype: float dtype of x.
          name: prefix of the operations' names.

        Raises:
          ValueError: if `high` is not above `low`.
        """
        parameters = dict(locals())
        check_number("high", high, lambda bound: bound > low, f"be above `low`, {low!r}")
        self._low, self._high = float(low), float(high)
        super().__init__(
            forward_min_event_ndims=0, dtype=tf.as_dtype(dtype), parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        width = self._high - self._low
        lower, upper = width * tf.math.sigmoid(x), width * tf.math.sigmoid(-x)
        y = tf.where(x < 0, self._low + lower, self._high - upper)  # from the nearer bound
        return y, tf.math.log_sigmoid(x) + tf.math.log_sigmoid(-x) + self._log_width(x)

    def _inverse_and_log_det(self, y, **call_kwargs):
        above, below = tf.math.log(y - self._low), tf.math.log(self._high - y)
        return above - below, self._log_width(y) - above - below

    def _log_width(self, like):
        return tf.math.log(tf.constant(self._high - self._low, like.dtype))
