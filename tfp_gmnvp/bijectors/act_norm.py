"""Activation normalisation: an affine bijector that is initialised from data."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector, inverse_and_log_det

__all__ = ["ActNorm", "initialize"]

tfb = tfp.bijectors


class ActNorm(SinglePassBijector):
    """The affine bijector `x = loc + exp(log_scale) * z`, trained, and initialised by data.

    It is the identity until `initialize` sets it such that the first data come out with mean 0 and
    variance 1 at its latent side (Kingma and Dhariwal 2018, arXiv:1807.03039, section 3.1).

    #### Examples

    >>> act_norm = ActNorm(2)
    >>> act_norm.initialize(tf.constant([[0.0, 10.0], [2.0, 30.0]]))
    >>> act_norm.inverse([2.0, 10.0]).numpy().round(5).tolist()
    [1.0, -1.0]
    """

    def __init__(self, event_size: int, *, dtype=tf.float32, name: str = "act_norm"):
        """Builds the identity.

        Args:
          event_size: size D of the vectors.
          dtype: float dtype of the vectors and variables.
          name: prefix of the variables' and operations' names.
        """
        parameters = dict(locals())
        zeros = tf.zeros([event_size], dtype)
        self.loc = tf.Variable(zeros, name=f"{name}/loc")
        self.log_scale = tf.Variable(zeros, name=f"{name}/log_scale")
        self.is_initialized = tf.Variable(False, trainable=False, name=f"{name}/is_initialized")
        super().__init__(
            event_size=event_size,
            is_constant_jacobian=True,
            dtype=tf.as_dtype(dtype),
            parameters=parameters,
            name=name,
        )

    def initialize(self, x: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Sets `loc` and `log_scale` to the mean and log standard deviation of points.

        A constant entry keeps its scale.

        Args:
          x: points `[N, D]`.
          sample_weight: weights `[N]` or `None`.
        """
        weights = tf.ones_like(x[:, :1]) if sample_weight is None else sample_weight[:, tf.newaxis]
        mean, variance = tf.nn.weighted_moments(x, axes=[0], frequency_weights=weights)
        smallest = tf.maximum(1e-12 * mean**2, np.finfo(x.dtype.as_numpy_dtype).tiny)
        self.loc.assign(mean)
        self.log_scale.assign(tf.where(variance > smallest, tf.math.log(variance) / 2, 0.0))
        self.is_initialized.assign(True)

    def _forward_and_log_det(self, x, **call_kwargs):
        return self.loc + tf.exp(self.log_scale) * x, tf.reduce_sum(self.log_scale)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return (y - self.loc) * tf.exp(-self.log_scale), -tf.reduce_sum(self.log_scale)


def initialize(
    bijector: tfb.Bijector, x: tf.Tensor, sample_weight: tf.Tensor | None = None, **call_kwargs
):
    """Initialises each `ActNorm` of a chain by the data that reach it, in place.

    An `ActNorm` that is already initialised is left unchanged. Without any, nothing is computed.

    Args:
      bijector: maps latents to data.
      x: data `[N, D]`.
      sample_weight: weights `[N]` or `None`.
      **call_kwargs: further arguments of the bijector's calls, for example a `context` `[N, C]`.

    #### Examples

    >>> bijector = SinglePassChain([ActNorm(2), ActNorm(2)])
    >>> initialize(bijector, tf.constant([[0.0, 10.0], [2.0, 30.0]]))
    >>> [part.loc.numpy().tolist() for part in bijector.bijectors]
    [[1.0, 20.0], [0.0, 0.0]]
    """
    parts = bijector.bijectors if isinstance(bijector, SinglePassChain) else [bijector]
    if not any(_is_waiting(part) for part in parts):
        return
    for part in parts:
        if _is_waiting(part):
            part.initialize(x, sample_weight)
        x, _ = inverse_and_log_det(part, x, **call_kwargs)


def _is_waiting(bijector):
    return isinstance(bijector, ActNorm) and not bijector.is_initialized
