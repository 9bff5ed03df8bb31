"""Keras callbacks of every `fit`: the mixture's update between epochs, and resuming."""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow as tf

from tfp_gmnvp._compat import correct_first_epoch
from tfp_gmnvp.training import weight_averages

__all__ = ["CountEpochs", "ResumeAtWeights", "UpdateBetweenEpochs"]

keras = tf.keras


class UpdateBetweenEpochs(keras.callbacks.Callback):
    """Updates the mixture before each epoch, with the training data.

    It comes after callbacks that put other weights in place as an epoch begins.
    """

    def __init__(self, flow_model, batches):
        """Stores the model and the function that reads its training data again."""
        super().__init__()
        self._flow_model = flow_model
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Updates the mixture."""
        flow_model = self._flow_model
        num_epochs = int(flow_model._num_epochs.numpy())
        with flow_model.distribute_strategy.scope():
            flow_model.update_in_force.on_epoch_begin(
                flow_model.distribution, num_epochs, self._batches
            )
        if weight_averages.overwrites_weights(flow_model.optimizer):  # not by what was before
            weight_averages.restart(flow_model.optimizer, flow_model._mixture_weights)


class CountEpochs(keras.callbacks.Callback):
    """Counts the epochs that a model has been trained for."""

    def __init__(self, flow_model):
        """Keeps the model."""
        super().__init__()
        self._flow_model = flow_model

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epoch, before other callbacks, which may save the model.

        Warns:
          UserWarning: if no point had a weight.
        """
        self._flow_model._num_epochs.assign_add(1)
        if logs and np.all(logs.get("loss") == 0.0):  # the mean of nothing
            warnings.warn(
                "`sample_weight` was zero for all points of this epoch: no step was taken, and the "
                "loss of 0 means nothing.",
                stacklevel=2,
            )


class ResumeAtWeights(keras.callbacks.Callback):
    """Resumes from the epoch stored in the weights, after another callback restored them.

    Keras' `BackupAndRestore` writes the weights first and the number of the epoch in another file
    after it: killed in between, it would train that epoch twice.
    """

    def __init__(self, flow_model):
        """Stores how many epochs the model has been trained for."""
        super().__init__()
        self._flow_model = flow_model
        self._before = int(flow_model._num_epochs.numpy())

    def on_train_begin(self, logs=None):
        """Corrects the number of the first epoch if it is one behind."""
        trained = int(self._flow_model._num_epochs.numpy()) - self._before
        correct_first_epoch(self._flow_model, trained)
