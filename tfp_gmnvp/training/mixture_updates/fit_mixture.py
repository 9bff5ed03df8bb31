"""Fits the mixture of a flow by EM to convergence, with a fixed bijector."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.flows.gaussian_mixture_flow import check_has_mixture
from tfp_gmnvp.training.data import degenerate_data, rereading
from tfp_gmnvp.training.data.training_data import TrainingData
from tfp_gmnvp.training.mixture_updates.fit_mixture_starts import is_untrained, start_from_latents

__all__ = ["ConvergenceWarning", "MixtureFit", "NoMassError", "fit_latents", "fit_mixture"]

tfd = tfp.distributions

_NUM_STARTS = 5


class ConvergenceWarning(UserWarning):
    """EM was stopped before it converged.

    #### Examples

    >>> issubclass(ConvergenceWarning, UserWarning)
    True
    """


class NoMassError(ValueError):
    """All points have weight zero.

    #### Examples

    >>> issubclass(NoMassError, ValueError)
    True
    """


class MixtureFit(NamedTuple):
    """The result of `fit_mixture`.

    Attributes:
      objective: its values before each iteration, and after the last one, in nats per point: the
        mean of log p(x), or log p(x, y) for labelled points, plus the log-density of a prior
        divided by the number of points.
      converged: whether the last iteration changed the objective by less than the tolerance.

    #### Examples

    >>> MixtureFit([-3.0, -2.0, -2.0], True).objective[-1]
    -2.0
    """

    objective: list[float]
    converged: bool


@columns.learns_columns
def fit_mixture(
    flow: tfd.TransformedDistribution,
    x,
    y=None,
    *,
    sample_weight=None,
    covariance_floor: float = 1e-4,
    prior: mixtures.Prior | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    n_init: int | None = None,
    seed=0,
) -> MixtureFit:
    """Fits the mixture by full-batch EM, with a fixed bijector.

    An untrained mixture starts from the best of several k-means++ starts. Any other mixture starts
    from its current parameters. With an identity bijector this fits the same model as
    scikit-learn's `GaussianMixture`. The latents `[N, D]` are computed once and kept in memory.

    Args:
      flow: a flow made by `gaussian_mixture_flow`, or any `tfd.TransformedDistribution` over a
        `gaussian_mixture`.
      x: an array `[N, D]` or `[N, H, W, C]`, or batches as a `tf.data.Dataset` or `PyDataset` of
        `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; with a context `(x, context)` instead of
        `x`. A gate is not changed.
      y: labels `[N]` in -1 .. K-1 if `x` is an array, -1 for points without a label; or `None`.
      sample_weight: weights `[N]` if `x` is an array, or `None`.
      covariance_floor: lower bound of the covariances relative to the latents' variance.
      prior: prior of mixture weights and covariances, for maximum a posteriori estimates; `None`
        for maximum likelihood.
      tolerance: EM has converged if the objective changes by less, in nats per point.
      max_iterations: maximal number of iterations.
      n_init: number of k-means++ starts; the one with the highest objective after ten iterations is
        kept. 0 to start from the current parameters; `None` for 5 if the mixture is untrained, and
        0 otherwise.
      seed: integer or stateless seed `[2]` of the starts.

    Returns:
      A `MixtureFit`.

    Raises:
      ValueError: if `y` holds invalid labels, `x` is infinite, or all weights are zero.

    Warns:
      ConvergenceWarning: if EM did not converge.
      DegenerateDataWarning: if columns of x are constant, discrete, or functions of others, or rows
        are copies.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, num_components=2, seed=0)
    >>> x = tf.constant([[0.0, 0.0], [0.2, 0.1], [0.1, 0.3], [5.0, 5.0], [5.1, 5.3], [5.2, 5.0]])
    >>> fit_mixture(flow, x).converged
    True
    """
    check_has_mixture(flow)
    if n_init is not None:
        check_whole_number("n_init", n_init, 0)
    data = TrainingData(flow, x, y, sample_weight, seed=0)
    batches = data.read
    if data.is_array:
        data.warn_if_degenerate()
    else:
        batches = degenerate_data.examine_while_reading(data.read, data.event_size)
    return fit_latents(
        flow,
        batches,
        covariance_floor=covariance_floor,
        prior=prior,
        tolerance=tolerance,
        max_iterations=max_iterations,
        n_init=n_init,
        seed=seed,
    )


def fit_latents(
    flow: tfd.TransformedDistribution,
    batches: Callable[[], Iterable[rereading.Batch]],
    *,
    covariance_floor: float,
    prior: mixtures.Prior | None,
    tolerance: float,
    max_iterations: int,
    n_init: int | None = 0,
    seed=0,
) -> MixtureFit:
    """Fits the mixture as `fit_mixture` does, on the batches of `rereading.training_batches`.

    It reads them once.

    Raises:
      NoMassError: if all points have weight zero.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> batches = rereading.training_batches(tf.eye(2))
    >>> fit = fit_latents(gaussian_mixture_flow(2, seed=0), batches, covariance_floor=1e-4,
    ...     prior=None, tolerance=1e-4, max_iterations=10)
    >>> len(fit.objective)
    3
    """
    mixture = flow.distribution
    latents, log_det = _latents(flow, batches)
    if all(w is not None and not tf.reduce_any(w != 0) for *_, w in latents):
        raise NoMassError("`sample_weight` must be above zero for some points, got only zeros.")
    settings = {"covariance_floor": covariance_floor, "prior": prior}
    if n_init is None:
        n_init = _NUM_STARTS if is_untrained(mixture) else 0
    if n_init:
        columns = [batch[1:] for batch in latents]
        start_from_latents(mixture, columns, n_init=n_init, seed=seed, **settings)

    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def e_step(context, *batch):
        return em.e_step(mixtures.at_context(mixture, **context), *batch)

    m_step = functools.partial(em.m_step, mixture, **settings)
    m_step = tf.function(m_step, autograph=False)
    objective, converged = [], False
    while True:
        everything = functools.reduce(em.merge, (e_step(*batch) for batch in latents))
        objective.append(_objective(everything, log_det, mixture, prior))
        converged = len(objective) > 1 and abs(objective[-1] - objective[-2]) < tolerance
        if converged or len(objective) > max_iterations:
            break
        m_step(everything.statistics, everything.worst_z)
    if not converged:
        _warn(objective, tolerance, max_iterations)
    return MixtureFit(objective, converged)


def _latents(flow, batches):
    """Latents with contexts, labels and weights, and the weighted sum of log-determinants."""
    latents, total = [], tf.zeros([], tf.float64)
    for rows, labels, sample_weight in batches():
        x, context = conditional.points_and_context(flow, rows)
        z, log_det = precision.latents_and_log_det(flow, x, **context)
        log_det = tf.cast(log_det, tf.float64)
        log_det = tf.broadcast_to(log_det, tf.shape(x)[:1])  # it may be a scalar
        if sample_weight is not None:
            log_det *= tf.cast(sample_weight, tf.float64)
        latents.append((context, z, labels, sample_weight))
        total += tf.reduce_sum(log_det)
    return latents, total


def _objective(everything, log_det, mixture, prior):
    total = everything.log_prob + log_det
    if prior is not None:
        parameters = mixtures.mixture_parameters(mixture)
        parameters = mixtures.MixtureParameters(*(tf.cast(p, tf.float64) for p in parameters))
        structure = mixtures.mixture_structure(mixture)
        variance = em.points_variance(everything.statistics, structure)
        total += prior.log_density(parameters, variance, structure)
    return float(total / tf.reduce_sum(everything.statistics.mass))


def _warn(objective, tolerance, max_iterations):
    change = f"{abs(objective[-1] - objective[-2]):.2g}" if len(objective) > 1 else "unknown"
    warnings.warn(
        f"EM did not converge in {max_iterations} iterations: the last one changed the objective "
        f"by {change} nats per point, and the tolerance is {tolerance:.2g}. Allow more "
        "iterations or a larger tolerance; if components keep collapsing, use fewer of them, or a "
        "`Prior`.",
        ConvergenceWarning,
        stacklevel=3,
    )
