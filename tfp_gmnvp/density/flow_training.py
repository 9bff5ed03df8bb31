"""Makes and trains a flow or a plain mixture, and says what it gained on validation rows."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.density.mixture_candidates import MixtureCandidate
from tfp_gmnvp.density.plan import TrainingPlan
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow
from tfp_gmnvp.flows.mixture_flow import standardized_mixture
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training.model import FlowModel
from tfp_gmnvp.training.progress import EpochProgress, Progress

__all__ = ["gain_of_rows", "make_flow", "make_mixture", "make_model", "train_flow"]

keras = tf.keras

_OF_MIXTURE = ("dtype", "name", "reparameterize")


def make_flow(candidate: MixtureCandidate, plan: TrainingPlan, standardize, size: int, *, seed):
    """A flow over a kind of mixture, which standardises.

    Args:
      candidate: the kind of mixture.
      plan: of the training.
      standardize: rows `[N, D]`, or their spread.
      size: D.
      seed: integer seed.
    """
    return _made(gaussian_mixture_flow, candidate, plan.flow_arguments, standardize, size, seed)


def make_mixture(candidate: MixtureCandidate, plan: TrainingPlan, standardize, size: int, *, seed):
    """The mixture of standardised columns alone; the arguments are of `make_flow`."""
    arguments = {k: a for k, a in plan.flow_arguments.items() if k in _OF_MIXTURE}
    return _made(standardized_mixture, candidate, arguments, standardize, size, seed)


def make_model(flow, plan: TrainingPlan, em_settings: dict, *, seed: int) -> FlowModel:
    """A compiled model of a flow whose mixture has been set.

    Args:
      flow: the flow.
      plan: of the training.
      em_settings: of the mixture's update, by name.
      seed: integer seed.
    """
    model = FlowModel(flow, initialize=False, seed=seed)
    model.compile(plan.make_optimizer(), mixture_update=plan.mixture_update(**em_settings))
    return model


def train_flow(
    model: FlowModel, plan: TrainingPlan, verbose: int | str, *, callbacks=(), **data
) -> dict[str, list[float]]:
    """Trains until the validation loss has not fallen for a while; keeps the best weights.

    Args:
      model: compiled.
      plan: of the training.
      verbose: as in Keras.
      callbacks: that come before the one that stops.
      **data: arguments of `FlowModel.fit`.

    Returns:
      The losses of each epoch, by name.
    """
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=plan.patience, restore_best_weights=True
    )
    progress = Progress("epochs of the flow", plan.epochs, verbose)
    last = [stop, keras.callbacks.TerminateOnNaN(), EpochProgress(progress, counts=True)]
    history = model.fit(
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        callbacks=[*callbacks, *last],
        verbose=0,
        **data,
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


def _made(make, candidate, arguments, standardize, size, seed):
    return make(
        size,
        candidate.num_components,
        covariance_type=candidate.covariance_type,
        standardize=standardize,
        seed=seed,
        **arguments,
    )
