"""Normalisation between couplings, whose statistics are variables of the bijector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors.act_norm import mean_and_log_scale
from tfp_gmnvp.bijectors.images.masks import check_image_shape
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["ChannelActNorm"]


class ChannelActNorm(SinglePassBijector):
    """The affine map `y = loc_c + exp(s_c) * x` of each channel c; its inverse normalises.

        log|det dy/dx| = H W sum_c s_c

    It replaces the batch normalisation of Dinh et al. 2017 (arXiv:1605.08803, section 3.7). Its
    `loc` and `s` start as the statistics of data (`initialize`) and train along with the rest
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

    @property
    def waits_for_data(self) -> bool:
        """Whether it is still the identity that it was built as."""
        values = [v.numpy() for v in (self.loc, self.log_scale)]
        return not np.any(values)

    def initialize(self, x: tf.Tensor, sample_weight: tf.Tensor | None = None, **call_kwargs):
        """Takes up mean and standard deviation of each channel; of a constant one the mean alone.

        Args:
          x: images `[N, H, W, C]`.
          sample_weight: weights `[N]` or `None`.
          **call_kwargs: not used.

        Returns:
          The normalised images.
        """
        loc, log_scale = mean_and_log_scale(x, sample_weight, axes=[0, 1, 2])
        self.loc.assign(loc)
        self.log_scale.assign(log_scale)
        return self._inverse_and_log_det(x)[0]

    def _forward_and_log_det(self, x, **call_kwargs):
        return self.loc + tf.exp(self.log_scale) * x, self._log_det()

    def _inverse_and_log_det(self, y, **call_kwargs):
        return (y - self.loc) * tf.exp(-self.log_scale), -self._log_det()

    def _log_det(self):
        height, width, _ = self.domain_shape
        return height * width * tf.reduce_sum(self.log_scale)
