"""Whether XLA is to compile what is being traced, of which it makes other code than TensorFlow."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

__all__ = ["is_for_xla"]


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
