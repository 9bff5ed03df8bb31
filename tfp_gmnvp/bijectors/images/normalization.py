"""Normalisation between couplings, whose statistics are variables of the bijector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.images.masks import check_image_shape
from tfp_gmnvp.bijectors.images.shapes import FactorOut
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["ChannelActNorm", "initialize_from"]

tfb = tfp.bijectors


class ChannelActNorm(SinglePassBijector):
    """The affine map `y = loc_c + exp(s_c) * x` of each channel c; its inverse normalises.

        log|det dy/dx| = H W sum_c s_c

    It replaces the batch normalisation of Dinh et al. 2017 (arXiv:1605.08803, section 3.7). Its
    `loc` and `s` start as the statistics of data (`initialize_from`) and train along with the rest
    (Kingma and Dhariwal 2018, arXiv:1807.03039, section 3.1). So the density of a point does not
    depend on a batch, and is the same in training, in EM's passes over the data and at inference.

    #### Examples

    >>> ChannelActNorm([4, 4, 3]).forward(tf.ones([4, 4, 3])).shape.as_list()
    [4, 4, 3]
    """

    def __init__(
        self, image_shape: Sequence[int], *, dtype=tf.float32, name: str = "channel_act_norm"
    ):
        """Builds the identity.

        Args:
          image_shape: `[H, W, C]`.
          dtype: float dtype of the images.
          name: prefix of the variables' names.
        """
        parameters = dict(locals())
        shape = check_image_shape(image_shape)
        self.loc = tf.Variable(tf.zeros(shape[-1:], dtype), name=f"{name}/loc")
        self.log_scale = tf.Variable(tf.zeros(shape[-1:], dtype), name=f"{name}/log_scale")
        super().__init__(
            domain_shape=shape, dtype=tf.as_dtype(dtype), parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        return self.loc + tf.exp(self.log_scale) * x, self._log_det()

    def _inverse_and_log_det(self, y, **call_kwargs):
        return (y - self.loc) * tf.exp(-self.log_scale), -self._log_det()

    def _log_det(self):
        height, width, _ = self.domain_shape
        return height * width * tf.reduce_sum(self.log_scale)


def initialize_from(bijector: tfb.Bijector, images: tf.Tensor) -> tf.Tensor:
    """Initialises every `ChannelActNorm` of a bijector by the statistics of its input.

    A constant channel keeps its scale.

    Args:
      bijector: made by `image_real_nvp`, or a chain that holds it.
      images: `[N, H, W, C]`.

    Returns:
      The latents of the images, each channel of which was normalised on the way.

    #### Examples

    >>> norm = ChannelActNorm([1, 2, 1])
    >>> initialize_from(norm, tf.constant([[[[1.0], [3.0]]]])).numpy().ravel().tolist()
    [-1.0, 1.0]
    """
    if isinstance(bijector, SinglePassChain):
        for part in bijector.bijectors:
            images = initialize_from(part, images)
        return images
    if isinstance(bijector, FactorOut):
        initialize_from(bijector.inner, tf.split(images, 2, axis=-1)[0])
    if isinstance(bijector, ChannelActNorm):
        mean, variance = tf.nn.moments(images, axes=[0, 1, 2])
        smallest = tf.maximum(1e-12 * mean**2, np.finfo(images.dtype.as_numpy_dtype).tiny)
        bijector.loc.assign(mean)
        bijector.log_scale.assign(
            tf.where(variance > smallest, 0.5 * tf.math.log(variance), tf.zeros_like(variance))
        )
    return bijector.inverse(tf.identity(images))
