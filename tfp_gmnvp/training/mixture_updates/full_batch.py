"""Full-batch EM between epochs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp import em
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.flows.conditional import points_and_context
from tfp_gmnvp.flows.precision import latents_and_log_det
from tfp_gmnvp.mixtures import Prior, at_context
from tfp_gmnvp.training.devices.replica_batches import of_one_replica, on_each_replica
from tfp_gmnvp.training.mixture_updates.interleaved import InterleavedEM
from tfp_gmnvp.training.mixture_updates.over_replicas import join_over_replicas

__all__ = ["FullBatchEM"]


@tf.keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FullBatchEM(InterleavedEM):
    """Updates the mixture between epochs, by EM on all the training data.

    The data is read in batches. Only the sufficient statistics are kept in memory: K D^2 numbers in
    float64 (K D R for low-rank covariances), for any number of points.

    #### Examples

    >>> FullBatchEM(every=2).every
    2
    >>> FullBatchEM(prior=Prior(), final_iterations=100).prior.concentration
    1.0
    """

    made_by_build = ("_e_step", "_merge", "_join")

    def __init__(
        self,
        *,
        every: int = 1,
        num_iterations: int = 1,
        covariance_floor: float = 1e-4,
        prior: Prior | None = None,
        annealing: Callable | None = None,
        final_iterations: int = 0,
        tolerance: float = 1e-4,
    ):
        """Configures full-batch EM.

        Args:
          every: number of epochs from one update to the next.
          num_iterations: number of EM iterations in an update; each reads the data once.
          covariance_floor: lower bound of the covariances relative to the latents' variance.
          prior: prior of mixture weights and covariances, for maximum a posteriori estimates;
            `None` for maximum likelihood.
          annealing: a schedule of the inverse temperature by the number of the epoch, such as a
            Keras `LearningRateSchedule`. Responsibilities are proportional to this power of the
            joint density; it should increase to one. `None` for no annealing. See
            `em.expectation`.
          final_iterations: maximal number of EM iterations at the end of `fit`, as in
            `fit_mixture`; 0 for none.
          tolerance: tolerance of the final iterations, in nats per point.

        Raises:
          ValueError: if `every` or `num_iterations` is below one, or another number is negative.
          TypeError: if `prior` is not a `Prior`, or `annealing` is not callable.
        """
        check_whole_number("every", every)
        check_whole_number("num_iterations", num_iterations)
        self.every, self.num_iterations = every, num_iterations
        super().__init__(covariance_floor, prior, annealing, final_iterations, tolerance)

    def build(self, flow):
        e_step = functools.partial(_e_step, flow)
        e_step = tf.function(e_step, autograph=False, reduce_retracing=True)
        self._e_step = on_each_replica(e_step)
        self._merge = on_each_replica(em.merge)
        self._join = on_each_replica(join_over_replicas)

    def on_epoch_begin(self, flow, epoch, batches):
        if epoch % self.every:
            return
        inverse_temperature = self.inverse_temperature(epoch)
        for _ in range(self.num_iterations):
            self._iterate(flow, batches, inverse_temperature)

    def _iterate(self, flow, batches, inverse_temperature):
        parts = (self._e_step(*batch, inverse_temperature) for batch in batches())
        everything = of_one_replica(self._join(functools.reduce(self._merge, parts)))
        em.m_step(
            flow.distribution,
            everything.statistics,
            everything.worst_z,
            covariance_floor=self.covariance_floor,
            prior=self.prior,
        )


def _e_step(flow, x, labels, sample_weight, inverse_temperature):
    """The E-step of one batch of points."""
    x, call_kwargs = points_and_context(flow, x)
    z, _ = latents_and_log_det(flow, x, **call_kwargs)
    mixture = at_context(flow.distribution, **call_kwargs)
    return em.e_step(mixture, z, labels, sample_weight, inverse_temperature)
