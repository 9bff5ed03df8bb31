"""What the Keras method that is running was given, for a layer, which Keras does not tell."""

from __future__ import annotations

import sys

import tensorflow as tf

__all__ = ["is_given_sample_weights"]

keras = tf.keras

_METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
_STEPS = ("train_step", "test_step", "tf__train_step", "tf__test_step")  # the last by AutoGraph


@tf.autograph.experimental.do_not_convert
def is_given_sample_weights() -> bool:
    """Whether a method of a Keras model that is running, or being traced, has sample weights.

    A loss that a layer adds is not weighted by them, and Keras tells the layer nothing of them, so
    that the calls are looked through in which the layer's stands. Replicas run in threads of their
    own, from which those cannot be seen.

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
    return False


def _has_weights(given, name):
    if name in _METHODS:
        return given.get("sample_weight") is not None
    data = given.get("data")
    is_whole = isinstance(data, tuple) and len(data) == 3
    return is_whole and data[2] is not None
