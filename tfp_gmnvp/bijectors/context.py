"""Contexts: further inputs of a flow's networks, for a conditional density p(x | c)."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import (
    SinglePassBijector,
    forward_and_log_det,
    inverse_and_log_det,
)

__all__ = ["Conditioned", "context_size", "join_context"]

tfb = tfp.bijectors


def context_size(module: tf.Module) -> int:
    """The size C of the context that a bijector requires, 0 if none.

    #### Examples

    >>> from tfp_gmnvp.bijectors import real_nvp
    >>> context_size(real_nvp(2, context_size=3)), context_size(real_nvp(2))
    (3, 0)
    """
    if isinstance(module, Conditioned):  # its context is bound
        return 0
    return max(getattr(part, "context_size", 0) for part in (module, *module.submodules))


def join_context(inputs: tf.Tensor, context: tf.Tensor | None, size: int) -> tf.Tensor:
    """Concatenates a network's inputs with its context.

    Args:
      inputs: `[..., d]`.
      context: `[..., C]` of the same leading shape, or of one that broadcasts to it if it has
        another rank; `None` if `size` is 0.
      size: C.

    Returns:
      A tensor `[..., d + C]`; `inputs` itself if `size` is 0.

    Raises:
      ValueError: if a required context is missing, a context is given to a bijector that takes
        none, or the shapes of context and inputs are incompatible.

    #### Examples

    >>> join_context(tf.zeros([2, 1]), tf.constant([7.0]), 1).numpy().tolist()
    [[0.0, 7.0], [0.0, 7.0]]
    """
    if not size:
        if context is not None:
            raise ValueError("A `context` was given to a bijector that has no `context_size`.")
        return inputs
    if context is None:
        raise ValueError(
            f"This flow requires a `context` of size {size}: pass `context=...` to `log_prob` and "
            "`sample`, or use `condition(flow, context)`."
        )
    context = tf.cast(context, inputs.dtype)
    if context.shape.rank != inputs.shape.rank:
        shape = tf.concat([tf.shape(inputs)[:-1], tf.shape(context)[-1:]], axis=0)
        context = tf.broadcast_to(context, shape)
    if not context.shape.is_compatible_with([*inputs.shape[:-1], size]):
        raise ValueError(
            f"`context` must have shape {[*inputs.shape[:-1].as_list(), size]} for these "
            f"vectors, got {context.shape}."
        )
    return tf.concat([inputs, context], axis=-1)


class Conditioned(SinglePassBijector):
    """A conditional bijector that is bound to one context or a batch of contexts.

    Its batch shape is that of the contexts: `x [..., D]` and `context [..., C]` broadcast.

    #### Examples

    >>> from tfp_gmnvp.bijectors import real_nvp
    >>> bijector = Conditioned(real_nvp(2, context_size=1, seed=0), tf.zeros([5, 1]))
    >>> bijector.forward([1.0, 2.0]).shape.as_list()
    [5, 2]
    >>> bijector.experimental_batch_shape().as_list()
    [5]
    """

    def __init__(self, bijector: tfb.Bijector, context: tf.Tensor, *, name: str = "conditioned"):
        """Binds a bijector to contexts.

        Args:
          bijector: of vectors, with a `context_size`, as `real_nvp` makes it.
          context: `[..., C]`.
          name: prefix of the operations' names.

        Raises:
          ValueError: if the bijector takes no context, or one of another size.
        """
        parameters = dict(locals())
        size = context_size(bijector)
        if not size:
            raise ValueError("`bijector` takes no context: it was built without a `context_size`.")
        context = tf.cast(context, bijector.dtype)
        if not context.shape.rank or not context.shape[-1:].is_compatible_with([size]):
            raise ValueError(f"`context` must have shape [..., {size}], got {context.shape}.")
        self._conditional, self._context = bijector, context
        parameters["context"] = context
        super().__init__(
            event_size=bijector.event_size, dtype=bijector.dtype, parameters=parameters, name=name
        )

    @property
    def context(self) -> tf.Tensor:
        """The contexts `[..., C]`."""
        return self._context

    @property
    def conditional(self) -> tfb.Bijector:
        """The conditional bijector, without its context."""
        return self._conditional

    def _forward_and_log_det(self, x, **call_kwargs):
        x, context = _broadcast(x, self._context)
        return forward_and_log_det(self._conditional, x, context=context, **call_kwargs)

    def _inverse_and_log_det(self, y, **call_kwargs):
        y, context = _broadcast(y, self._context)
        return inverse_and_log_det(self._conditional, y, context=context, **call_kwargs)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {"context": tfp.util.ParameterProperties(event_ndims=1)}


def _broadcast(*tensors):
    """Broadcasts tensors `[..., size]` to one leading shape."""
    shapes = [tensor.shape[:-1] for tensor in tensors]
    if all(shape.is_fully_defined() and shape == shapes[0] for shape in shapes):
        return tensors
    first, second = tensors
    try:
        static = tf.broadcast_static_shape(*shapes)
    except ValueError as error:
        raise ValueError(
            f"Vectors of shape {first.shape} and a `context` of shape {second.shape} do not "
            "broadcast."
        ) from error
    leading = tf.broadcast_dynamic_shape(tf.shape(first)[:-1], tf.shape(second)[:-1])
    return tuple(
        tf.ensure_shape(
            tf.broadcast_to(tensor, tf.concat([leading, tf.shape(tensor)[-1:]], axis=0)),
            static.concatenate(tensor.shape[-1:]),
        )
        for tensor in tensors
    )
