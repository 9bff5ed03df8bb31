"""Joins the E-steps of several replicas to the E-step of the whole batch."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.em import EStep, SufficientStatistics, worst_explained
from tfp_gmnvp.training.devices import replicas

__all__ = ["join_over_replicas"]


def join_over_replicas(e_step: EStep) -> EStep:
    """Joins the E-steps of all replicas in a step; all replicas get the same result.

    #### Examples

    >>> from tfp_gmnvp import em, mixtures
    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> batch = em.e_step(mixture, tf.zeros([5, 1]))
    >>> join_over_replicas(batch) is batch  # there is one replica
    True
    """
    if replicas.num_replicas() == 1:
        return e_step
    reference, *sums = e_step.statistics
    log_prob, *sums = replicas.sum_over_replicas([e_step.log_prob, *sums])
    number = reference.shape[0]
    worst = replicas.gather_over_replicas(_padded(*e_step[2:], number))
    worst_log_prob, z = worst_explained(*worst, number)
    num_points = tf.math.count_nonzero(worst_log_prob < np.inf, dtype=tf.int32)
    rows = tf.minimum(tf.range(number), tf.maximum(num_points - 1, 0))
    statistics = SufficientStatistics(reference, *sums)
    return EStep(statistics, log_prob, tf.gather(worst_log_prob, rows), tf.gather(z, rows))


def _padded(log_prob, z, number):
    """Pads to the same number of rows on every replica, with infinite log-densities."""
    missing = number - tf.shape(z)[0]
    log_prob = tf.pad(log_prob, [[0, missing]], constant_values=np.inf)
    z = tf.pad(z, [[0, missing], [0, 0]])
    return tf.ensure_shape(log_prob, [number]), tf.ensure_shape(z, [number, z.shape[-1]])
