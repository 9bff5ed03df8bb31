"""Bijectors from unconstrained variables to scales: standard deviations and Cholesky factors.

They are `tfb.Exp` and `tfb.FillScaleTriL` with an exponential diagonal, without TFP's cache, which
keeps every graph alive that they are used in.
"""

from __future__ import annotations

import abc
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import UncachedBijector

__all__ = ["PositiveScale", "ScaleTril"]


class _ScaleBijector(UncachedBijector):
    """A bijector whose value and log-det are functions of a tensor."""

    def _check_dtype(self, name, value, dtype):
        """Any float dtype is valid."""

    def _forward(self, x):
        return self._checked_forward_and_log_det(x)[0]

    def _inverse(self, y):
        return self._checked_inverse_and_log_det(y)[0]

    def _forward_log_det_jacobian(self, x):
        return self._checked_forward_and_log_det(x)[1]

    @abc.abstractmethod
    def _checked_forward_and_log_det(self, x):
        """The scale, and the log-det."""


class PositiveScale(_ScaleBijector):
    """s = exp(x), elementwise.

    #### Examples

    >>> PositiveScale().forward(tf.constant([0.0])).numpy().tolist()
    [1.0]
    """

    def __init__(self, name: str = "exp"):
        super().__init__(forward_min_event_ndims=0, parameters={"name": name}, name=name)

    def _checked_forward_and_log_det(self, x):
        return tf.exp(x), x

    def _checked_inverse_and_log_det(self, y):
        x = tf.math.log(y)
        return x, -x


class ScaleTril(_ScaleBijector):
    """Lower triangular L `[D, D]` with the diagonal exp(x_dd), from a vector `[D (D + 1) / 2]`.

    #### Examples

    >>> ScaleTril().forward(tf.constant([0.0, 3.0, 0.0])).numpy().tolist()
    [[1.0, 0.0], [3.0, 1.0]]
    """

    def __init__(self, name: str = "scale_tril"):
        super().__init__(
            forward_min_event_ndims=1,
            inverse_min_event_ndims=2,
            parameters={"name": name},
            name=name,
        )

    def _checked_forward_and_log_det(self, x):
        matrix = tfp.math.fill_triangular(x)
        log_diagonal = tf.linalg.diag_part(matrix)
        scale_tril = tf.linalg.set_diag(matrix, tf.exp(log_diagonal))
        return scale_tril, tf.reduce_sum(log_diagonal, axis=-1)

    def _checked_inverse_and_log_det(self, y):
        log_diagonal = tf.math.log(tf.linalg.diag_part(y))
        x = tfp.math.fill_triangular_inverse(tf.linalg.set_diag(y, log_diagonal))
        return x, -tf.reduce_sum(log_diagonal, axis=-1)

    def _forward_event_shape(self, shape):
        size = None if shape[-1] is None else (math.isqrt(8 * shape[-1] + 1) - 1) // 2
        return shape[:-1].concatenate([size, size])

    def _forward_event_shape_tensor(self, shape):
        root = tf.sqrt(8.0 * tf.cast(shape[-1], tf.float64) + 1.0)
        size = (tf.cast(tf.round(root), shape.dtype) - 1) // 2
        return tf.concat([shape[:-1], [size, size]], axis=0)

    def _inverse_event_shape(self, shape):
        size = shape[-1]
        return shape[:-2].concatenate([None if size is None else size * (size + 1) // 2])

    def _inverse_event_shape_tensor(self, shape):
        size = shape[-1]
        return tf.concat([shape[:-2], [size * (size + 1) // 2]], axis=0)
