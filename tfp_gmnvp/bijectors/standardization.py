"""From standardised to the data's own units."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import checks, tables
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["standardization"]

tfb = tfp.bijectors


def standardization(data, *, dtype=tf.float32, name: str = "standardization") -> tfb.Bijector:
    """The affine bijector `x = mean + std * z` of a data set's columns, or pixels.

    Its inverse standardises. Mean and standard deviation are computed in float64 and kept in
    `tf.Variable`s that do not train. A constant column keeps its scale: its `std` is one.

    Args:
      data: array-like `[N, D]` or `[N, H, W, C]`, finite, `N >= 1`.
      dtype: the float dtype of the bijector.
      name: the prefix of the variables' names.

    Returns:
      A `tfb.Bijector` of vectors `[..., D]` or images `[..., H, W, C]`.

    Raises:
      TypeError: if `data` does not hold numbers.
      ValueError: if `data` has another shape, or is not finite.

    #### Examples

    >>> bijector = standardization([[0.0, 10.0], [2.0, 30.0]])
    >>> bijector.inverse([2.0, 10.0]).numpy().tolist()
    [1.0, -1.0]
    """
    data = np.asarray(tables.as_array(data, "data"))
    if data.ndim not in (2, 4) or not data.size:
        raise ValueError(
            f"`data` must have shape [N, D] or [N, H, W, C] with N >= 1, got {list(data.shape)}."
        )
    checks.check_points(data, data.shape[1:], tf.float64, name="data")
    data = data.astype(np.float64)
    mean, std = data.mean(axis=0), data.std(axis=0)
    smallest = np.maximum(1e-12 * np.abs(mean), np.finfo(tf.as_dtype(dtype).as_numpy_dtype).tiny)
    std = np.where(std > smallest, std, 1.0)
    constant = {"trainable": False, "dtype": dtype}
    return Standardization(
        tf.Variable(mean, name=f"{name}/mean", **constant),
        tf.Variable(std, name=f"{name}/std", **constant),
        name=name,
    )


class Standardization(SinglePassBijector):
    """`x = mean + std * z`, entry by entry."""

    def __init__(self, mean, std, name="standardization"):
        parameters = dict(locals())
        self.mean, self.std = mean, std
        super().__init__(
            domain_shape=mean.shape,
            is_constant_jacobian=True,
            dtype=mean.dtype,
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, x, **condition):
        return self.mean + self.std * x, self._log_det()

    def _inverse_and_log_det(self, y, **condition):
        return (y - self.mean) / self.std, -self._log_det()

    def _log_det(self):
        return tf.reduce_sum(tf.math.log(self.std))
