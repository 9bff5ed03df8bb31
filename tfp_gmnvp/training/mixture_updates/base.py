"""The base class of mixture updates, and the update by gradient steps of the optimizer."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["GradientUpdate", "MixtureUpdate"]

tfd = tfp.distributions


class MixtureUpdate:
    """Base class of updates of the mixture; it does not update.

    A subclass overrides the methods that it needs. `m_step` runs in every training step;
    `on_epoch_begin` runs between epochs, and can read the training data. Computations over the
    points belong in `e_step`, because XLA compiles it even if it does not compile `m_step`.

    To be saved in a `.keras` file, a subclass is registered with Keras, and stores each argument of
    its constructor as an attribute of the same name.

    The object is configuration: `compile` makes a copy of it for the model, and calls `build` of
    the copy. So one object can be used for any number of models. Copies and pickles contain only
    the configuration: a subclass lists the attributes that `build` sets in `made_by_build`.

    #### Examples

    >>> class Frozen(MixtureUpdate):
    ...     "Leaves the mixture as it starts."
    >>> Frozen().trains_by_gradient
    False
    """

    #: Whether the optimizer trains the mixture's variables.
    trains_by_gradient = False
    #: Names of the attributes that `build` sets for one model.
    made_by_build: Sequence[str] = ()
    #: Lower bound of the covariances relative to the latents' variance; see `maximization`.
    covariance_floor = 1e-4
    #: Prior of mixture weights and covariances, or `None`; see `maximization`.
    prior = None

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """State besides the mixture, created by `build`; the model saves it with its weights."""
        return ()

    def build(self, flow: tfd.TransformedDistribution) -> None:
        """Creates state for a flow; `compile` calls it on the model's copy."""

    def __getstate__(self) -> dict:
        """The state of a copy or pickle: all attributes except those that `build` sets."""
        return {name: a for name, a in vars(self).items() if name not in self.made_by_build}

    def e_step(self, mixture, z: tf.Tensor, log_joint: tf.Tensor, sample_weight) -> tuple:
        """Computes the arguments of `m_step` from a batch.

        Args:
          mixture: the mixture of the latents.
          z: see `m_step`.
          log_joint: see `m_step`.
          sample_weight: see `m_step`.

        Returns:
          A tuple of the arguments of `m_step` after `mixture`: `z`, `log_joint` and
          `sample_weight`, unless a subclass returns others.
        """
        return z, log_joint, sample_weight

    def m_step(self, mixture, z: tf.Tensor, log_joint: tf.Tensor, sample_weight) -> None:
        """Updates the mixture in a training step, from the results of `e_step`.

        With several replicas each runs this on its part of the batch, and all must get the same
        parameters: use `replicas.sum_over_replicas` for sums over points.

        Args:
          mixture: the mixture of the latents.
          z: latents `[N, D]` of the batch.
          log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`; minus infinity for
            components that a label excludes.
          sample_weight: `[N]` or `None`.
        """

    def on_epoch_begin(self, flow, epoch: int, batches: Callable[[], Iterable]) -> None:
        """Updates the mixture before an epoch.

        Args:
          flow: the flow that is trained.
          epoch: the number of epochs in all calls of `fit` so far, including those before the model
            was saved and loaded.
          batches: a function that reads the training data as `x [n, D]`, labels `[n]` or `None`,
            and weights `[n]` or `None`; with several replicas, each replica's parts, for
            `replica_batches.on_each_replica`.
        """

    def on_train_end(self, flow, batches: Callable[[], Iterable]) -> None:
        """Updates the mixture after the last epoch.

        Args:
          flow: the flow that is trained.
          batches: see `on_epoch_begin`; it reads whole batches even with several replicas.
        """

    def get_config(self) -> dict:
        """The arguments of the constructor, for `from_config`."""
        parameters = inspect.signature(type(self)).parameters
        config = {name: getattr(self, name) for name in parameters}
        return {
            name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
            for name, value in config.items()
        }

    @classmethod
    def from_config(cls, config: dict) -> MixtureUpdate:
        """Creates an update from the result of `get_config`."""
        read = tf.keras.utils.deserialize_keras_object
        is_object = {name: isinstance(v, dict) and "class_name" in v for name, v in config.items()}
        return cls(**{name: read(v) if is_object[name] else v for name, v in config.items()})


@tf.keras.utils.register_keras_serializable(package="tfp_gmnvp")
class GradientUpdate(MixtureUpdate):
    """The baseline: the optimizer trains the mixture together with the bijector.

    #### Examples

    >>> GradientUpdate().trains_by_gradient
    True
    """

    trains_by_gradient = True
