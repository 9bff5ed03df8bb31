"""Interpolation between points along straight lines in the latent space."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.array_checks import check_tensor_dtype
from tfp_gmnvp.flows import columns
from tfp_gmnvp.flows.checks import check_is_flow

__all__ = ["interpolate"]

tfd = tfp.distributions


def interpolate(
    flow: tfd.TransformedDistribution, a: tf.Tensor, b: tf.Tensor, num: int
) -> tf.Tensor:
    """Interpolates from a to b along a straight line in the latent space.

        x_t = forward((1 - t) f(a) + t f(b)),    t = 0, 1/(num - 1), ..., 1

    Between points of one component the latents stay at least as likely as the less likely end, as
    a Gaussian's contours are convex; between components the path crosses what lies between
    them. Great circles about the origin, which are usual for standard normal priors in many
    dimensions, do not suit components with different centres and covariances.

    Args:
      flow: any `tfd.TransformedDistribution` with event shape `[D]`.
      a: points `[..., D]`.
      b: points `[..., D]`, of a shape that broadcasts with that of `a`.
      num: number of points of each path, at least 2, the ends among them.

    Returns:
      A tensor `[num, ..., D]`, from a to b up to the rounding of the bijector.

    Raises:
      ValueError: if `num` is not a whole number >= 2, or a and b do not end in D.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros([2])), tfb.Exp())
    >>> interpolate(flow, [1.0, 1.0], [4.0, 9.0], 3).numpy().round(4).tolist()
    [[1.0, 1.0], [2.0, 3.0], [4.0, 9.0]]
    """
    check_is_flow(flow)
    check_whole_number("num", num, 2)
    a, b = (_as_points(flow, name, x) for name, x in (("a", a), ("b", b)))
    start, end = flow.bijector.inverse(a), flow.bijector.inverse(b)
    rank = tf.maximum(tf.rank(start), tf.rank(end))
    t = tf.linspace(tf.zeros([], start.dtype), 1.0, num)
    t = tf.reshape(t, tf.concat([[num], tf.ones([rank], tf.int32)], axis=0))
    return flow.bijector.forward((1 - t) * start + t * end)


def _as_points(flow, name, x):
    x = columns.table_to_array(x, name, flow)
    check_tensor_dtype(name, x, flow.dtype)
    x = tf.convert_to_tensor(x, dtype=flow.dtype)
    if x.shape.rank == 0 or not x.shape[-1:].is_compatible_with(flow.event_shape):
        raise ValueError(f"`{name}` must have shape [..., {flow.event_shape[0]}], got {x.shape}.")
    return x
