"""Activation normalisation: an affine bijector that is initialised from data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["ActNorm", "initialize", "mean_and_log_scale"]

tfb = tfp.bijectors


class ActNorm(SinglePassBijector):
    """The affine bijector `x = loc + exp(log_scale) * z`, trained, and initialised by data.

    It is the identity until `initialize` sets it such that the first data come out with mean 0 and
    variance 1 at its latent side (Kingma and Dhariwal 2018, arXiv:1807.03039, section 3.1).

    #### Examples

    >>> act_norm = ActNorm(2)
    >>> _ = act_norm.initialize(tf.constant([[0.0, 10.0], [2.0, 30.0]]))
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

    @property
    def waits_for_data(self) -> bool:
        return not self.is_initialized

    def initialize(self, x: tf.Tensor, sample_weight: tf.Tensor | None = None, **call_kwargs):
        """Takes up mean and standard deviation of points; of a constant entry the mean alone.

        Args:
          x: points `[N, D]`.
          sample_weight: weights `[N]` or `None`.
          **call_kwargs: not used.

        Returns:
          The latents of the points.
        """
        loc, log_scale = mean_and_log_scale(x, sample_weight)
        self.loc.assign(loc)
        self.log_scale.assign(log_scale)
        self.is_initialized.assign(True)
        return self._inverse_and_log_det(x)[0]

    def _forward_and_log_det(self, x, **call_kwargs):
        return self.loc + tf.exp(self.log_scale) * x, tf.reduce_sum(self.log_scale)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return (y - self.loc) * tf.exp(-self.log_scale), -tf.reduce_sum(self.log_scale)


def mean_and_log_scale(
    x: tf.Tensor, sample_weight: tf.Tensor | None = None, axes: Sequence[int] = (0,)
) -> tuple[tf.Tensor, tf.Tensor]:
    """Means and logarithms of standard deviations of data; a constant has the logarithm zero.

    Args:
      x: data `[N, ..., C]`.
      sample_weight: weights `[N]` or `None`.
      axes: the axes that are averaged over, the first among them.

    Returns:
      Two tensors, `[C]` if all axes but the last are averaged over.

    #### Examples

    >>> x = tf.constant([[5.0, 1.0], [5.0, 3.0]])
    >>> [part.numpy().tolist() for part in mean_and_log_scale(x)]
    [[5.0, 2.0], [0.0, 0.0]]
    """
    weights = (
        tf.ones([len(x)], x.dtype) if sample_weight is None else tf.cast(sample_weight, x.dtype)
    )
    weights = tf.reshape(weights, [-1] + [1] * (x.shape.rank - 1))
    mean, variance = tf.nn.weighted_moments(x, axes=list(axes), frequency_weights=weights)
    smallest = tf.maximum(1e-12 * mean**2, np.finfo(x.dtype.as_numpy_dtype).tiny)
    return mean, tf.where(variance > smallest, tf.math.log(variance) / 2, 0.0)


def initialize(
    bijector: tfb.Bijector, x: tf.Tensor, sample_weight: tf.Tensor | None = None, **call_kwargs
) -> None:
    """Initialises each normalisation of a bijector by the data that reach it, in place.

    One that is already initialised is left unchanged. Without any, nothing is computed.

    Args:
      bijector: maps latents to data.
      x: data `[N, D]` or `[N, H, W, C]`.
      sample_weight: weights `[N]` or `None`.
      **call_kwargs: further arguments of the bijector's calls, for example a `context` `[N, C]`.

    #### Examples

    >>> from tfp_gmnvp.bijectors import SinglePassChain
    >>> bijector = SinglePassChain([ActNorm(2), ActNorm(2)])
    >>> initialize(bijector, tf.constant([[0.0, 10.0], [2.0, 30.0]]))
    >>> [part.loc.numpy().tolist() for part in bijector.bijectors]
    [[1.0, 20.0], [0.0, 0.0]]
    """
    if getattr(bijector, "waits_for_data", False):
        bijector.initialize(x, sample_weight, **call_kwargs)
