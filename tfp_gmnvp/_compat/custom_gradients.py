"""Private parts of TensorFlow: the registry of gradients, which keeps graphs alive.

Seen to work with TensorFlow 2.21.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework import ops

__all__ = ["custom_gradient", "own_gradients"]

_OWNED = "gradients_owned_by_graph"


def custom_gradient(function: Callable) -> Callable:
    """`tf.custom_gradient`, but a graph that calls the function is freed when nothing needs it.

    In a graph, `tf.custom_gradient` registers the gradient by name for as long as the process
    lives, and with it the graph: some megabytes for each model. Here the graph itself owns the
    gradient, and the registry has a weak reference to it.

    Public way: none. Gradients cannot be taken out of the registry.

    Args:
      function: as for `tf.custom_gradient`, of tensors.

    #### Examples

    >>> @custom_gradient
    ... def square(x):
    ...     return x * x, lambda upstream: 2.0 * x * upstream
    >>> x = tf.constant(3.0)
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = square(x)
    >>> float(tape.gradient(y, x))
    6.0
    """
    with_gradient = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*args):
        outputs = with_gradient(*args)
        if not tf.executing_eagerly():
            _own_gradient(tf.nest.flatten(outputs)[0].op)
        return outputs

    return call


def own_gradients() -> None:
    """Lets the graph under construction own the custom gradients of Keras and TensorFlow in it.

    Call it last: a graph has no gradients of operations that are yet to come. Eagerly it does
    nothing.

    #### Examples

    >>> own_gradients()
    """
    if not tf.executing_eagerly():
        for op in tf.compat.v1.get_default_graph().get_operations():
            if op.type == "IdentityN":
                _own_gradient(op)


def _own_gradient(op: tf.Operation) -> None:
    """Replaces the registered gradient of an operation by a weak reference to it."""
    registered, owned = ops.gradient_registry._registry, op.graph.get_collection_ref(_OWNED)
    try:
        name = op.get_attr("_gradient_op_type").decode()
    except ValueError:  # it has no gradient of its own
        return
    if name not in registered or name in [owned_name for owned_name, _ in owned]:
        return
    gradient = registered[name]["type"]
    owned.append((name, gradient))
    weak_gradient = weakref.ref(gradient)
    registered[name]["type"] = lambda *args: weak_gradient()(*args)
    weakref.finalize(op.graph, registered.pop, name, None)
