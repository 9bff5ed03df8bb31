"""Trains a flow on some rows, and says what it gained on others."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.density.plan import TrainingPlan
from tfp_gmnvp.density.rows import Rows
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training.model import FlowModel
from tfp_gmnvp.training.progress import EpochProgress, Progress

__all__ = ["gain_of_rows", "train_flow"]

keras = tf.keras


def train_flow(
    model: FlowModel, train: Rows, validation: Rows, plan: TrainingPlan, verbose: int | str
) -> dict[str, list[float]]:
    """Trains until the validation loss has not fallen for a while; keeps the best weights.

    Args:
      model: compiled.
      train: the rows to train on.
      validation: the rows that say when to stop.
      plan: of the training.
      verbose: as in Keras.

    Returns:
      The losses of each epoch, by name.
    """
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=plan.patience, restore_best_weights=True
    )
    progress = Progress("epochs of the flow", plan.epochs, verbose)
    weight = validation.weight
    history = model.fit(
        train.x,
        train.y,
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        sample_weight=train.weight,
        validation_data=validation.x if weight is None else (validation.x, None, weight),
        validation_batch_size=10_000,
        callbacks=[stop, keras.callbacks.TerminateOnNaN(), EpochProgress(progress, counts=True)],
        verbose=0,
    )
    progress.close()
    return history.history


def gain_of_rows(
    log_prob: np.ndarray, start: np.ndarray, sample_weight: np.ndarray | None
) -> MonteCarloEstimate:
    """The gain of a density over another, row by row; minus infinity where training diverged.

    Args:
      log_prob: of the rows, `[N]`.
      start: of the same rows before, `[N]`.
      sample_weight: weights `[N]`, or `None`.

    #### Examples

    >>> gain_of_rows(np.array([1.0, 3.0]), np.zeros(2), None).estimate
    2.0
    """
    difference = log_prob.astype(np.float64) - start
    if not np.isfinite(difference).all():
        return MonteCarloEstimate(-np.inf, 0.0)
    return mean_estimate(difference, sample_weight)
