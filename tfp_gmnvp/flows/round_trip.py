"""The numerical error of a flow's inverse in its dtype."""

from __future__ import annotations

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors
from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.flows import on_arrays

__all__ = ["round_trip_error"]

tfd = tfp.distributions


def round_trip_error(flow: tfd.TransformedDistribution, x) -> float:
    """Computes the relative error of `forward(inverse(x))`.

        max_nd |f^-1(f(x_n))_d - x_nd| / max_n |x_nd - c_d|

    with c = 0, or the centre of the standardisation where the flow begins with one.
    Rounding alone gives about the resolution of the dtype, 1e-7 or 1e-16. If it is much larger, the
    flow is so steep that its inverse is inaccurate, and its densities have lost digits, too. A
    lower `max_log_scale`, weight decay, or `dtype=tf.float64` helps.

    Args:
      flow: a flow made by `gaussian_mixture_flow`.
      x: points `[N, D]`.

    Returns:
      A number without a unit.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, seed=0)
    >>> round_trip_error(flow, [[0.0, 1.0], [2.0, -1.0]]) < 1e-6
    True
    """
    points = on_arrays.as_points(flow, x)
    back = on_arrays.forward(flow, on_arrays.inverse(flow, points)).astype(np.float64)
    x = np.asarray(
        array_checks.as_array(x), np.float64
    )  # unconverted: the cast is part of the error
    standardization = bijectors.leading_standardization(flow.bijector)
    if standardization is None:
        scale = np.maximum(np.abs(x).max(axis=0), np.finfo(points.dtype).tiny)
    else:
        distance = np.abs(x - standardization.mean.numpy()).max(axis=0)
        scale = np.maximum(distance, standardization.std.numpy())
    return float((np.abs(back - x) / scale).max())
