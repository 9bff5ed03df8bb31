"""From standardised to the data's own units."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.chain import SinglePassChain

__all__ = ["standardization"]

tfb = tfp.bijectors


def standardization(data, *, dtype=tf.float32, name: str = "standardization") -> tfb.Bijector:
    """The affine bijector `x = mean + std * z` of a data set's columns.

    Its inverse standardises. Mean and standard deviation are computed in float64 and kept in
    `tf.Variable`s that do not train. A constant column keeps its scale: its `std` is one.

    Args:
      data: array-like `[N, D]`, finite, `N >= 1`.
      dtype: the float dtype of the bijector.
      name: the prefix of the variables' names.

    Returns:
      A `tfb.Bijector` of vectors `[..., D]`.

    Raises:
      ValueError: if `data` is not a matrix of finite numbers.

    #### Examples

    >>> bijector = standardization([[0.0, 10.0], [2.0, 30.0]])
    >>> bijector.inverse([2.0, 10.0]).numpy().tolist()
    [1.0, -1.0]
    """
    data = np.asarray(data, dtype=np.float64)
    if data.ndim != 2 or not data.size:
        raise ValueError(f"`data` must have shape [N, D] with N >= 1, got {list(data.shape)}.")
    if not np.isfinite(data).all():
        row = int(np.argmin(np.isfinite(data).all(axis=1)))
        raise ValueError(f"`data` must be finite, but row {row} is {data[row]}.")
    mean, std = data.mean(axis=0), data.std(axis=0)
    std = np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
    constant = {"trainable": False, "dtype": dtype}
    return SinglePassChain(
        [
            tfb.Shift(tf.Variable(mean, name=f"{name}/mean", **constant)),
            tfb.Scale(tf.Variable(std, name=f"{name}/std", **constant)),
        ],
        name=name,
    )
