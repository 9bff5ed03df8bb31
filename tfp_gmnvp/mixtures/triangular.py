"""Linear algebra of Cholesky factors."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["inverse_tril"]


def inverse_tril(scale_tril: tf.Tensor) -> tf.Tensor:
    """The inverses of lower triangular matrices.

    Args:
      scale_tril: `[..., D, D]`, with no zero on the diagonal.

    Returns:
      A lower triangular tensor `[..., D, D]`.

    #### Examples

    >>> inverse_tril(tf.constant([[2.0, 0.0], [1.0, 1.0]])).numpy().tolist()
    [[0.5, 0.0], [-0.5, 1.0]]
    """
    identity = tf.eye(scale_tril.shape[-1], dtype=scale_tril.dtype)
    return tf.linalg.triangular_solve(scale_tril, tf.broadcast_to(identity, tf.shape(scale_tril)))
