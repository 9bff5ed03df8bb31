"""One `fit`: calls `keras.Model.fit` with the callbacks that training needs."""

from __future__ import annotations

from collections.abc import Callable

from tfp_gmnvp.training.callbacks import CountEpochs, ResumeAtWeights, UpdateBetweenEpochs
from tfp_gmnvp.training.data.training_data import TrainingData
from tfp_gmnvp.training.devices.replica_batches import distribute
from tfp_gmnvp.training.divergence_warning import DivergenceCheck
from tfp_gmnvp.training.final_weights import FinalWeights
from tfp_gmnvp.training.finite_steps import FiniteSteps, SkippedSteps

__all__ = ["train"]


def train(
    model,
    data: TrainingData,
    arguments: dict,
    *,
    finite_steps: FiniteSteps,
    num_epochs,
    shuffle_seed: Callable,
    keras_fit: Callable,
):
    """Trains a model, and updates its mixture between epochs and at the end.

    Args:
      model: a `FlowModel` with an initialised mixture.
      data: the training and validation data.
      arguments: the arguments of `keras.Model.fit` by name, without the data.
      finite_steps: counts the skipped steps.
      num_epochs: int64 variable, the number of epochs in all calls of `fit` so far.
      shuffle_seed: a function from the number of an epoch to the seed `[2]` of its shuffle.
      keras_fit: `keras.Model.fit` of the model.

    Returns:
      A Keras `History`.
    """
    batches = distribute(data.read, model.distribute_strategy, data=data.x)
    averages = FinalWeights(model, data, arguments.get("validation_steps"))
    first = [CountEpochs(model), SkippedSteps(finite_steps), DivergenceCheck(), averages]
    last = [UpdateBetweenEpochs(model, batches), ResumeAtWeights(model), averages.last_callback]
    arguments = {**arguments, "callbacks": [*first, *arguments["callbacks"], *last]}
    history = keras_fit(**data.for_keras(arguments, shuffle_seed, num_epochs))
    with model.distribute_strategy.scope():
        model.update_in_force.on_train_end(model.flow, data.read)
    averages.finish()
    return history
