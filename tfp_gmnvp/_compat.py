"""What is only for XLA, which makes other code of a graph than TensorFlow: whether it is to compile
what is being traced, and how to keep a tensor apart from what it is used for.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.python.ops import control_flow_util

__all__ = ["computed_apart", "is_for_xla"]


def is_for_xla() -> bool:
    """Whether the graph that is being built is part of a function with `jit_compile=True`.

    #### Examples

    >>> is_for_xla()
    False
    >>> def function(x):
    ...     return x if is_for_xla() else -x
    >>> tf.function(function, jit_compile=True)(1.0).numpy().item()
    1.0
    """
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


@tf.custom_gradient
def computed_apart(x: tf.Tensor) -> tf.Tensor:
    """A tensor that XLA computes by itself, not as a part of what it is used for.

    Args:
      x: a tensor of a function with `jit_compile=True`.

    Returns:
      The same tensor.

    #### Examples

    >>> @tf.function(jit_compile=True)
    ... def product(x):
    ...     return computed_apart(tf.transpose(x)) @ x
    >>> product(tf.constant([[1.0, 2.0]])).numpy().tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    [apart] = xla.optimization_barrier(x)
    return apart, lambda upstream: upstream
