"""Conditional densities p(x | c): flows at a context, and rows of points with contexts."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors, mixtures
from tfp_gmnvp.flows import columns, precision
from tfp_gmnvp.flows.checks import check_is_flow
from tfp_gmnvp.flows.distribution import Flow

__all__ = [
    "ConditionalFlow",
    "as_rows",
    "condition",
    "flow_rows",
    "paired",
    "points_and_context",
    "row_shape",
    "validation_paired",
]

tfd = tfp.distributions


def condition(flow: tfd.TransformedDistribution, context) -> tfd.TransformedDistribution:
    """Returns the distribution p(x | c) of a flow at a context, or at a batch of contexts.

        log p(x | c) = log sum_k pi_k(c) N(f(x; c) | mu_k, Sigma_k) + log|det df(x; c)/dx|

    It can be used as any other distribution, for example in `posterior` and joint distributions.
    It shares the flow's variables.

    Args:
      flow: a flow with a `context_size`, as `gaussian_mixture_flow` makes it, or any
        `tfd.TransformedDistribution` over a vector distribution and such a `real_nvp`.
      context: `[..., C]`.

    Returns:
      A `tfd.TransformedDistribution` with batch shape `[...]` and event shape `[D]`.

    Raises:
      ValueError: if the flow takes no context, or one of another size.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 3, context_size=1, seed=0)
    >>> at_five = condition(flow, tf.zeros([5, 1]))
    >>> at_five.log_prob([0.0, 0.0]).shape.as_list(), at_five.sample(4, seed=1).shape.as_list()
    ([5], [4, 5, 2])
    """
    check_is_flow(flow)
    context = columns.table_to_array(context, "context", flow, part="context")
    bijector = bijectors.Conditioned(flow.bijector, context)
    mixture = mixtures.at_context(flow.distribution, bijector.context)
    conditioned = Flow(mixture, bijector, name=f"conditioned_{flow.name}")
    return columns.remember(conditioned, columns.Columns(columns.known_columns(flow).points))


class ConditionalFlow(Flow):
    """A flow whose methods take a `context`; see `condition`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 3, context_size=1, seed=0)
    >>> flow.log_prob(tf.zeros([5, 2]), context=tf.zeros([5, 1])).shape.as_list()
    [5]
    >>> flow.sample(4, context=tf.zeros([5, 1]), seed=1).shape.as_list()
    [4, 5, 2]
    """

    def _log_prob(self, x, *, context=None, **kwargs):
        if context is None:
            return super()._log_prob(x, **kwargs)
        return condition(self, context).log_prob(x)

    def _sample_of_shape(self, sample_shape, seed, *, context=None, **kwargs):
        if context is None:
            return super()._sample_of_shape(sample_shape, seed, **kwargs)
        return condition(self, context).sample(sample_shape, seed)

    def _sample_and_log_prob(self, sample_shape, seed, *, context=None, **kwargs):
        if context is None:
            return super()._sample_and_log_prob(sample_shape, seed, **kwargs)
        return condition(self, context).experimental_sample_and_log_prob(sample_shape, seed)


def paired(flow: tfd.TransformedDistribution, x):
    """Concatenates arrays `(x, context)` to rows, which Keras' methods take as one array.

    Args:
      flow: a flow, with or without a `context_size`.
      x: the argument `x` of a Keras method: with a context a pair of `[N, D]` and `[N, C]`, their
        rows `[N, D + C]`, or data sets whose elements hold such pairs.

    Returns:
      An array `[N, D + C]`; `x` itself if it is not a pair of arrays, or the flow takes no context.

    Raises:
      ValueError: if there is no context, or one of another shape.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, context_size=1)
    >>> paired(flow, (np.zeros([3, 2]), np.ones([3, 1]))).tolist()[0]
    [0.0, 0.0, 1.0]
    """
    event_size, size = flow.event_shape[-1], bijectors.context_size(flow.bijector)
    is_pair = isinstance(x, (tuple, list))
    if not size or not (is_pair or hasattr(x, "shape") or hasattr(x, "to_numpy")):
        return x
    parts = _as_arrays(flow, x) if is_pair else [np.asarray(columns.as_array(x, flow=flow))]
    shapes = [part.shape for part in parts]
    num_points = len(parts[0])
    if shapes == [(num_points, event_size + size)]:
        return parts[0]
    if shapes != [(num_points, event_size), (num_points, size)]:
        raise ValueError(
            f"`x` must be a pair (points, context) of shapes [N, {event_size}] and [N, {size}], "
            f"got {' and '.join(str(list(shape)) for shape in shapes)}."
        )
    return np.concatenate(parts, axis=-1)


def validation_paired(flow: tfd.TransformedDistribution, data):
    """Concatenates the pair `(x, context)` of `validation_data` to rows; see `paired`.

    Args:
      flow: a flow, with or without a `context_size`.
      data: what `fit` takes, or a pair `(x, context)` alone.

    Returns:
      The same with an array `[N, D + C]` instead of the pair.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, context_size=1)
    >>> validation_paired(flow, (np.zeros([3, 2]), np.ones([3, 1])))[0].shape
    (3, 3)
    """
    if not bijectors.context_size(flow.bijector) or not isinstance(data, (tuple, list)):
        return data
    first, *others = data
    if isinstance(first, (tuple, list)):
        return (paired(flow, first), *others)
    return (paired(flow, data),)


def row_shape(flow: tfd.TransformedDistribution) -> list[int]:
    """Returns the shape of a point, or `[D + C]` of a row of point and context.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> row_shape(gaussian_mixture_flow(2, context_size=1)), row_shape(gaussian_mixture_flow(2))
    ([3], [2])
    """
    size = bijectors.context_size(flow.bijector)
    return [flow.event_shape[-1] + size] if size else flow.event_shape.as_list()


def as_rows(x, dtype, *, keeps_float64: bool = False) -> tf.Tensor:
    """Converts a batch of points, or a pair of points and contexts, to one tensor of rows.

    Args:
      x: points, or a pair of points and contexts.
      dtype: dtype of the result.
      keeps_float64: whether points of float64, or of integers with as many digits, become float64
        instead; see `precision`.

    #### Examples

    >>> as_rows((tf.zeros([3, 2]), tf.ones([3, 1])), tf.float32).shape.as_list()
    [3, 3]
    """
    if isinstance(x, (tuple, list)) and len(x) == 2 and all(hasattr(p, "shape") for p in x):
        points, context = (tf.convert_to_tensor(part) for part in x)
        if keeps_float64 and precision.is_wide(points.dtype):
            dtype = tf.float64
        return tf.concat([tf.cast(points, dtype), tf.cast(context, dtype)], axis=-1)
    x = tf.convert_to_tensor(x)
    return tf.cast(x, tf.float64 if keeps_float64 and precision.is_wide(x.dtype) else dtype)


def flow_rows(flow: tfd.TransformedDistribution, x) -> tf.Tensor:
    """Converts a batch to rows in the dtype that the flow takes; see `as_rows`.

    Args:
      flow: a flow, with or without a `context_size`.
      x: points, or a pair of points and contexts.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow_rows(gaussian_mixture_flow(2), np.zeros([3, 2])).dtype.name
    'float32'
    """
    return as_rows(x, flow.dtype, keeps_float64=precision.takes_float64(flow))


def points_and_context(flow: tfd.TransformedDistribution, x) -> tuple[tf.Tensor, dict]:
    """Splits a batch into points and the keyword arguments of the flow's calls.

    Args:
      flow: a flow, with or without a `context_size`.
      x: points `[n, D]`; with a context the pair, or rows `[n, D + C]`.

    Returns:
      Points `[n, D]` in the flow's dtype, or in float64 where the flow uses its digits, and
      `{"context": [n, C]}`, or an empty dict, in the flow's dtype.

    Raises:
      ValueError: if the context is missing or has another size.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, context_size=1)
    >>> x, call_kwargs = points_and_context(flow, tf.zeros([3, 3]))
    >>> x.shape.as_list(), call_kwargs["context"].shape.as_list()
    ([3, 2], [3, 1])
    """
    size = bijectors.context_size(flow.bijector)
    x = columns.table_to_array(x, "x", flow)
    x = flow_rows(flow, x)
    if not size:
        return x, {}
    event_size = flow.event_shape[-1]
    if not x.shape[-1:].is_compatible_with([event_size + size]):
        raise ValueError(
            f"A batch must hold pairs (points, context) of sizes {event_size} and {size}, as in "
            f"`((x, context),)`, got rows of size {x.shape[-1]}."
        )
    return x[..., :event_size], {"context": tf.cast(x[..., event_size:], flow.dtype)}


def _as_arrays(flow, pair):
    """Converts points and contexts to arrays; errors name the part."""
    parts = [("x", "points"), ("context", "context")]
    if len(pair) != 2:
        return [np.asarray(columns.as_array(array)) for array in pair]
    return [
        np.asarray(columns.as_array(array, name, flow, part=part))
        for array, (name, part) in zip(pair, parts, strict=True)
    ]
