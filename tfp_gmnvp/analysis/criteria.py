"""Criteria for model selection: AIC, BIC, ICL and held-out log-likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp.density.arguments import checked_weights
from tfp_gmnvp.density.rows import effective_weights
from tfp_gmnvp.flows import on_arrays
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training.num_parameters import num_parameters

__all__ = ["aic", "bic", "held_out_log_likelihood", "icl", "num_parameters", "penalised"]

tfd = tfp.distributions


class Penalised(NamedTuple):
    """The mean log-density of the training data, in nats, and the criteria of its number of points.

    #### Examples

    >>> Penalised._fields
    ('log_likelihood', 'bic', 'aic', 'icl')
    """

    log_likelihood: float
    bic: float
    aic: float
    icl: float


def bic(
    flow: tfd.TransformedDistribution, x: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Computes the Bayesian information criterion; lower is better.

        BIC = -2 sum_n log p(x_n) + nu log N

    (Schwarz 1978, in the sign and scale of scikit-learn.) For mixtures under the same
    bijector it approximates -2 log-evidence up to a constant. The approximation requires an
    isolated maximum of the likelihood, which networks seldom reach: compare flows of different size
    by `held_out_log_likelihood`.

    Args:
      flow: a flow over a `gaussian_mixture`, trained on x.
      x: its training data `[N, D]`.
      sample_weight: weights `[N]`; whole numbers count rows, others are scaled to the effective
        number of rows, see `fit_density`. `None` for ones.

    Returns:
      A float, in nats.

    Raises:
      ValueError: if x is not `[N, D]` and finite.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> from tfp_gmnvp import gaussian_mixture
    >>> flow = tfd.TransformedDistribution(gaussian_mixture(1, 2), tfb.Identity())
    >>> round(bic(flow, np.zeros([10, 2])), 3)  # 20 log(2 pi) + 5 log(10)
    48.27
    """
    x, weight = _points(flow, x, sample_weight)
    return _bic(flow, on_arrays.log_prob(flow, x), weight)


def aic(
    flow: tfd.TransformedDistribution, x: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Computes the Akaike information criterion; lower is better.

        AIC = -2 sum_n log p(x_n) + 2 nu

    (Akaike 1974.) The caveat of `bic` about networks applies as well.

    Args:
      flow: a flow over a `gaussian_mixture`, trained on x.
      x: its training data `[N, D]`.
      sample_weight: weights `[N]`; whole numbers count rows, others are scaled to the effective
        number of rows, see `fit_density`. `None` for ones.

    Returns:
      A float, in nats.

    Raises:
      ValueError: if x is not `[N, D]` and finite.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> from tfp_gmnvp import gaussian_mixture
    >>> flow = tfd.TransformedDistribution(gaussian_mixture(1, 2), tfb.Identity())
    >>> round(aic(flow, np.zeros([10, 2])), 3)  # 20 log(2 pi) + 10
    46.758
    """
    x, weight = _points(flow, x, sample_weight)
    return _aic(flow, on_arrays.log_prob(flow, x), weight)


def icl(
    flow: tfd.TransformedDistribution, x: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Computes the integrated completed likelihood by the approximation of BIC; lower is better.

        ICL = BIC - 2 sum_n log max_k p(k | x_n)

    It is the BIC of the points together with their most likely components (Biernacki, Celeux and
    Govaert 2000), and so penalises clusters that overlap: BIC selects the number of
    components that describe the density, ICL the number of separate clusters.

    Args:
      flow: a flow over a `gaussian_mixture`, trained on x.
      x: its training data `[N, D]`.
      sample_weight: weights `[N]`; whole numbers count rows, others are scaled to the effective
        number of rows, see `fit_density`. `None` for ones.

    Returns:
      A float, in nats, in the sign and scale of `bic`.

    Raises:
      ValueError: if x is not `[N, D]` and finite.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> from tfp_gmnvp import gaussian_mixture
    >>> flow = tfd.TransformedDistribution(gaussian_mixture(1, 2), tfb.Identity())
    >>> round(icl(flow, np.zeros([10, 2])), 3)  # one component cannot overlap
    48.27
    """
    x, weight = _points(flow, x, sample_weight)
    return _bic(flow, on_arrays.log_prob(flow, x), weight) + _overlap(flow, x, weight)


def penalised(
    flow: tfd.TransformedDistribution, x: np.ndarray, sample_weight: np.ndarray | None = None
) -> Penalised:
    """All of `bic`, `aic` and `icl`, for which the flow is evaluated once.

    Args:
      flow: a flow over a `gaussian_mixture`, trained on x.
      x: its training data `[N, D]`.
      sample_weight: as of `bic`.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> from tfp_gmnvp import gaussian_mixture
    >>> flow = tfd.TransformedDistribution(gaussian_mixture(1, 2), tfb.Identity())
    >>> round(penalised(flow, np.zeros([10, 2])).aic, 3)
    46.758
    """
    x, weight = _points(flow, x, sample_weight)
    log_prob = on_arrays.log_prob(flow, x)
    of_points = _bic(flow, log_prob, weight)
    mean = -0.5 * _deviance(log_prob, weight) / weight.sum()
    overlap = _overlap(flow, x, weight)
    return Penalised(mean, of_points, _aic(flow, log_prob, weight), of_points + overlap)


def held_out_log_likelihood(
    flow: tfd.TransformedDistribution, x: np.ndarray, sample_weight: np.ndarray | None = None
) -> MonteCarloEstimate:
    """Estimates the mean log-density of points outside of the training data; higher is better.

    It estimates E[log p(x)], which is minus the entropy of the data minus the divergence of the
    flow from their distribution. The standard error is that of the mean over points, for a fixed
    flow.

    Args:
      flow: a flow over a `tfd.MixtureSameFamily`.
      x: held-out data `[N, D]`, N >= 2.
      sample_weight: as of `bic`.

    Returns:
      `MonteCarloEstimate` of two floats, in nats per point.

    Raises:
      ValueError: if x is not `[N, D]` and finite, or a single point.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, seed=0)  # starts as a standard normal
    >>> held_out = held_out_log_likelihood(flow, np.random.default_rng(0).normal(size=[1000, 2]))
    >>> bool(abs(held_out.estimate + 2.8379) < 4 * held_out.standard_error)
    True
    """
    x, weight = _points(flow, x, sample_weight)
    log_prob = on_arrays.log_prob(flow, x).astype(np.float64)
    if len(log_prob) < 2:
        raise ValueError("`x` must hold at least 2 points for a standard error, got 1.")
    return mean_estimate(log_prob, None if sample_weight is None else weight)


def _points(flow, x, sample_weight):
    """The points in the flow's dtype, and their weights on the scale of a number of points."""
    x = on_arrays.as_points(flow, x)
    weight = checked_weights(sample_weight, len(x), 1)
    return x, np.ones(len(x)) if weight is None else effective_weights(weight)


def _bic(flow, log_prob, weight):
    return _deviance(log_prob, weight) + num_parameters(flow) * float(np.log(weight.sum()))


def _aic(flow, log_prob, weight):
    return _deviance(log_prob, weight) + 2.0 * num_parameters(flow)


def _deviance(log_prob, weight):
    return -2.0 * float(np.sum(weight * log_prob, dtype=np.float64))


def _overlap(flow, x, weight):
    """What ICL adds to BIC."""
    log_r = on_arrays.log_responsibilities(flow, on_arrays.inverse(flow, x))
    return -2.0 * float(np.sum(weight * log_r.max(axis=-1), dtype=np.float64))
