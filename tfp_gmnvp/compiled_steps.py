"""Functions of batches that XLA compiles once: batches of fewer points are filled up."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["BatchSize", "compiled", "filled_up", "split"]


def compiled(function: Callable) -> Callable:
    """A function that XLA compiles.

    #### Examples

    >>> compiled(lambda x: 2 * x)(tf.constant(3.0)).numpy().item()
    6.0
    """
    return tf.function(function, jit_compile=True, autograph=False, reduce_retracing=True)


class BatchSize:
    """The one size of all batches: as many points as the largest that there has been.

    XLA compiles anew for every size of a batch, which takes seconds. So a batch of fewer points
    is filled up with points of weight zero.

    It is no `tf.Module`, and its variable no part of a model that holds it.

    #### Examples

    >>> size = BatchSize(multiple_of=2)
    >>> @tf.function(input_signature=[tf.TensorSpec([None, 2])])  # batches of any size
    ... def weights(x):
    ...     return size.fill_up(x, None, None)[2]
    >>> for number in (5, 3):
    ...     print(weights(tf.zeros([number, 2])).numpy().tolist())
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, multiple_of: int = 1):
        """Starts with none.

        Args:
          multiple_of: the number of parts that a batch is to be split into.
        """
        self._multiple_of = multiple_of
        with tf.init_scope():
            self.largest = tf.Variable(0, trainable=False, dtype=tf.int32, name="batch_size")

    def fill_up(self, x: tf.Tensor, y, sample_weight) -> tuple:
        """The batch with as many points as the largest, or with its own if they are known.

        Args:
          x: points `[n, ...]`.
          y: labels `[n]`, or `None`.
          sample_weight: `[n]`; `None` gives each the weight one.

        Returns:
          The batch, as `filled_up` returns it.
        """
        if x.shape[0] is not None:
            return filled_up(x, y, sample_weight, self._whole(x.shape[0]))
        size = tf.maximum(self.largest, self._whole(tf.shape(x)[0]))
        self.largest.assign(size)
        return filled_up(x, y, sample_weight, size)

    def _whole(self, size):
        return size + -size % self._multiple_of


def filled_up(x: tf.Tensor, y, sample_weight, size) -> tuple:
    """A batch with as many points more as make up the size, of weight zero and without a label.

    Args:
      x: points `[n, ...]`, at least one.
      y: labels `[n]`, or `None`.
      sample_weight: `[n]`; `None` gives each the weight one.
      size: whole number, at least n.

    Returns:
      Points `[size, ...]`, the first one over and over among them, labels `[size]` or `None` and
      weights `[size]`.

    #### Examples

    >>> x, _, weights = filled_up(tf.constant([[7.0], [8.0]]), None, None, 3)
    >>> x.numpy().tolist(), weights.numpy().tolist()
    ([[7.0], [8.0], [7.0]], [1.0, 1.0, 0.0])
    """
    num_points = tf.shape(x)[0]
    if sample_weight is None:
        sample_weight = tf.ones([num_points], x.dtype)
    if x.shape[0] is not None and x.shape[0] == size:
        return x, y, sample_weight
    missing = tf.range(num_points, size)
    if y is not None:
        y = tf.concat([y, tf.fill(tf.shape(missing), tf.constant(-1, y.dtype))], axis=0)
    x = tf.concat([x, tf.gather(x, tf.zeros_like(missing))], axis=0)
    nothing = tf.zeros(tf.shape(missing), sample_weight.dtype)
    return x, y, tf.concat([sample_weight, nothing], axis=0)


def split(num_parts: int, *tensors) -> list[tuple]:
    """Tensors, or `None`s, in parts of equal size along their first axis.

    #### Examples

    >>> [part[0].numpy().tolist() for part in split(2, tf.constant([1, 2, 3, 4]), None)]
    [[1, 2], [3, 4]]
    """
    if num_parts == 1:
        return [tensors]
    parts = [[None] * num_parts if t is None else tf.split(t, num_parts) for t in tensors]
    return list(zip(*parts, strict=True))
