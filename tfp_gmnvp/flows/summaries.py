"""Monte Carlo estimates of entropy and Kullback-Leibler divergence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.flows.checks import flow_location_hint

__all__ = ["MonteCarloEstimate", "entropy", "kl_divergence", "mean_estimate"]

tfd = tfp.distributions


class MonteCarloEstimate(NamedTuple):
    """A mean over independent samples, and its standard error.

    The estimate is normally distributed about the true value in the limit of many samples; two
    standard errors either side hold it in 95 of 100 cases.

    #### Examples

    >>> MonteCarloEstimate(estimate=1.0, standard_error=0.1).estimate
    1.0
    """

    estimate: tf.Tensor
    standard_error: tf.Tensor


def mean_estimate(
    values: np.ndarray, sample_weight: np.ndarray | None = None
) -> MonteCarloEstimate:
    """Computes the mean of independent values, and its standard error.

    Args:
      values: `[N]`, N >= 2.
      sample_weight: positive weights `[N]` of more than one in all, each of which counts as so many
        equal values; `None` for ones.

    Returns:
      `MonteCarloEstimate` of two floats. A mean that is infinite has the standard error NaN.

    #### Examples

    >>> mean_estimate(np.array([1.0, 3.0]))
    MonteCarloEstimate(estimate=2.0, standard_error=1.0)
    """
    if sample_weight is not None:
        return _weighted_mean_estimate(values, sample_weight)
    with np.errstate(invalid="ignore"):  # for infinities
        error = np.std(values, ddof=1) / np.sqrt(len(values))
    return MonteCarloEstimate(float(np.mean(values)), float(error))


def _weighted_mean_estimate(values, weight):
    total = weight.sum()
    with np.errstate(invalid="ignore"):
        mean = (weight * values).sum() / total
        variance = (weight * np.square(values - mean)).sum() / max(total - 1.0, 1e-9)
    return MonteCarloEstimate(float(mean), float(np.sqrt(variance / total)))


def entropy(flow: tfd.Distribution, *, num_samples: int = 10_000, seed=None) -> MonteCarloEstimate:
    """Estimates the differential entropy by samples.

        H[q] = -E_q[log q(x)]

    The estimate for a flow with `reparameterize=True` is differentiable with respect to all of its
    variables.

    Args:
      flow: a distribution with batch shape `[]` that can be sampled.
      num_samples: number of samples, at least 2.
      seed: integer or stateless seed `[2]`.

    Returns:
      `MonteCarloEstimate` of two scalars, in nats.

    Raises:
      ValueError: if `num_samples` is not a whole number >= 2, or the flow is a batch of several.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, seed=0)  # starts as a standard normal: log(2 pi e)
    >>> estimate, standard_error = entropy(flow, seed=1)
    >>> bool(abs(estimate - 2.8379) < 4 * standard_error)
    True
    """
    x = _samples(flow, num_samples, seed)
    return _mean(-_log_prob("flow", flow.log_prob, x))


def kl_divergence(
    flow: tfd.Distribution,
    other: tfd.Distribution | Callable[[tf.Tensor], tf.Tensor],
    *,
    num_samples: int = 10_000,
    seed=None,
) -> MonteCarloEstimate:
    """Estimates the Kullback-Leibler divergence from another distribution by samples of the flow.

        KL(q || p) = E_q[log q(x) - log p(x)]

    Where log p is unnormalised, Z being the integral of its exponential, the estimate is
    KL(q || p) - log Z, the negative evidence lower bound. Like `entropy`, it is
    differentiable.

    Args:
      flow: the distribution q, with batch shape `[]`, that can be sampled.
      other: p, a distribution, or its log-density: a callable from samples `[N, D]` to `[N]`
        nats, which are cast to the dtype of the samples.
      num_samples: number of samples, at least 2.
      seed: integer or stateless seed `[2]`.

    Returns:
      `MonteCarloEstimate` of two scalars, in nats.

    Raises:
      TypeError: if `other` is neither callable nor has a `log_prob`.
      ValueError: if `num_samples` is not a whole number >= 2, the flow is a batch of several, or
        a log-density is not one number for each sample.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, seed=0)  # starts as a standard normal
    >>> other = tfd.MultivariateNormalDiag([1.0, 0.0])
    >>> estimate, standard_error = kl_divergence(flow, other, seed=1)
    >>> bool(abs(estimate - 0.5) < 4 * standard_error)
    True
    """
    other_log_prob = getattr(other, "log_prob", other)
    if not callable(other_log_prob):
        raise TypeError(
            f"`other` must be a distribution or a callable that gives log p(x), got {other!r}."
        )
    x = _samples(flow, num_samples, seed)
    return _mean(_log_prob("flow", flow.log_prob, x) - _log_prob("other", other_log_prob, x))


def _samples(flow, num_samples, seed):
    check_whole_number("num_samples", num_samples, 2)
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`flow` must be a distribution, got {flow!r}{flow_location_hint(flow)}.")
    if flow.batch_shape.rank != 0:
        raise ValueError(f"`flow` must have batch shape [], got {flow.batch_shape}.")
    return flow.sample(num_samples, seed=stateless_seed(seed))


def _log_prob(name, function, x):
    log_prob = tf.cast(function(x), x.dtype)
    if not log_prob.shape.is_compatible_with(x.shape[:1]):
        raise ValueError(
            f"The log-density of `{name}` must be one number for each sample, of shape "
            f"{x.shape[:1]} for samples of shape {x.shape}, got shape {log_prob.shape}. Does it "
            "have other events, or a batch shape?"
        )
    return log_prob


def _mean(values):
    mean = tf.reduce_mean(values)
    count = tf.cast(tf.size(values), values.dtype)
    variance = tf.reduce_sum(tf.math.squared_difference(values, mean)) / (count - 1)
    return MonteCarloEstimate(mean, tf.sqrt(variance / count))
