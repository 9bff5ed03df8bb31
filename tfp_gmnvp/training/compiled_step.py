"""Functions of batches that XLA compiles once: batches of fewer points are filled up."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["CompiledStep", "filled_up", "pays_to_compile", "uncompiled"]

_FEWEST_STEPS = 5_000  # that win back the ten seconds which XLA takes to compile


class CompiledStep:
    """A function of a batch, compiled by XLA, which sees batches of one size.

    XLA compiles anew for every size of a batch, which takes seconds. So a batch of fewer points
    than there have been before is filled up with points of weight zero.

    It is no `tf.Module`, and its variable no part of a model that holds it.

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
        """Prepares to compile.

        Args:
          function: of points `[N, ...]`, labels `[N]` or `None` and weights `[N]`; it may assign
            variables.
        """
        self._function = tf.function(
            function, jit_compile=True, autograph=False, reduce_retracing=True
        )
        with tf.init_scope():
            self._size = tf.Variable(0, trainable=False, dtype=tf.int32, name="batch_size")

    def __call__(self, x: tf.Tensor, y, sample_weight):
        """Calls the function with the batch filled up.

        Args:
          x: points `[n, ...]`.
          y: labels `[n]`, or `None`.
          sample_weight: `[n]`; `None` gives each the weight one.

        Returns:
          What the function returned, and the labels and weights that it was given.
        """
        if x.shape[0] is None:
            size = tf.maximum(self._size, tf.maximum(tf.shape(x)[0], 1))
            self._size.assign(size)
            x, y, sample_weight = filled_up(x, y, sample_weight, size)
        elif sample_weight is None:
            sample_weight = tf.ones([x.shape[0]], x.dtype)
        return self._function(x, y, sample_weight), y, sample_weight


def pays_to_compile(num_steps: int | None) -> bool:
    """Whether so many steps win back the time that XLA takes to compile them.

    It depends on their number alone, so that a training can be repeated bit by bit.

    Args:
      num_steps: of a `fit`; `None` if that is not known, which is taken to be few.

    #### Examples

    >>> pays_to_compile(300), pays_to_compile(30_000)
    (False, True)
    """
    return num_steps is not None and num_steps >= _FEWEST_STEPS


def uncompiled(function: Callable) -> Callable:
    """A step that XLA does not compile, called as a `CompiledStep` is.

    #### Examples

    >>> step = uncompiled(lambda x, y, sample_weight: 2 * x)
    >>> step(3, None, None)
    (6, None, None)
    """
    return lambda x, y, sample_weight: (function(x, y, sample_weight), y, sample_weight)


def filled_up(x: tf.Tensor, y, sample_weight, size) -> tuple:
    """A batch with as many points more as make up the size, of weight zero and without a label.

    Args:
      x: points `[n, ...]`; zeros fill up a batch that has none.
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
