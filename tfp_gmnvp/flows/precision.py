"""Standardisation in float64 of points with more digits than the flow's dtype.

In float32 a timestamp of 1.7e9 is exact to 128 seconds only. If the outermost bijector is a
standardisation, it takes rows of float64, and of integers with 32 bits and more, before the cast.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors
from tfp_gmnvp._shared import array_checks

__all__ = [
    "as_wide",
    "check_resolution",
    "is_wide",
    "latents",
    "latents_and_log_det",
    "log_prob",
    "row_dtype",
    "takes_float64",
]

tfd = tfp.distributions

_WIDE = (tf.float64, tf.int32, tf.int64, tf.uint32, tf.uint64)


def takes_float64(flow: tfd.TransformedDistribution) -> bool:
    """Whether a flow of lower precision standardises first, and so uses the digits of float64.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> takes_float64(gaussian_mixture_flow(2, standardize=[[0.0, 1.0], [2.0, 5.0]]))
    True
    >>> takes_float64(gaussian_mixture_flow(2))
    False
    """
    has_one = bijectors.leading_standardization(flow.bijector) is not None
    return has_one and tf.as_dtype(flow.dtype) != tf.float64


def is_wide(dtype) -> bool:
    """Whether a dtype may have more digits than float32.

    #### Examples

    >>> is_wide(tf.int64), is_wide(np.dtype(np.float32))
    (True, False)
    """
    return tf.as_dtype(dtype) in _WIDE


def row_dtype(flow: tfd.TransformedDistribution, dtype) -> tf.DType:
    """Returns the dtype in which points of a dtype are passed to a flow.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, standardize=[[0.0, 1.0], [2.0, 5.0]])
    >>> row_dtype(flow, np.float64).name, row_dtype(flow, np.float32).name
    ('float64', 'float32')
    """
    return tf.float64 if is_wide(dtype) and takes_float64(flow) else tf.as_dtype(flow.dtype)


def as_wide(flow: tfd.TransformedDistribution, x) -> tf.Tensor:
    """Converts a user's points `[..., D]` to a tensor of float64 or of the flow's dtype.

    Raises:
      TypeError: if x is a tensor of another dtype that the flow does not take.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> as_wide(gaussian_mixture_flow(2, seed=0), np.zeros([3, 2])).dtype.name
    'float32'
    """
    if is_wide(getattr(x, "dtype", tf.float32)) and takes_float64(flow):
        return tf.cast(x, tf.float64)
    array_checks.check_tensor_dtype("x", x, flow.dtype)
    return tf.convert_to_tensor(x, dtype=flow.dtype)


def latents(flow: tfd.TransformedDistribution, x) -> tf.Tensor:
    """Computes the latents of a user's points `[..., D]`, from float64 where possible.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> data = np.array([[1.7e9, 0.0], [1.7e9 + 60.0, 2.0]])
    >>> latents(gaussian_mixture_flow(2, standardize=data, seed=0), data[0]).numpy().tolist()
    [-1.0, -1.0]
    """
    x = as_wide(flow, x)
    return flow.bijector.inverse(x) if x.dtype == flow.dtype else latents_and_log_det(flow, x)[0]


def latents_and_log_det(flow: tfd.TransformedDistribution, x: tf.Tensor, **call_kwargs):
    """Computes z = f(x) and log|det df(x)/dx| of points in the flow's dtype or its `row_dtype`.

    Args:
      flow: a flow.
      x: points `[N, D]`.
      **call_kwargs: further arguments of the bijector's calls.

    Returns:
      Latents `[N, D]`, and the log-det, `[N]` or of a shape that broadcasts with it; both in the
      flow's dtype.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> data = np.array([[1.7e9, 0.0], [1.7e9 + 60.0, 2.0]])
    >>> flow = gaussian_mixture_flow(2, num_couplings=1, standardize=data, seed=0)
    >>> latents_and_log_det(flow, tf.constant(data))[0].numpy().tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    bijector = flow.bijector
    if x.dtype == flow.dtype:
        z = bijector.inverse(x, **call_kwargs)
        ndims = flow.event_shape.rank
        return z, bijector.inverse_log_det_jacobian(x, event_ndims=ndims, **call_kwargs)
    return bijector._checked_inverse_and_log_det(x, **call_kwargs)


def log_prob(flow: tfd.TransformedDistribution, x: tf.Tensor) -> tf.Tensor:
    """Computes log p(x) of points in the flow's dtype or its `row_dtype`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> data = np.array([[1.7e9, 0.0], [1.7e9 + 60.0, 2.0]])
    >>> flow = gaussian_mixture_flow(2, standardize=data, seed=0)
    >>> log_prob(flow, tf.constant(data)).dtype.name
    'float32'
    """
    if x.dtype == flow.dtype:
        return flow.log_prob(x)
    z, log_det = latents_and_log_det(flow, x)
    return flow.distribution.log_prob(z) + log_det


def check_resolution(flow: tfd.TransformedDistribution, x, name: str = "x") -> None:
    """Raises a `ValueError` if the flow's dtype cannot resolve the values of a column.

    The values that are cast are checked: points, or standardised points.

    Args:
      flow: a flow.
      x: points `[N, D]`, or `[N, D + C]` with their contexts; of many rows a subset is checked.
      name: name of the points in errors.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> x = 1.7e9 + np.linspace(-90.0, 90.0, 40).reshape(20, 2)
    >>> check_resolution(gaussian_mixture_flow(2, standardize=x), x)
    >>> check_resolution(gaussian_mixture_flow(2), x)
    Traceback (most recent call last):
    ValueError: `x` would lose the differences between its rows: column 0 lies about 1.7e+09 ...
    """
    if len(x.shape) != 2:
        return
    loc, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    first = bijectors.leading_standardization(flow.bijector)
    is_standardized = first is not None and (is_wide(x.dtype) or flow.dtype == tf.float64)
    if is_standardized:
        size = first.mean.shape[0]
        loc[:size], scale[:size] = first.mean.numpy(), first.std.numpy()
    dtype = tf.as_dtype(flow.dtype)
    hint = (
        "Build the flow with `dtype=tf.float64`, or subtract an origin near the data."
        if is_standardized
        else f"Pass the rows in float64 (these are {tf.as_dtype(x.dtype).name}) to a flow with "
        "`standardize=x`, which centres them before the cast, or to one with `dtype=tf.float64`."
    )
    array_checks.check_resolvable(name, x, dtype, loc=loc, scale=scale, hint=hint)
