"""Private parts of TensorFlow: XLA's compilation context and its optimization barrier.

Seen to work with TensorFlow 2.21.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.eager import record
from tensorflow.python.ops import control_flow_util

from tfp_gmnvp._compat.custom_gradients import custom_gradient

__all__ = ["is_compiled_by_xla", "is_compiled_for_cpu", "is_differentiated", "unfused"]


def is_compiled_by_xla() -> bool:
    """Returns whether the graph under construction is part of a function with `jit_compile=True`.

    Public way: none. `tf.function` tells the traced function nothing about `jit_compile`, and
    `tf.config.optimizer.get_jit` reports the global setting alone.

    #### Examples

    >>> is_compiled_by_xla()
    False
    >>> def function(x):
    ...     return x if is_compiled_by_xla() else -x
    >>> tf.function(function, jit_compile=True)(1.0).numpy().item()
    1.0
    """
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def is_compiled_for_cpu() -> bool:
    """Returns whether XLA compiles the graph under construction, and no GPU is visible.

    Some operations are written in another order for XLA on CPU, which gains nothing on a GPU.

    #### Examples

    >>> is_compiled_for_cpu()
    False
    """
    return is_compiled_by_xla() and not tf.config.get_visible_devices("GPU")


def is_differentiated() -> bool:
    """Returns whether a gradient tape or a forward accumulator records eager operations.

    Public way: none. `tf.GradientTape` does not say whether one is active.

    #### Examples

    >>> with tf.GradientTape():
    ...     is_differentiated()
    True
    >>> is_differentiated()
    False
    """
    return record.could_possibly_record()


@custom_gradient
def unfused(x: tf.Tensor) -> tf.Tensor:
    """Stops XLA from fusing the computation of a tensor with the operations that use it.

    Public way: none. XLA removes a `tf.identity` or a reshape before it fuses operations.

    Args:
      x: a tensor of a function with `jit_compile=True`.

    Returns:
      The same tensor.

    #### Examples

    >>> @tf.function(jit_compile=True)
    ... def product(x):
    ...     return unfused(tf.transpose(x)) @ x
    >>> product(tf.constant([[1.0, 2.0]])).numpy().tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    [apart] = xla.optimization_barrier(x)
    return apart, lambda upstream: upstream
