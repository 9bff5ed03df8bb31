"""Variances below the resolution of a dtype."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["beside_variances", "spacing"]


def spacing(loc: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The square of the spacing of numbers about each mean; positive.

    Args:
      loc: means `[K, D]`.
      dtype: float dtype that the mixture is evaluated in.

    Returns:
      A tensor `[K, D]`.

    #### Examples

    >>> [f"{entry:.0e}" for entry in spacing(tf.ones([1, 2]), tf.float32)[0].numpy()]
    ['1e-14', '1e-14']
    """
    return tf.square(np.finfo(dtype.as_numpy_dtype).eps * loc) + np.finfo(np.float32).tiny


def beside_variances(variances: tf.Tensor, loc: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The error of the smallest eigenvalue of a matrix with this diagonal, by rounding.

    Args:
      variances: the diagonals of covariances, `[..., D]`.
      loc: means `[K, D]`.
      dtype: float dtype that the mixture is evaluated in.

    Returns:
      A tensor like `variances`.

    #### Examples

    >>> print(f"{beside_variances(tf.ones([1]), tf.zeros([1, 1]), tf.float64)[0]:.0e}")
    2e-15
    """
    return 8 * loc.shape[-1] ** 0.5 * np.finfo(dtype.as_numpy_dtype).eps * variances
