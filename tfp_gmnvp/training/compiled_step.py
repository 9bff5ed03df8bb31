"""Functions of batches that XLA compiles once: smaller batches are padded."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["CompiledStep", "pad_batch", "pays_to_compile", "uncompiled"]

_FEWEST_STEPS = 5_000  # with fewer steps, compiling (ten seconds) takes longer than it saves


class CompiledStep:
    """A function of a batch, compiled by XLA for one batch size.

    XLA compiles again for every new batch size, which takes seconds. So a batch that is smaller
    than an earlier one is padded with points of weight zero.

    It is not a `tf.Module`, so its variable is not part of a model that has it as an attribute.

    #### Examples

    >>> def total(x, y, sample_weight):
    ...     return tf.reduce_sum(sample_weight), tf.shape(x)[0]
    >>> step = CompiledStep(total)
    >>> @tf.function(input_signature=[tf.TensorSpec([None, 2])])  # batches of any size
    ... def results_of_step(x):
    ...     return step(x, None, None)[0]
    >>> for size in (5, 3):
    ...     weight, rows = results_of_step(tf.zeros([size, 2]))
    ...     print(int(weight), int(rows))
    5 5
    3 5
    """

    def __init__(self, function: Callable):
        """Wraps a function in a compiled `tf.function`.

        Args:
          function: a function of points `[N, ...]`, labels `[N]` or `None` and weights `[N]`. It
            may assign variables.
        """
        self._function = tf.function(
            function, jit_compile=True, autograph=False, reduce_retracing=True
        )
        with tf.init_scope():
            self._size = tf.Variable(0, trainable=False, dtype=tf.int32, name="batch_size")

    def __call__(self, x: tf.Tensor, y, sample_weight):
        """Calls the function with the padded batch.

        Args:
          x: points `[n, ...]`.
          y: labels `[n]`, or `None`.
          sample_weight: `[n]`; `None` for weights of one.

        Returns:
          The result of the function, and the padded labels and weights.
        """
        if x.shape[0] is None:
            size = tf.maximum(self._size, tf.maximum(tf.shape(x)[0], 1))
            self._size.assign(size)
            x, y, sample_weight = pad_batch(x, y, sample_weight, size)
        elif sample_weight is None:
            sample_weight = tf.ones([x.shape[0]], x.dtype)
        return self._function(x, y, sample_weight), y, sample_weight


def pays_to_compile(num_steps: int | None) -> bool:
    """Whether compiling by XLA saves time in a `fit` with this number of steps.

    It depends only on the number of steps, so that training can be repeated bit by bit.

    Args:
      num_steps: number of steps of a `fit`; `None` if it is unknown: then it does not compile.

    #### Examples

    >>> pays_to_compile(300), pays_to_compile(30_000)
    (False, True)
    """
    return num_steps is not None and num_steps >= _FEWEST_STEPS


def uncompiled(function: Callable) -> Callable:
    """Gives a function the signature of a `CompiledStep`, without compiling it.

    #### Examples

    >>> step = uncompiled(lambda x, y, sample_weight: 2 * x)
    >>> step(3, None, None)
    (6, None, None)
    """
    return lambda x, y, sample_weight: (function(x, y, sample_weight), y, sample_weight)


def pad_batch(x: tf.Tensor, y, sample_weight, size) -> tuple:
    """Pads a batch with copies of its first point, of weight zero and without a label.

    Args:
      x: points `[n, ...]`; an empty batch is padded with zeros.
      y: labels `[n]`, or `None`.
      sample_weight: `[n]`; `None` for weights of one.
      size: the size of the padded batch, at least n.

    Returns:
      Points `[size, ...]`, labels `[size]` or `None` and weights `[size]`.

    #### Examples

    >>> x, _, weights = pad_batch(tf.constant([[7.0], [8.0]]), None, None, 3)
    >>> x.numpy().tolist(), weights.numpy().tolist()
    ([[7.0], [8.0], [7.0]], [1.0, 1.0, 0.0])
    """
    num_points = tf.shape(x)[0]
    missing = tf.range(num_points, size)
    if sample_weight is None:
        sample_weight = tf.ones([num_points], x.dtype)
    if y is not None:
        y = tf.concat([y, tf.fill(tf.shape(missing), tf.constant(-1, y.dtype))], axis=0)
    zero = tf.zeros(tf.concat([[1], tf.shape(x)[1:]], axis=0), x.dtype)
    filling = tf.concat([x[:1], zero], axis=0)
    x = tf.concat([x, tf.gather(filling, tf.zeros_like(missing))], axis=0)
    nothing = tf.zeros(tf.shape(missing), sample_weight.dtype)
    return x, y, tf.concat([sample_weight, nothing], axis=0)
