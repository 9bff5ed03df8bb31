"""Stepwise EM: an M-step in every training step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.mixtures import Prior
from tfp_gmnvp.training.mixture_updates.departure import departure, share_beyond_noise
from tfp_gmnvp.training.mixture_updates.interleaved import InterleavedEM
from tfp_gmnvp.training.mixture_updates.over_replicas import join_over_replicas

__all__ = ["StepwiseEM"]

_MIN_SHARE, _MIN_SHARE_MOVING = 1e-3, 0.1  # components with a smaller share are reinitialised


@tf.keras.utils.register_keras_serializable(package="tfp_gmnvp")
class StepwiseEM(InterleavedEM):
    """Updates the mixture in every training step, from a running average of statistics.

        s <- (1 - eta) s + eta s_batch,    {pi, mu, Sigma} <- M-step(s)

    (Cappe and Moulines 2009, arXiv:0712.4273, eq. 11; Liang and Klein 2009, "Online EM for
    unsupervised models", section 3). The latents change while the bijector is trained, so `eta` is
    constant by default: the average forgets old batches. A schedule gives the best densities: a
    large `eta`, of about 0.5, while the bijector changes, and a small one in the last tenth of the
    steps, to average many batches. The past average is computed from the current parameters. So the
    only state is the number of the step, and only with a schedule.

    After a sudden change of the latents or the data, the past average is wrong: components that
    are too far from their points lose them to others. So `eta` increases for one step, up to
    `largest_step_size`, if the batch's means differ from the components' by more than sampling
    noise (see `departure.share_beyond_noise`). In such a step a component is reinitialised if its
    weight is less than a tenth of 1 / K. In other steps this limit is much lower, because a small
    component may be right.

    With a prior, the average counts as the points of 1 / eta batches.

    #### Examples

    >>> StepwiseEM(step_size=0.1).step_size
    0.1
    >>> from tfp_gmnvp.training.mixture_updates.schedules import PowerSchedule
    >>> update = StepwiseEM(step_size=PowerSchedule(exponent=0.7))
    >>> schedules = tf.keras.optimizers.schedules  # of 3,000 steps in all
    >>> falling = schedules.PiecewiseConstantDecay([2400, 2700], [0.5, 0.1, 0.005])
    >>> update = StepwiseEM(step_size=falling)
    """

    made_by_build = ("_step",)
    _step = None

    def __init__(
        self,
        *,
        step_size: float | Callable = 0.05,
        largest_step_size: float = 0.3,
        covariance_floor: float = 1e-4,
        prior: Prior | None = None,
        annealing: Callable | None = None,
        final_iterations: int = 0,
        tolerance: float = 1e-4,
    ):
        """Configures stepwise EM.

        Args:
          step_size: eta, in (0, 1]: the weight of the newest batch in the running average, which
            so covers about `1 / eta` steps; or a schedule of eta by the number of the step, such as
            `PowerSchedule` or a Keras `LearningRateSchedule`.
          largest_step_size: upper bound of an increased eta, in a step whose batch does not fit the
            mixture; a larger `step_size` is not reduced. 0 to never increase eta.
          covariance_floor: lower bound of the covariances relative to the latents' variance.
          prior: prior of mixture weights and covariances, for maximum a posteriori estimates;
            `None` for maximum likelihood.
          annealing: see `FullBatchEM`; here by the number of the step.
          final_iterations: see `FullBatchEM`.
          tolerance: see `FullBatchEM`.

        Raises:
          ValueError: if `step_size` is not in (0, 1], `largest_step_size` is not in [0, 1], or
            another number is negative.
          TypeError: if `prior` is not a `Prior`, or `annealing` is not callable.
        """
        if not callable(step_size):
            within = "be in (0, 1], or a schedule"
            check_number("step_size", step_size, lambda size: 0 < size <= 1, within)
        check_number("largest_step_size", largest_step_size, lambda s: 0 <= s <= 1, "be in [0, 1]")
        self.step_size, self.largest_step_size = step_size, largest_step_size
        super().__init__(covariance_floor, prior, annealing, final_iterations, tolerance)

    @property
    def variables(self):
        """The number of the step, if there is a schedule."""
        return () if self._step is None else (self._step,)

    def build(self, flow):
        if callable(self.step_size) or self.annealing is not None:
            first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            self._step = tf.Variable(
                0, trainable=False, dtype=tf.int64, name="em_step", aggregation=first
            )

    def e_step(self, mixture, z, log_joint, sample_weight):
        """Computes the E-step and the `Departure` of this replica's part of a batch.

        Returns:
          Both, and the mixture's parameters, for which they were computed.
        """
        inverse_temperature = self.inverse_temperature(self._step)
        current = mixtures.mixture_parameters(mixture)
        statistics, log_prob = em.expected_statistics(
            mixture, current, z, log_joint, sample_weight, inverse_temperature
        )
        worst = em.worst_explained(log_prob, z, statistics.mass.shape[0], sample_weight)
        e_step = em.EStep(statistics, tf.zeros([], z.dtype), *worst)
        return e_step, departure(mixture, statistics, sample_weight), current

    def m_step(self, mixture, e_step, departed, current):
        """Adds a batch to the running average, and computes the M-step from it."""
        e_step = join_over_replicas(e_step)
        batch, mass = e_step.statistics, tf.reduce_sum(e_step.statistics.mass)
        step_size, min_share = self._current_step_size(mass.dtype), _MIN_SHARE
        if self.largest_step_size:
            raised = tf.minimum(share_beyond_noise(departed), self.largest_step_size)
            shares = [tf.constant(s, raised.dtype) for s in (_MIN_SHARE_MOVING, _MIN_SHARE)]
            min_share = tf.where(raised > step_size, *shares)
            step_size = tf.maximum(raised, step_size)
        average = em.add(
            em.scale(em.as_statistics(current, mixtures.mixture_structure(mixture)), 1 - step_size),
            em.scale(batch, tf.math.divide_no_nan(step_size, mass)),
        )
        average = em.scale(average, tf.cast(mass > 0, mass.dtype))  # no step without mass
        if self.prior is not None:
            average = em.scale(average, _prior_factor(mass, step_size))
        em.m_step(
            mixture,
            average,
            e_step.worst_z,
            covariance_floor=self.covariance_floor,
            prior=self.prior,
            current=current,
            min_share=min_share,
        )
        for step in self.variables:
            step.assign_add(1)

    def _current_step_size(self, dtype):
        if not callable(self.step_size):
            return self.step_size
        return tf.clip_by_value(tf.cast(self.step_size(self._step), dtype), 0.0, 1.0)


def _prior_factor(mass, step_size):
    """The factor of an average that sets the weight of a prior relative to the points.

    The parameters, from which the past average is computed, already contain the prior. So each step
    adds the prior with weight `step_size`, like the batch: as for a total of `mass / step_size`
    points.
    """
    step_size = tf.convert_to_tensor(step_size, mass.dtype)
    many = 1 / np.finfo(mass.dtype.as_numpy_dtype).eps
    counts = tf.math.divide_no_nan(mass, tf.square(step_size))
    return tf.where(counts > 0, counts, many)
