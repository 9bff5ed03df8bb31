"""What EM reads off the data, batch by batch, and the step that it takes from that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import mixtures, replicas

__all__ = [
    "Evidence",
    "e_step",
    "em_step",
    "evidence",
    "join_over_replicas",
    "merge",
    "worst_explained",
]


class Evidence(NamedTuple):
    """What full-batch EM keeps of the data, all but the latents in float64.

    Attributes:
      statistics: the sufficient statistics.
      log_prob: sum_n w_n log p(z_n), or log p(z_n, y_n) where there is a label; in nats.
      worst_log_prob: the lowest log-densities, at most K.
      worst_z: their latents.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> evidence(mixture, tf.zeros([5, 1])).statistics.mass.numpy().sum().round(3).item()
    5.0
    """

    statistics: mixtures.SufficientStatistics
    log_prob: tf.Tensor
    worst_log_prob: tf.Tensor
    worst_z: tf.Tensor


def evidence(
    mixture, z: tf.Tensor, labels=None, sample_weight=None, inverse_temperature=1.0
) -> Evidence:
    """The evidence of one batch of latents.

    Args:
      mixture: the mixture of the latents.
      z: latents `[N, D]`.
      labels: `[N]` in -1 .. K-1, or `None`.
      sample_weight: `[N]`, or `None`.
      inverse_temperature: see `mixtures.expectation`.

    Returns:
      An `Evidence`.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> evidence(mixture, tf.zeros([2, 1]), tf.constant([0, 0])).statistics.mass.numpy().tolist()
    [2.0, 0.0]
    """
    log_joint = mixtures.known_log_joint(mixtures.ordered_log_joint(mixture, z), labels)
    present = mixtures.mixture_parameters(mixture)
    statistics, log_prob = e_step(
        mixture, present, z, log_joint, sample_weight, inverse_temperature
    )
    weighted = tf.cast(log_prob, tf.float64)
    if sample_weight is not None:
        weighted *= tf.cast(sample_weight, tf.float64)
    return Evidence(
        mixtures.SufficientStatistics(*(tf.cast(s, tf.float64) for s in statistics)),
        tf.reduce_sum(weighted),
        *worst_explained(log_prob, z, statistics.mass.shape[0], sample_weight),
    )


def e_step(
    mixture,
    present: mixtures.MixtureParameters,
    z: tf.Tensor,
    log_joint: tf.Tensor,
    sample_weight,
    inverse_temperature,
):
    """The statistics of latents about the mixture's reference points, and log p(z_n) `[N]`.

    Args:
      mixture: the mixture of the latents.
      present: its parameters.
      z: latents `[N, D]`.
      log_joint: see `mixtures.expectation`.
      sample_weight: `[N]`, or `None`.
      inverse_temperature: see `mixtures.expectation`.

    #### Examples

    >>> mixture, z = mixtures.gaussian_mixture(2, 1, seed=0), tf.zeros([5, 1])
    >>> log_joint = mixtures.component_log_joint(mixture, z)
    >>> present = mixtures.mixture_parameters(mixture)
    >>> statistics, log_prob = e_step(mixture, present, z, log_joint, None, 1.0)
    >>> statistics.mass.shape.as_list(), log_prob.shape.as_list()
    ([2], [5])
    """
    covariance_type = mixture.components_distribution.covariance_type
    responsibilities, log_prob = mixtures.expectation(
        log_joint, inverse_temperature=inverse_temperature
    )
    reference = mixtures.reference_point(present, covariance_type)
    statistics = mixtures.sufficient_statistics(
        z, responsibilities, reference, covariance_type, sample_weight=sample_weight
    )
    return statistics, log_prob


def merge(a: Evidence, b: Evidence) -> Evidence:
    """The evidence of two batches together.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> batch = evidence(mixture, tf.zeros([5, 1]))
    >>> merge(batch, batch).statistics.mass.numpy().sum().round(3).item()
    10.0
    """
    log_prob = tf.concat([a.worst_log_prob, b.worst_log_prob], axis=0)
    z = tf.concat([a.worst_z, b.worst_z], axis=0)
    worst = worst_explained(log_prob, z, a.statistics.mass.shape[0])
    statistics = mixtures.add(a.statistics, b.statistics)
    return Evidence(statistics, a.log_prob + b.log_prob, *worst)


def join_over_replicas(evidence: Evidence) -> Evidence:
    """The evidence of all replicas together, equal on all of them, within a step.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> batch = evidence(mixture, tf.zeros([5, 1]))
    >>> join_over_replicas(batch) is batch  # of the only one
    True
    """
    if replicas.num_replicas() == 1:
        return evidence
    reference, *sums = evidence.statistics
    log_prob, *sums = replicas.sum_over_replicas([evidence.log_prob, *sums])
    number = reference.shape[0]
    worst = replicas.gather_over_replicas(_padded(*evidence[2:], number))
    worst_log_prob, z = worst_explained(*worst, number)
    num_points = tf.math.count_nonzero(worst_log_prob < np.inf, dtype=tf.int32)
    rows = tf.minimum(tf.range(number), tf.maximum(num_points - 1, 0))
    statistics = mixtures.SufficientStatistics(reference, *sums)
    return Evidence(statistics, log_prob, tf.gather(worst_log_prob, rows), tf.gather(z, rows))


def _padded(log_prob, z, number):
    """As many rows on every replica; those that are made up count as well explained."""
    missing = number - tf.shape(z)[0]
    log_prob = tf.pad(log_prob, [[0, missing]], constant_values=np.inf)
    z = tf.pad(z, [[0, missing], [0, 0]])
    return tf.ensure_shape(log_prob, [number]), tf.ensure_shape(z, [number, z.shape[-1]])


def worst_explained(log_prob: tf.Tensor, z: tf.Tensor, number: int, sample_weight=None):
    """The `number` lowest log-densities, the lowest first, and their latents.

    Points of weight zero count as well explained.

    #### Examples

    >>> worst_explained(tf.constant([0.0, -2.0]), tf.constant([[5.0], [7.0]]), 1)[1].numpy().item()
    7.0
    """
    if sample_weight is not None:
        log_prob = tf.where(
            sample_weight > 0, log_prob, tf.fill(tf.shape(log_prob), log_prob.dtype.max)
        )
    order = tf.argsort(log_prob)[:number]
    return tf.gather(log_prob, order), tf.gather(z, order)


def em_step(
    mixture,
    statistics: mixtures.SufficientStatistics,
    worst_z: tf.Tensor,
    *,
    covariance_floor: float = 0.0,
    prior: mixtures.Prior | None = None,
    present: mixtures.MixtureParameters | None = None,
) -> None:
    """The M-step, with collapsed components mended; none where the bijector has diverged.

    Args:
      mixture: the mixture of the latents, which is assigned what comes out.
      statistics: of all points, or of as many as they count for beside the prior.
      worst_z: the worst explained latents `[M, D]`.
      covariance_floor: see `mixtures.maximization`.
      prior: see `mixtures.maximization`.
      present: the mixture's parameters, from where they have been read; `None` reads them.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1, seed=0)
    >>> batch = evidence(mixture, tf.constant([[1.0], [3.0]]))
    >>> em_step(mixture, batch.statistics, batch.worst_z)
    >>> mixture.mean().numpy().round(3).tolist()
    [2.0]
    """
    covariance_type = mixture.components_distribution.covariance_type
    present = present or mixtures.mixture_parameters(mixture)
    parameters = mixtures.maximization(
        _or_present(statistics, present, covariance_type),
        covariance_type,
        covariance_floor=covariance_floor,
        prior=prior,
    )
    mixtures.assign_parameters(mixture, mixtures.repair(parameters, worst_z, covariance_type))


def _or_present(statistics, parameters, covariance_type):
    """The statistics if they are finite, or those of the present parameters.

    So it is the loss that shows a divergence, to `TerminateOnNaN` for one, rather than an error of
    the eigenvalue decomposition.
    """
    is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(s)) for s in statistics])
    many = 1 / np.finfo(parameters.loc.dtype.as_numpy_dtype).eps  # beside which no prior counts
    present = mixtures.scale(mixtures.as_statistics(parameters, covariance_type), many)
    return mixtures.SufficientStatistics(
        *(
            tf.where(is_finite, new, tf.cast(old, new.dtype))
            for new, old in zip(statistics, present, strict=True)
        )
    )
