"""Whether a running Keras method has sample weights, for a layer that is called by it."""

from __future__ import annotations

import sys
import threading

import tensorflow as tf

__all__ = ["is_given_sample_weights"]

keras = tf.keras

_METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
_STEPS = ("train_step", "test_step", "tf__train_step", "tf__test_step")  # the last by AutoGraph


@tf.autograph.experimental.do_not_convert
def is_given_sample_weights() -> bool:
    """Whether a method of a Keras model that is running, or being traced, has sample weights.

    Public way: none. Keras does not weight a loss that a layer adds, and tells the layer nothing
    of the weights. So this looks through the calls that led to the layer's, and in a replica's
    thread at the data that the replica got. Seen to work with Keras 3.15, tf_keras 2.21 and
    TensorFlow 2.21.

    #### Examples

    >>> is_given_sample_weights()
    False
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_name
        if name in _METHODS or name in _STEPS:
            given = frame.f_locals
            if isinstance(given.get("self"), keras.Model) and _has_weights(given, name):
                return True
        frame = frame.f_back
    in_replica = getattr(threading.current_thread(), "main_args", ())
    return any(_is_weighted(data) for data in in_replica)


def _has_weights(given, name):
    if name in _METHODS:
        return given.get("sample_weight") is not None
    return _is_weighted(given.get("data"))


def _is_weighted(data):
    return isinstance(data, tuple) and len(data) == 3 and data[2] is not None
