"""Private parts of Keras layers, of Keras 3 and of tf_keras. This module imports neither.

Seen to work with Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

__all__ = ["clear_activation_losses", "sublayers"]


def clear_activation_losses(layer) -> None:
    """Removes the losses that a layer's last call added; regularizers of weights stay.

    Public way: none. `layer.losses` mixes both kinds of losses and does not say which is which.

    Args:
      layer: a layer or model; one without this method is left unchanged.

    #### Examples

    >>> import keras
    >>> layer = keras.layers.ActivityRegularization(l2=1.0)
    >>> _ = layer(keras.ops.ones([1, 2]))
    >>> clear_activation_losses(layer)
    >>> layer.losses
    []
    """
    if hasattr(layer, "_clear_losses"):
        layer._clear_losses()


def sublayers(layer) -> list:
    """Returns a layer and all layers that it holds, at any depth.

    Public way: `model.layers` exists on models alone, and does not descend into layers that hold
    layers; `layer.submodules` exists in tf_keras alone.

    Args:
      layer: a layer or model.

    #### Examples

    >>> import keras
    >>> len(sublayers(keras.Sequential([keras.layers.Dense(1), keras.layers.Dense(2)])))
    3
    """
    return list(layer._flatten_layers()) if hasattr(layer, "_flatten_layers") else [layer]
