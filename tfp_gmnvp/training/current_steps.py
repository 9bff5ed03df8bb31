"""The steps for what a model trains now: made anew after a part is frozen or set free."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp.training.compiled_step import pays_to_compile
from tfp_gmnvp.training.finite_steps import FiniteSteps
from tfp_gmnvp.training.step import Steps
from tfp_gmnvp.training.weights import FlowWeights

__all__ = ["current_steps"]


def current_steps(
    model,
    weights: FlowWeights,
    before: Steps | None = None,
    *,
    seed,
    finite_steps: FiniteSteps,
    num_steps: int | None = None,
) -> Steps:
    """The steps of a model; the optimizer is built for the weights that they train.

    Args:
      model: a `FlowModel` with an optimizer and an update of its mixture.
      weights: the weights of its flow.
      before: earlier steps, which are returned if they train the same weights, by the same type of
        update, and XLA need not compile now what it did not compile then; or `None`.
      seed: stateless seed `[2]` of dropout.
      finite_steps: counts the skipped steps.
      num_steps: number of steps of the `fit` that begins; `None` if it is unknown.

    Returns:
      `Steps`.
    """
    trained, update = model.trainable_weights, model.update_in_force
    compiles = _compiles(model, num_steps)
    if before is not None and before.are_for(trained, update) and before.compiles >= compiles:
        return before
    weights.build_optimizer(model.optimizer, trained, update)
    with model.distribute_strategy.scope():
        return Steps(
            model.flow,
            model.optimizer,
            update,
            trained,
            label_weight=model.label_weight,
            seed=seed,
            compiles=compiles,
            finite_steps=finite_steps,
        )


def _compiles(model, num_steps) -> bool:
    """Whether XLA compiles the steps of a `fit` of so many."""
    with model.distribute_strategy.scope():
        can_compile = not (tf.distribute.has_strategy() or model.run_eagerly)
    wanted = model.compiles_by_xla
    return can_compile and bool(pays_to_compile(num_steps) if wanted == "auto" else wanted)
