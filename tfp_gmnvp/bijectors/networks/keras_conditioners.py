"""What a Keras layer brings along as a conditioner: losses, constraints, and what it cannot do."""

from __future__ import annotations

import collections
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp._compat import clear_activation_losses, sublayers

__all__ = ["as_keras_layer", "check_keras_layer", "regularization"]


def as_keras_layer(function: Callable):
    """A conditioner if it is a layer, or a model, of either Keras; else `None`.

    #### Examples

    >>> as_keras_layer(tf.nn.relu) is None
    True
    """
    is_layer = hasattr(function, "trainable_weights") and hasattr(function, "losses")
    return function if is_layer else None


def regularization(function: Callable) -> list[tf.Tensor]:
    """The losses of a layer's regularizers as the weights are now; none of another callable.

    #### Examples

    >>> regularization(tf.nn.relu)
    []
    """
    layer = as_keras_layer(function)
    return [] if layer is None else list(layer.losses)


def check_keras_layer(function: Callable, spec: tf.TensorSpec) -> None:
    """Refuses a layer, called before, that asks of training what a conditioner is not given.

    Args:
      function: a conditioner; what is no layer passes.
      spec: of its input.

    Raises:
      ValueError: if it has losses of what it is called with, or does other things in training.

    #### Examples

    >>> check_keras_layer(tf.nn.relu, tf.TensorSpec([None, 2]))
    """
    layer = as_keras_layer(function)
    if layer is None:
        return
    number = len(layer.losses)
    clear_activation_losses(layer)
    if len(layer.losses) < number or _has_activity_regularizer(layer):
        raise ValueError(
            f"The conditioner {layer.name!r} adds losses of its activations (`add_loss`, or an "
            "`activity_regularizer`), which no training here would see: give it a "
            "`kernel_regularizer` instead."
        )
    if _operations(layer, spec, True) != _operations(layer, spec, False):
        raise ValueError(
            f"The conditioner {layer.name!r} does something else in training, as `Dropout` and "
            "`BatchNormalization` do, but it is called as in inference throughout: leave such "
            "layers out. `dropout=` of our own conditioners leaves units out in training, and "
            "`LayerNormalization` normalises."
        )


def _has_activity_regularizer(layer):
    parts = sublayers(layer)
    return any(getattr(part, "activity_regularizer", None) is not None for part in parts)


def _operations(layer, spec, training):
    """How many operations of each kind there are; `None` if `training` makes no sense to it."""
    try:
        trace = tf.function(lambda x: layer(x, training=training), autograph=False)
        graph = trace.get_concrete_function(spec).graph.as_graph_def()
    except TypeError:
        return None
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return collections.Counter(node.op for part in nodes for node in part)
