"""Keras layers as conditioners: losses of regularizers, and checks of what is unsupported."""

from __future__ import annotations

import collections
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp._compat import clear_activation_losses, sublayers

__all__ = ["as_keras_layer", "check_keras_layer", "regularization"]


def as_keras_layer(function: Callable):
    """Returns the conditioner if it is a layer or model of either Keras, else `None`.

    #### Examples

    >>> as_keras_layer(tf.nn.relu) is None
    True
    """
    is_layer = hasattr(function, "trainable_weights") and hasattr(function, "losses")
    return function if is_layer else None


def regularization(function: Callable) -> list[tf.Tensor]:
    """Returns the losses of a layer's regularizers; an empty list for another callable.

    #### Examples

    >>> regularization(tf.nn.relu)
    []
    """
    layer = as_keras_layer(function)
    return [] if layer is None else list(layer.losses)


def check_keras_layer(function: Callable, spec: tf.TensorSpec) -> None:
    """Raises an error if a layer has losses or behaviour in training that are unsupported.

    Args:
      function: a conditioner, already called; one that is not a layer is valid.
      spec: the shape and dtype of its input.

    Raises:
      ValueError: if it has losses of its activations, or behaves differently in training.

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
            "`activity_regularizer`), which training ignores: give it a "
            "`kernel_regularizer` instead."
        )
    if _operations(layer, spec, True) != _operations(layer, spec, False):
        raise ValueError(
            f"The conditioner {layer.name!r} behaves differently in training, as `Dropout` and "
            "`BatchNormalization` do, but conditioners are called as in inference: remove such "
            "layers. `dropout=` of our own conditioners drops units in training, and "
            "`LayerNormalization` normalises."
        )


def _has_activity_regularizer(layer):
    parts = sublayers(layer)
    return any(getattr(part, "activity_regularizer", None) is not None for part in parts)


def _operations(layer, spec, training):
    """Counts the operations of each kind; `None` if the layer takes no `training`."""
    try:
        trace = tf.function(lambda x: layer(x, training=training), autograph=False)
        graph = trace.get_concrete_function(spec).graph.as_graph_def()
    except TypeError:
        return None
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return collections.Counter(node.op for part in nodes for node in part)
