"""Private parts of Keras' training loop and of its models, of Keras 3 and of tf_keras.

Seen to work with Keras 3.15 and tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = [
    "build_nothing",
    "correct_first_epoch",
    "shows_in_checkpoint",
    "takes_tensors_as_logs",
]


def build_nothing(model, iterator=None, data_batch=None) -> None:
    """Replaces `keras.Model._symbolic_build` and its like in a model that is built already.

    As the class attribute `_maybe_symbolic_build` it keeps Keras 3 from reading a batch under
    several workers, which it averages over them, and fails.

    Public way: `built = True`, which Keras 3 ignores under a strategy.

    #### Examples

    >>> build_nothing(None)
    """


def correct_first_epoch(model, epoch: int) -> None:
    """Starts the `fit` that begins at an epoch, if `BackupAndRestore` is one epoch behind.

    `BackupAndRestore` of Keras 3 writes the weights first, and the number of the epoch to another
    file. A process that ends in between would train that epoch twice.

    Public way: `initial_epoch` of `fit`, which is fixed before the callback restores anything.

    Args:
      model: in `on_train_begin` of a callback.
      epoch: how many epochs the weights were trained for.

    #### Examples

    >>> class Model:
    ...     _initial_epoch = 2
    >>> model = Model()
    >>> correct_first_epoch(model, 3)
    >>> model._initial_epoch
    3
    """
    if epoch == (getattr(model, "_initial_epoch", None) or 0) + 1:
        model._initial_epoch = epoch


def takes_tensors_as_logs(callback) -> None:
    """Marks a callback as one that takes logs as tensors, so that tf_keras does not wait for them.

    Public way: none; without the mark tf_keras reads the loss after every step.

    #### Examples

    >>> class Callback:
    ...     pass
    >>> callback = Callback()
    >>> takes_tensors_as_logs(callback)
    >>> callback._supports_tf_logs
    True
    """
    callback._supports_tf_logs = True


def shows_in_checkpoint(variables_of: Callable) -> Callable:
    """A class decorator: `tf.train.Checkpoint` finds further variables in a layer.

    Public way: an attribute that holds a list, which Keras 3 does not show to the checkpoint.

    Args:
      variables_of: takes a layer to its variables by name.

    #### Examples

    >>> import tensorflow as tf
    >>> variable = tf.Variable(1.0)
    >>> @shows_in_checkpoint(lambda layer: {"value": variable})
    ... class Layer(tf.keras.layers.Layer):
    ...     pass
    >>> Layer()._trackable_children()["value"] is variable
    True
    """

    def decorate(layer_class):
        inherited = layer_class._trackable_children

        def _trackable_children(self, save_type="checkpoint", **kwargs):
            return {**inherited(self, save_type, **kwargs), **variables_of(self)}

        layer_class._trackable_children = _trackable_children
        return layer_class

    return decorate
