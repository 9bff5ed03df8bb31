"""Plans how `fit_density` trains a flow, by the number of training rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors import Sine
from tfp_gmnvp.training.mixture_updates import FullBatchEM, MixtureUpdate, StepwiseEM

__all__ = ["TrainingPlan", "training_plan"]

keras = tf.keras

# Found by the divergence from targets of known density; of sines, the README has figures.
_ROWS_FOR_STEPWISE_EM = 10_000
_ROWS_FOR_SINES = 50_000


class TrainingPlan(NamedTuple):
    """What suits a number of rows.

    Attributes:
      flow_arguments: of `gaussian_mixture_flow`, by name.
      batch_size: rows of a training step.
      steps_per_epoch: training steps between two looks at the validation rows.
      epochs: the most epochs.
      patience: epochs without a gain on the validation rows after which training stops.
      warmup_steps: training steps in which the learning rate rises.
      learning_rate: at its highest.
      weight_decay: of AdamW.
      has_prior: whether the mixture's prior goes on to count in training.
      mixture_update: makes the mixture's update, from its `prior` and `covariance_floor`.

    #### Examples

    >>> training_plan(500, steps=3000).mixture_update(covariance_floor=1e-6).covariance_floor
    1e-06
    """

    flow_arguments: dict[str, Any]
    batch_size: int
    steps_per_epoch: int
    epochs: int
    patience: int
    warmup_steps: int
    learning_rate: float
    weight_decay: float
    has_prior: bool
    mixture_update: Callable[..., MixtureUpdate]

    def with_changes(self, **changes) -> TrainingPlan:
        """Returns the plan with the settings that are not `None` changed.

        Args:
          **changes: attributes, by name.

        #### Examples

        >>> training_plan(500, steps=100).with_changes(epochs=None, learning_rate=0.1).learning_rate
        0.1
        """
        return self._replace(**{name: a for name, a in changes.items() if a is not None})

    def with_flow_arguments(self, arguments: dict[str, Any], event_size: int) -> TrainingPlan:
        """Returns the plan with other arguments of the flow.

        Args:
          arguments: of `gaussian_mixture_flow`, in place of the plan's.
          event_size: D. In one column affine couplings could do nothing that the mixture does not,
            so splines take their place.

        #### Examples

        >>> training_plan(500, steps=100).with_flow_arguments({}, 1).flow_arguments["coupling"]
        'spline'
        """
        if event_size == 1 and arguments.get("coupling", "affine") == "affine":
            arguments = {"num_couplings": 1, **arguments, "coupling": "spline"}
        arguments = {**self.flow_arguments, **arguments}
        return self._replace(flow_arguments=arguments)

    def make_optimizer(self) -> keras.optimizers.Optimizer:
        """AdamW with a warm-up to the highest rate, and a cosine decay to zero.

        #### Examples

        >>> training_plan(500, steps=100).make_optimizer().global_clipnorm
        1.0
        """
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0,
            self.epochs * self.steps_per_epoch - self.warmup_steps,
            warmup_target=self.learning_rate,
            warmup_steps=self.warmup_steps,
        )
        return keras.optimizers.AdamW(schedule, weight_decay=self.weight_decay, global_clipnorm=1.0)


def training_plan(
    num_rows: int, steps: int, coupling: str = "affine", event_size: int = 2
) -> TrainingPlan:
    """Plans the training of a flow on so many rows.

    Few rows are overfitted: the networks are small, their weights decay, and the mixture is fitted
    to all rows once an epoch. From 10,000 rows on there is a density to be reached: a high learning
    rate, couplings between which a matrix mixes, and stepwise EM, which has the mixture follow the
    flow at first and averages over many batches at last. Beside the few batches that it reaches
    back over a prior counts for much: components stay broad, and affine couplings go on unrolling
    what lies beneath them; splines come closer without. From 50,000 on the conditioners are sines,
    which reach sharp edges, but would learn fewer rows by heart.

    Args:
      num_rows: number of rows to train on.
      steps: the most training steps, or as many as one pass over few rows takes.
      coupling: of the flow, 'affine' or 'spline'; the latter bears a lower learning rate.
      event_size: D. A single column has no other to be bent by: its flow is one spline.

    Returns:
      A `TrainingPlan`.

    #### Examples

    >>> training_plan(500, steps=3000).flow_arguments["hidden_units"]
    (16, 16)
    >>> training_plan(100_000, steps=3000).flow_arguments["activation"]
    Sine(gain=1.25)
    """
    is_spline = coupling == "spline" or event_size == 1
    few = num_rows < _ROWS_FOR_STEPWISE_EM
    plan = _for_few_rows(num_rows, steps) if few else _for_many_rows(num_rows, steps, is_spline)
    return plan.with_flow_arguments({}, event_size)


def _for_few_rows(num_rows, steps) -> TrainingPlan:
    """About one unit in each hidden layer for every square of its number of rows, 8 to 64."""
    width = int(2 ** np.clip(np.round(np.log2(num_rows) / 2), 3, 6))
    batch_size = int(np.clip(num_rows // 8, 32, 512))
    steps_per_epoch = -(-num_rows // batch_size)
    epochs = int(np.clip(steps // steps_per_epoch, 1, 200))
    return TrainingPlan(
        {"num_couplings": 8 if width == 64 else 4, "hidden_units": (width, width)},
        batch_size,
        steps_per_epoch,
        epochs,
        patience=max(5, epochs // 10),
        warmup_steps=epochs * steps_per_epoch // 20,
        learning_rate=2e-3,
        weight_decay=0.1,
        has_prior=True,
        mixture_update=FullBatchEM,
    )


def _for_many_rows(num_rows, steps, is_spline) -> TrainingPlan:
    """Validation rows are looked at twenty times; while the rate is high, they stop nothing."""
    steps_per_epoch = -(-steps // 20)
    epochs = steps // steps_per_epoch
    falls = [epochs * steps_per_epoch * tenths // 10 for tenths in (8, 9)]
    step_size = keras.optimizers.schedules.PiecewiseConstantDecay(falls, [0.5, 0.1, 0.005])
    sines = Sine(1.0) if is_spline else Sine()
    return TrainingPlan(
        {"activation": sines if num_rows >= _ROWS_FOR_SINES else "silu", "mixing": "lu"},
        512,
        steps_per_epoch,
        epochs,
        patience=epochs,
        warmup_steps=epochs * steps_per_epoch // 6,
        learning_rate=3e-3 if is_spline else 7e-3,
        weight_decay=0.0,
        has_prior=not is_spline,
        mixture_update=lambda **settings: StepwiseEM(step_size=step_size, **settings),
    )
