"""The E-step: responsibilities, and the sufficient statistics that they weight."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp.em.labels import labelled_log_joint
from tfp_gmnvp.em.statistics import SufficientStatistics, add, sufficient_statistics
from tfp_gmnvp.mixtures import (
    MixtureParameters,
    finite_log_joint,
    mixture_parameters,
    mixture_structure,
)

__all__ = ["EStep", "e_step", "expectation", "expected_statistics", "merge", "worst_explained"]


class EStep(NamedTuple):
    """The result of an E-step: everything that the M-step needs.

    Attributes:
      statistics: the sufficient statistics.
      log_prob: sum_n w_n log p(z_n), or log p(z_n, y_n) for labelled points; in nats.
      worst_log_prob: the lowest log-densities, at most K.
      worst_z: their latents.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(2, 1, seed=0)
    >>> e_step(mixture, tf.zeros([5, 1])).statistics.mass.numpy().sum().round(3).item()
    5.0
    """

    statistics: SufficientStatistics
    log_prob: tf.Tensor
    worst_log_prob: tf.Tensor
    worst_z: tf.Tensor


def expectation(
    log_joint: tf.Tensor, *, inverse_temperature: float | tf.Tensor = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes responsibilities `r_nk = pi_k N(z_n | mu_k, Sigma_k) / p(z_n)`.

    With deterministic annealing they are proportional to a power beta of the joint density. While
    beta is small, every component is responsible for every point (Ueda and
    Nakano 1998, "Deterministic annealing EM algorithm", eq. 11).

    Args:
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
      inverse_temperature: beta > 0.

    Returns:
      The responsibilities `[N, K]`, and log p(z_n) `[N]` in nats. Where the log-joint is minus
      infinity for all components, their responsibilities are equal; `finite_log_joint` avoids
      this.

    #### Examples

    >>> responsibilities, log_prob = expectation(tf.math.log([[0.1, 0.3]]))
    >>> responsibilities.numpy().round(3).tolist()
    [[0.25, 0.75]]
    """
    log_prob = tf.reduce_logsumexp(log_joint, axis=-1)
    if isinstance(inverse_temperature, tf.Tensor) or inverse_temperature != 1:
        log_joint = tf.cast(inverse_temperature, log_joint.dtype) * log_joint
    is_far = (log_prob < log_prob.dtype.min)[..., tf.newaxis]
    return tf.nn.softmax(tf.where(is_far, tf.zeros_like(log_joint), log_joint)), log_prob


def e_step(
    mixture, z: tf.Tensor, labels=None, sample_weight=None, inverse_temperature=1.0
) -> EStep:
    """The E-step of one batch of latents, with sums in float64.

    Args:
      mixture: the mixture of the latents.
      z: latents `[N, D]`.
      labels: `[N]` in -1 .. K-1, or `None`.
      sample_weight: `[N]`, or `None`.
      inverse_temperature: see `expectation`.

    Returns:
      An `EStep`.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(2, 1, seed=0)
    >>> e_step(mixture, tf.zeros([2, 1]), tf.constant([0, 0])).statistics.mass.numpy().tolist()
    [2.0, 0.0]
    """
    log_joint = labelled_log_joint(finite_log_joint(mixture, z), labels)
    current = mixture_parameters(mixture)
    statistics, log_prob = expected_statistics(
        mixture, current, z, log_joint, sample_weight, inverse_temperature
    )
    weighted = tf.cast(log_prob, tf.float64)
    if sample_weight is not None:
        weighted *= tf.cast(sample_weight, tf.float64)
    return EStep(
        SufficientStatistics(*(tf.cast(s, tf.float64) for s in statistics)),
        tf.reduce_sum(weighted),
        *worst_explained(log_prob, z, statistics.mass.shape[0], sample_weight),
    )


def expected_statistics(
    mixture,
    current: MixtureParameters,
    z: tf.Tensor,
    log_joint: tf.Tensor,
    sample_weight,
    inverse_temperature,
):
    """Computes the statistics of latents about the mixture's reference points, and log p(z_n).

    Args:
      mixture: the mixture of the latents.
      current: its parameters.
      z: latents `[N, D]`.
      log_joint: see `expectation`.
      sample_weight: `[N]`, or `None`.
      inverse_temperature: see `expectation`.

    #### Examples

    >>> from tfp_gmnvp.mixtures import component_log_joint, gaussian_mixture
    >>> mixture, z = gaussian_mixture(2, 1, seed=0), tf.zeros([5, 1])
    >>> log_joint = component_log_joint(mixture, z)
    >>> current = mixture_parameters(mixture)
    >>> statistics, log_prob = expected_statistics(mixture, current, z, log_joint, None, 1.0)
    >>> statistics.mass.shape.as_list(), log_prob.shape.as_list()
    ([2], [5])
    """
    structure = mixture_structure(mixture)
    responsibilities, log_prob = expectation(log_joint, inverse_temperature=inverse_temperature)
    reference = structure.reference(current.loc, current.covariance)
    statistics = sufficient_statistics(
        z, responsibilities, reference, structure, sample_weight=sample_weight
    )
    return statistics, log_prob


def merge(a: EStep, b: EStep) -> EStep:
    """Merges the E-steps of two batches.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(2, 1, seed=0)
    >>> batch = e_step(mixture, tf.zeros([5, 1]))
    >>> merge(batch, batch).statistics.mass.numpy().sum().round(3).item()
    10.0
    """
    log_prob = tf.concat([a.worst_log_prob, b.worst_log_prob], axis=0)
    z = tf.concat([a.worst_z, b.worst_z], axis=0)
    worst = worst_explained(log_prob, z, a.statistics.mass.shape[0])
    statistics = add(a.statistics, b.statistics)
    return EStep(statistics, a.log_prob + b.log_prob, *worst)


def worst_explained(log_prob: tf.Tensor, z: tf.Tensor, number: int, sample_weight=None):
    """Returns the `number` lowest log-densities, ascending, and their latents.

    Points of weight zero come last.

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
