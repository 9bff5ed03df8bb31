"""What a model asks of an update of its mixture, and the update that leaves it to the optimizer."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["GradientUpdate", "MixtureUpdate"]

tfd = tfp.distributions


class MixtureUpdate:
    """What a model asks of the object that updates its mixture.

    A subclass overrides what it needs: `m_step` runs within every training step, `on_epoch_begin`
    between epochs, with the training data at hand. What of `m_step` goes over the points may be
    put in `e_step`, so that XLA compiles it even where it does not compile the rest. That a
    `.keras` file can hold it, it is registered with Keras and keeps each argument of its
    constructor as an attribute of that name.

    The object is configuration: `compile` makes a copy of it for the model, and has that `build`
    what it remembers, so that one object serves any number of models. Copies and pickles are of the
    configuration alone; a subclass names what else its `build` makes in `made_by_build`.

    #### Examples

    >>> class Frozen(MixtureUpdate):
    ...     "Leaves the mixture as it starts."
    >>> Frozen().trains_by_gradient
    False
    """

    #: Whether the mixture's variables are the optimizer's.
    trains_by_gradient = False
    #: Names of the attributes that `build` sets, which belong to one model.
    made_by_build: Sequence[str] = ()
    #: Lower bound of the covariances relative to the latents' variance; see `maximization`.
    covariance_floor = 1e-4
    #: Prior of weights and covariances, or `None`; see `maximization`.
    prior = None

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """State beyond the mixture, made by `build`; the model saves it with its weights."""
        return ()

    def build(self, flow: tfd.TransformedDistribution) -> None:
        """Prepares for a flow; called by `compile`, on the model's own copy."""

    def __getstate__(self) -> dict:
        """What a copy or a pickle holds: all but what `build` made."""
        return {name: a for name, a in vars(self).items() if name not in self.made_by_build}

    def e_step(self, mixture, z: tf.Tensor, log_joint: tf.Tensor, sample_weight) -> tuple:
        """What `m_step` is to know of a batch, which is a tuple of its further arguments.

        Args:
          mixture: the mixture of the latents.
          z: as of `m_step`.
          log_joint: as of `m_step`.
          sample_weight: as of `m_step`.

        Returns:
          The last three arguments, or tensors that take their place.
        """
        return z, log_joint, sample_weight

    def m_step(self, mixture, z: tf.Tensor, log_joint: tf.Tensor, sample_weight) -> None:
        """Updates within a training step, of what `e_step` returned.

        Under several replicas each runs this on its part of the batch, and all must come to the
        same parameters: sums are to go over the replicas, by `replicas.sum_over_replicas`.

        Args:
          mixture: the mixture of the latents.
          z: latents `[N, D]` of the batch.
          log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`, minus infinity for those
            components that a label excludes.
          sample_weight: `[N]` or `None`.
        """

    def on_epoch_begin(self, flow, epoch: int, batches: Callable[[], Iterable]) -> None:
        """Updates between epochs.

        Args:
          flow: the distribution that trains.
          epoch: how many epochs the model has been trained for, in this `fit` and all before, those
            before it was saved and loaded included.
          batches: reads the training data once more, as `x [n, D]`, labels `[n]` or `None`, and
            weights `[n]` or `None`; under several replicas, of each replica's parts, for
            `replica_batches.on_each_replica`.
        """

    def on_train_end(self, flow, batches: Callable[[], Iterable]) -> None:
        """Updates after the last epoch.

        Args:
          flow: the distribution that trains.
          batches: as of `on_epoch_begin`, but of whole batches under several replicas, too.
        """

    def get_config(self) -> dict:
        """The arguments of the constructor, from which `from_config` makes a copy."""
        parameters = inspect.signature(type(self)).parameters
        config = {name: getattr(self, name) for name in parameters}
        return {
            name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
            for name, value in config.items()
        }

    @classmethod
    def from_config(cls, config: dict) -> MixtureUpdate:
        """The update that has these settings."""
        read = tf.keras.utils.deserialize_keras_object
        is_object = {name: isinstance(v, dict) and "class_name" in v for name, v in config.items()}
        return cls(**{name: read(v) if is_object[name] else v for name, v in config.items()})


@tf.keras.utils.register_keras_serializable(package="tfp_gmnvp")
class GradientUpdate(MixtureUpdate):
    """The baseline: the optimizer trains the mixture's parameters along with the bijector's.

    #### Examples

    >>> GradientUpdate().trains_by_gradient
    True
    """

    trains_by_gradient = True
