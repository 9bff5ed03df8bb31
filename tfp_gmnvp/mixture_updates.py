"""How the mixture is updated while the flow trains: full-batch EM, stepwise EM, or by gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures

__all__ = ["FullBatchEM", "GradientUpdate", "MixtureUpdate", "StepwiseEM"]

tfd = tfp.distributions


class MixtureUpdate(tf.Module):
    """What a model asks of the object that updates its mixture.

    A subclass overrides what it needs: `on_batch` runs within every training step, `on_epoch_begin`
    between epochs, with the training data at hand.

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
          epoch: the number of the epoch that begins, from 0.
          batches: reads the training data once more, as pairs of `x [N, D]` and weights `[N]` or `None`.
        """


class GradientUpdate(MixtureUpdate):
    """The baseline: the optimizer trains the mixture's parameters along with the bijector's.

    #### Examples

    >>> GradientUpdate().trains_by_gradient
    True
    """

    trains_by_gradient = True


class FullBatchEM(MixtureUpdate):
    """Between epochs, one exact M-step from the statistics of all the training data.

    The data is streamed; what is kept is the sufficient statistics, K D^2 numbers in float64,
    whatever the number of points.

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
        name: str = "full_batch_em",
    ):
        """Says how often and how far to go.

        Args:
          every: epochs from one update to the next.
          num_iterations: EM iterations of an update, each of which reads the data once.
          covariance_floor: lower bound of the covariances relative to the latents' variance.
          name: name of the module.

        Raises:
          ValueError: if `every` or `num_iterations` is below one, or the floor negative.
        """
        super().__init__(name=name)
        self.every = _at_least_one("every", every)
        self.num_iterations = _at_least_one("num_iterations", num_iterations)
        self.covariance_floor = _not_negative("covariance_floor", covariance_floor)

    def build(self, flow):
        self._statistics = _statistics_function(flow)

    def on_epoch_begin(self, flow, epoch, batches):
        if epoch % self.every:
            return
        for _ in range(self.num_iterations):
            self._iterate(flow, batches)

    def _iterate(self, flow, batches):
        mixture = flow.distribution
        statistics, worst = zip(*(self._statistics(*batch) for batch in batches()), strict=True)
        covariance_type = mixture.components_distribution.covariance_type
        parameters = mixtures.maximization(
            functools.reduce(mixtures.add, statistics),
            covariance_type,
            covariance_floor=self.covariance_floor,
        )
        log_prob, z = (tf.concat(parts, axis=0) for parts in zip(*worst, strict=True))
        _, worst_z = _worst_explained(z, log_prob, parameters.probs.shape[0])
        mixtures.assign_parameters(mixture, mixtures.repair(parameters, worst_z, covariance_type))


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
        name: str = "stepwise_em",
    ):
        """Says how fast to forget.

        Args:
          step_size: eta, in (0, 1]: the weight of the newest batch in the running average, which so
            reaches back over about `1 / eta` steps.
          covariance_floor: lower bound of the covariances relative to the latents' variance.
          name: name of the module.

        Raises:
          ValueError: if `step_size` is not in (0, 1], or the floor negative.
        """
        super().__init__(name=name)
        if not 0 < step_size <= 1:
            raise ValueError(f"`step_size` must be in (0, 1], got {step_size!r}.")
        self.step_size = step_size
        self.covariance_floor = _not_negative("covariance_floor", covariance_floor)

    def on_batch(self, mixture, z, log_joint, sample_weight):
        covariance_type = mixture.components_distribution.covariance_type
        average = mixtures.as_statistics(mixtures.mixture_parameters(mixture), covariance_type)
        batch = mixtures.sufficient_statistics(
            z,
            tf.nn.softmax(log_joint),
            average.reference,
            covariance_type,
            sample_weight=sample_weight,
        )
        batch = _sum_over_replicas(batch)
        share = self.step_size / tf.reduce_sum(batch.mass)
        average = mixtures.add(
            mixtures.scale(average, 1 - self.step_size), mixtures.scale(batch, share)
        )
        parameters = mixtures.maximization(
            average, covariance_type, covariance_floor=self.covariance_floor
        )
        _, worst = _worst_explained(
            z, tf.reduce_logsumexp(log_joint, axis=-1), average.mass.shape[0]
        )
        parameters = mixtures.repair(parameters, worst, covariance_type)
        mixtures.assign_parameters(mixture, parameters)


def _statistics_function(flow):
    """Compiles x, weights -> float64 statistics of a batch and its worst explained latents."""
    mixture = flow.distribution
    covariance_type = mixture.components_distribution.covariance_type

    def statistics(x, sample_weight):
        z = flow.bijector.inverse(x)
        responsibilities, log_prob = mixtures.expectation(mixtures.component_log_joint(mixture, z))
        loc = tf.convert_to_tensor(mixture.components_distribution.loc)
        sums = mixtures.sufficient_statistics(
            z, responsibilities, loc, covariance_type, sample_weight=sample_weight
        )
        in_double = [tf.cast(statistic, tf.float64) for statistic in sums]
        worst = _worst_explained(z, log_prob, loc.shape[0])
        return mixtures.SufficientStatistics(*in_double), worst

    return tf.function(statistics, reduce_retracing=True)


def _worst_explained(z, log_prob, number):
    """The log-densities and latents of the `number` worst explained points, the worst first."""
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
