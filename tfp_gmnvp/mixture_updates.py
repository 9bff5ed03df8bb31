"""How the mixture is updated while the flow trains: full-batch EM, stepwise EM, or by gradient."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures

__all__ = ["FullBatchEM", "GradientUpdate", "MixtureUpdate", "StepwiseEM"]

tfd = tfp.distributions
_registered = tf.keras.utils.register_keras_serializable(package="tfp_gmnvp")


class MixtureUpdate:
    """What a model asks of the object that updates its mixture.

    A subclass overrides what it needs: `on_batch` runs within every training step, `on_epoch_begin`
    between epochs, with the training data at hand. That a `.keras` file can hold it, it is
    registered with Keras and keeps each argument of its constructor as an attribute of that name.

    #### Examples

    >>> class Frozen(MixtureUpdate):
    ...     "Leaves the mixture as it starts."
    >>> Frozen().trains_by_gradient
    False
    """

    #: Whether the mixture's variables are the optimizer's.
    trains_by_gradient = False
    #: Lower bound of the covariances relative to the latents' variance; see `maximization`.
    covariance_floor = 1e-4

    def build(self, flow: tfd.TransformedDistribution) -> None:
        """Prepares for a flow; called by `compile`."""

    def on_batch(self, mixture, z: tf.Tensor, log_joint: tf.Tensor, sample_weight) -> None:
        """Updates within a training step.

        Args:
          mixture: the mixture of the latents.
          z: latents `[N, D]` of the batch.
          log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
          sample_weight: `[N]` or `None`.
        """

    def on_epoch_begin(self, flow, epoch: int, batches: Callable[[], Iterable]) -> None:
        """Updates between epochs.

        Args:
          flow: the distribution that trains.
          epoch: how many epochs the model has been trained for, in this `fit` and all before, those
            before it was saved and loaded included.
          batches: reads the training data once more, as pairs of `x [n, D]` and weights `[n]` or
            `None`.
        """

    def get_config(self) -> dict:
        """The arguments of the constructor, from which `from_config` makes a copy."""
        parameters = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in parameters}

    @classmethod
    def from_config(cls, config: dict) -> MixtureUpdate:
        """The update that has these settings."""
        return cls(**config)


@_registered
class GradientUpdate(MixtureUpdate):
    """The baseline: the optimizer trains the mixture's parameters along with the bijector's.

    #### Examples

    >>> GradientUpdate().trains_by_gradient
    True
    """

    trains_by_gradient = True


@_registered
class FullBatchEM(MixtureUpdate):
    """Between epochs, one exact M-step from the statistics of all the training data.

    The data is streamed; what is kept is the sufficient statistics, K D^2 numbers in float64
    (K D R for covariances of low rank), whatever the number of points.

    #### Examples

    >>> FullBatchEM(every=2).every
    2
    """

    def __init__(
        self,
        *,
        every: int = 1,
        num_iterations: int = 1,
        covariance_floor: float = 1e-4,
    ):
        """Says how often and how far to go.

        Args:
          every: epochs from one update to the next.
          num_iterations: EM iterations of an update, each of which reads the data once.
          covariance_floor: lower bound of the covariances relative to the latents' variance.

        Raises:
          ValueError: if `every` or `num_iterations` is below one, or the floor negative.
        """
        self.every = _at_least_one("every", every)
        self.num_iterations = _at_least_one("num_iterations", num_iterations)
        self.covariance_floor = _not_negative("covariance_floor", covariance_floor)

    def build(self, flow):
        self._evidence = tf.function(functools.partial(_evidence, flow), reduce_retracing=True)

    def on_epoch_begin(self, flow, epoch, batches):
        if epoch % self.every:
            return
        for _ in range(self.num_iterations):
            self._iterate(flow, batches)

    def _iterate(self, flow, batches):
        evidence = functools.reduce(_merge, (self._evidence(*batch) for batch in batches()))
        _update(flow.distribution, evidence.statistics, evidence.worst_z, self.covariance_floor)


@_registered
class StepwiseEM(MixtureUpdate):
    """In every training step, an M-step from a running average of the batches' statistics.

        s <- (1 - eta) s + eta s_batch,    {pi, mu, Sigma} <- M-step(s)

    (Cappe and Moulines 2009, arXiv:0712.4273, eq. 11; Liang and Klein 2009, "Online EM for
    unsupervised models", section 3). As the latents drift under the bijector, `eta` is constant,
    so that the average forgets. The average of the past is read off the present parameters, so
    there is no other state.

    #### Examples

    >>> StepwiseEM(step_size=0.1).step_size
    0.1
    """

    def __init__(
        self,
        *,
        step_size: float = 0.05,
        covariance_floor: float = 1e-4,
    ):
        """Says how fast to forget.

        Args:
          step_size: eta, in (0, 1]: the weight of the newest batch in the running average, which so
            reaches back over about `1 / eta` steps.
          covariance_floor: lower bound of the covariances relative to the latents' variance.

        Raises:
          ValueError: if `step_size` is not in (0, 1], or the floor negative.
        """
        if not 0 < step_size <= 1:
            raise ValueError(f"`step_size` must be in (0, 1], got {step_size!r}.")
        self.step_size = step_size
        self.covariance_floor = _not_negative("covariance_floor", covariance_floor)

    def on_batch(self, mixture, z, log_joint, sample_weight):
        parameters = mixtures.mixture_parameters(mixture)
        covariance_type = mixture.components_distribution.covariance_type
        responsibilities, log_prob = mixtures.expectation(log_joint)
        batch = _sum_over_replicas(
            mixtures.sufficient_statistics(
                z,
                responsibilities,
                mixtures.reference_point(parameters, covariance_type),
                covariance_type,
                sample_weight=sample_weight,
            )
        )
        share = tf.math.divide_no_nan(self.step_size, tf.reduce_sum(batch.mass))
        past = mixtures.as_statistics(parameters, covariance_type)
        average = mixtures.add(
            mixtures.scale(past, 1 - self.step_size), mixtures.scale(batch, share)
        )
        _, worst_z = _worst_explained(log_prob, z, parameters.loc.shape[0])
        _update(mixture, average, worst_z, self.covariance_floor)


def _update(mixture, statistics, worst_z, covariance_floor):
    """The M-step, with collapsed components mended; none where the bijector has diverged."""
    covariance_type = mixture.components_distribution.covariance_type
    parameters = mixtures.maximization(
        _or_present(statistics, mixture), covariance_type, covariance_floor=covariance_floor
    )
    mixtures.assign_parameters(mixture, mixtures.repair(parameters, worst_z, covariance_type))


def _or_present(statistics, mixture):
    """The statistics if they are finite, or those of the mixture as it is.

    So it is the loss that shows a divergence, to `TerminateOnNaN` for one, rather than an error of
    the eigenvalue decomposition.
    """
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(s)) for s in statistics])
    parameters = mixtures.mixture_parameters(mixture)
    covariance_type = mixture.components_distribution.covariance_type
    present = mixtures.as_statistics(parameters, covariance_type)
    return mixtures.SufficientStatistics(
        *(
            tf.where(is_finite, new, tf.cast(old, new.dtype))
            for new, old in zip(statistics, present, strict=True)
        )
    )


class _Evidence(NamedTuple):
    """What full-batch EM keeps of the data: statistics, and the worst explained latents."""

    statistics: mixtures.SufficientStatistics
    worst_log_prob: tf.Tensor
    worst_z: tf.Tensor


def _evidence(flow, x, sample_weight):
    """The evidence of one batch, the statistics in float64."""
    mixture = flow.distribution
    z = flow.bijector.inverse(x)
    responsibilities, log_prob = mixtures.expectation(mixtures.component_log_joint(mixture, z))
    parameters = mixtures.mixture_parameters(mixture)
    covariance_type = mixture.components_distribution.covariance_type
    statistics = mixtures.sufficient_statistics(
        z,
        responsibilities,
        mixtures.reference_point(parameters, covariance_type),
        covariance_type,
        sample_weight=sample_weight,
    )
    in_double = (tf.cast(statistic, tf.float64) for statistic in statistics)
    worst = _worst_explained(log_prob, z, parameters.loc.shape[0])
    return _Evidence(mixtures.SufficientStatistics(*in_double), *worst)


def _merge(a, b):
    log_prob = tf.concat([a.worst_log_prob, b.worst_log_prob], axis=0)
    z = tf.concat([a.worst_z, b.worst_z], axis=0)
    num_components = a.statistics.mass.shape[0]
    statistics = mixtures.add(a.statistics, b.statistics)
    return _Evidence(statistics, *_worst_explained(log_prob, z, num_components))


def _worst_explained(log_prob, z, number):
    """The `number` lowest log-densities, the lowest first, and their latents."""
    order = tf.argsort(log_prob)[:number]
    return tf.gather(log_prob, order), tf.gather(z, order)


def _sum_over_replicas(statistics):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return statistics
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, list(statistics[1:]))
    return mixtures.SufficientStatistics(statistics.reference, *sums)


def _at_least_one(name, value):
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` must be a whole number >= 1, got {value!r}.")
    return value


def _not_negative(name, value):
    if not value >= 0:
        raise ValueError(f"`{name}` must not be negative, got {value!r}.")
    return value
