"""Bijectors that only move entries: squeezing, flattening, factoring out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.images.masks import check_image_shape
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["FactorOut", "Flatten", "Squeeze"]

tfb = tfp.bijectors


class Squeeze(SinglePassBijector):
    """The squeezing operation; its `inverse` trades space for channels.

    `inverse` maps `[H, W, C]` to `[H/2, W/2, 4 C]`: of each block of 2 x 2 pixels it stacks the
    upper left, lower right, upper right and lower left (Dinh et al. 2017, arXiv:1605.08803,
    section 3.6). So the first half of the channels is one colour of a checkerboard.

    #### Examples

    >>> squeeze = Squeeze([2, 2, 1], dtype=tf.float32)
    >>> squeeze.inverse([[[1.0], [2.0]], [[3.0], [4.0]]]).numpy().tolist()
    [[[1.0, 4.0, 2.0, 3.0]]]
    """

    def __init__(self, image_shape: Sequence[int], *, dtype=None, name: str = "squeeze"):
        """Builds the bijector.

        Args:
          image_shape: `[H, W, C]` of the unsqueezed images, with even H and W.
          dtype: float dtype of the images.
          name: prefix of the operations' names.

        Raises:
          ValueError: if H or W is odd.
        """
        parameters = dict(locals())
        height, width, channels = check_image_shape(image_shape)
        if height % 2 or width % 2:
            raise ValueError(
                f"`image_shape` must have an even height and width, got {list(image_shape)}."
            )
        super().__init__(
            domain_shape=[height // 2, width // 2, 4 * channels],
            codomain_shape=[height, width, channels],
            is_constant_jacobian=True,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        upper_left, lower_right, upper_right, lower_left = tf.split(x, 4, axis=-1)
        rows = _interleave(upper_left, upper_right, -2), _interleave(lower_left, lower_right, -2)
        return _interleave(*rows, -3), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y, **call_kwargs):
        upper, lower = y[..., 0::2, :, :], y[..., 1::2, :, :]
        parts = (
            upper[..., 0::2, :],
            lower[..., 1::2, :],
            upper[..., 1::2, :],
            lower[..., 0::2, :],
        )
        return tf.concat(parts, axis=-1), tf.zeros([], y.dtype)


class Flatten(SinglePassBijector):
    """Vectors as images: `forward` maps `[H W C]` to `[H, W, C]`.

    #### Examples

    >>> Flatten([1, 2, 1]).forward([1.0, 2.0]).numpy().tolist()
    [[[1.0], [2.0]]]
    """

    def __init__(self, image_shape: Sequence[int], *, dtype=None, name: str = "flatten"):
        """Builds the bijector.

        Args:
          image_shape: `[H, W, C]`.
          dtype: float dtype of the images.
          name: prefix of the operations' names.
        """
        parameters = dict(locals())
        shape = check_image_shape(image_shape)
        super().__init__(
            domain_shape=[math.prod(shape)],
            codomain_shape=shape,
            is_constant_jacobian=True,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        return _reshape_event(x, 1, self.codomain_shape), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return _reshape_event(y, 3, self.domain_shape), tf.zeros([], y.dtype)


class FactorOut(SinglePassBijector):
    """Factors out half of the channels as latents; the others pass through the coarser scales.

    With the image `y = (y_a, y_b)`, split along the channels, and the bijector `g` of the coarser
    scales, `forward` maps vectors `z = (z_a, z_b)` by

        y_a = g(z_a),    y_b = z_b as an image

    (Dinh et al. 2017, arXiv:1605.08803, equations 14 to 16). So the latents of the coarsest scale
    come first.

    #### Examples

    >>> factor_out = FactorOut(Flatten([1, 2, 1]), [1, 2, 2])
    >>> factor_out.inverse([[[1.0, 10.0], [2.0, 20.0]]]).numpy().tolist()
    [1.0, 2.0, 10.0, 20.0]
    """

    def __init__(
        self, inner: tfb.Bijector, image_shape: Sequence[int], *, name: str = "factor_out"
    ):
        """Builds the bijector.

        Args:
          inner: a `SinglePassBijector` from vectors to images `[H, W, C / 2]`.
          image_shape: `[H, W, C]` with even C.
          name: prefix of the operations' names.

        Raises:
          ValueError: if `inner` gives images of another shape.
        """
        parameters = dict(locals())
        height, width, channels = check_image_shape(image_shape)
        half = (height, width, channels // 2)
        if channels % 2 or inner.codomain_shape != half:
            raise ValueError(
                f"`inner` must give half of the channels of images {list(image_shape)}, got "
                f"images of shape {list(inner.codomain_shape)}."
            )
        self._inner, self._rest = inner, Flatten(half, dtype=inner.dtype)
        super().__init__(
            domain_shape=[height * width * channels],
            codomain_shape=[height, width, channels],
            dtype=inner.dtype,
            parameters=parameters,
            name=name,
        )

    @property
    def inner(self) -> tfb.Bijector:
        """The bijector of the coarser scales."""
        return self._inner

    @property
    def waits_for_data(self) -> bool:
        return self._inner.waits_for_data

    def initialize(self, x, sample_weight=None, **call_kwargs):
        first, rest = tf.split(x, 2, axis=-1)
        latents = self._inner.initialize(first, sample_weight, **call_kwargs)
        return tf.concat([latents, self._rest._inverse_and_log_det(rest)[0]], axis=-1)

    def _forward_and_log_det(self, x, **call_kwargs):
        first, rest = tf.split(x, 2, axis=-1)
        y, log_det = self._inner._forward_and_log_det(first, **call_kwargs)
        return tf.concat([y, self._rest._forward_and_log_det(rest)[0]], axis=-1), log_det

    def _inverse_and_log_det(self, y, **call_kwargs):
        first, rest = tf.split(y, 2, axis=-1)
        x, log_det = self._inner._inverse_and_log_det(first, **call_kwargs)
        return tf.concat([x, self._rest._inverse_and_log_det(rest)[0]], axis=-1), log_det


def _interleave(first, second, axis):
    """Interleaves slices of both tensors along an axis that is counted from the end."""
    stacked = tf.stack([first, second], axis=first.shape.rank + axis + 1)
    shape = first.shape[axis:].as_list()
    return _reshape_event(stacked, 1 - axis, [2 * shape[0], *shape[1:]])


def _reshape_event(x, rank, event_shape):
    """Reshapes the last `rank` axes."""
    batch = tf.shape(x)[: x.shape.rank - rank]
    reshaped = tf.reshape(x, tf.concat([batch, tf.constant(event_shape, tf.int32)], axis=0))
    return tf.ensure_shape(reshaped, x.shape[: x.shape.rank - rank] + event_shape)
