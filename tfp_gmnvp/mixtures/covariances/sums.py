"""Sums over points without loss of float32's precision."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["replace_rows", "sum_of_products"]


def sum_of_products(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Computes sum_n a_kni b_knj with the precision of float32.

    A matrix product sums in blocks. `tf.reduce_sum` along N sums sequentially, which leaves two
    digits after 10^7 rows, except where N is the last axis; there it sums pairwise, while the
    product of two columns is sequential on some processors.

    Args:
      a: `[K, N, I]`.
      b: `[K, N, J]`.

    Returns:
      A tensor `[K, I, J]`.

    #### Examples

    >>> sum_of_products(tf.ones([1, 3, 1]), tf.ones([1, 3, 2])).numpy().tolist()
    [[[3.0, 3.0]]]
    """
    if a.shape[-1] == b.shape[-1] == 1:
        return tf.reduce_sum(a * b, axis=[1, 2], keepdims=True)
    return tf.matmul(a, b, transpose_a=True)


def replace_rows(rows: tf.Tensor, chosen: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Replaces the chosen rows by the weighted mean of all rows.

    Args:
      rows: `[K, ...]`.
      chosen: booleans `[K]`.
      shares: weights of the mean, `[K]`.

    Returns:
      A tensor like `rows`.

    #### Examples

    >>> half, chosen = tf.constant([0.5, 0.5]), tf.constant([False, True])
    >>> replace_rows(tf.constant([1.0, 3.0]), chosen, half).numpy().tolist()
    [1.0, 2.0]
    """
    average = tf.tensordot(shares, rows, axes=1)
    mask = tf.reshape(chosen, [-1] + [1] * (rows.shape.rank - 1))
    return tf.where(mask, average, rows)
