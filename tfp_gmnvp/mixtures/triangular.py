"""Linear algebra of batches of Cholesky factors."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["inverse_tril", "log_det_tril", "products_with_each"]


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


def log_det_tril(scale_tril: tf.Tensor) -> tf.Tensor:
    """The logarithms of the determinants of triangular matrices.

    Args:
      scale_tril: `[..., D, D]`, with positive numbers on the diagonal.

    Returns:
      A tensor `[...]`.

    #### Examples

    >>> print(f"{log_det_tril(tf.constant([[2.0, 0.0], [1.0, 1.0]])):.4f}")  # log 2
    0.6931
    """
    return tf.reduce_sum(tf.math.log(tf.linalg.diag_part(scale_tril)), axis=-1)


def products_with_each(matrices: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """The products `M_k v` of every matrix with every vector.

    It is one product of two matrices. In eager mode on CPU, batched products such as `tf.einsum`
    keep memory for every shape that they have seen.

    Args:
      matrices: `[K, I, J]`.
      vectors: `[..., J]`.

    Returns:
      A tensor `[..., K, I]`.

    #### Examples

    >>> products_with_each(tf.constant([[[2.0]], [[3.0]]]), tf.constant([5.0])).numpy().tolist()
    [[10.0], [15.0]]
    """
    size = matrices.shape[-1]
    flat = tf.reshape(matrices, [-1, size])
    rows = tf.matmul(tf.reshape(vectors, [-1, size]), flat, transpose_b=True)
    shape = tf.concat([tf.shape(vectors)[:-1], tf.shape(matrices)[:-1]], axis=0)
    return tf.reshape(rows, shape)
