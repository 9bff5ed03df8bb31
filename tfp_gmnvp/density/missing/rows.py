"""What a flow says of rows with missing entries: their density, and draws of what is missing."""

from __future__ import annotations

import warnings

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.density.missing.importance import (
    PoorSamplesWarning,
    rows_at_once,
    weighted_rows,
)
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.density.missing.tables import checked_rows
from tfp_gmnvp.flows.summaries import MonteCarloEstimate

__all__ = ["impute", "observed_log_prob", "warn_if_poor"]

tfd = tfp.distributions

_FEWEST = 20.0  # effective samples


def observed_log_prob(
    flow: tfd.TransformedDistribution, x, *, num_samples: int = 500, seed: int
) -> MonteCarloEstimate:
    """The log-density of the observed entries of each row.

        log p(x_o) = log int p(x_o, x_u) dx_u

    It is exact where the flow is a mixture of standardised columns (`standardized_mixture`), and
    for complete rows. Otherwise it is an importance sample; see `density.missing.importance`.

    Args:
      flow: a flow over a Gaussian mixture.
      x: an array or table `[N, D]`, NaN where an entry is missing.
      num_samples: draws for each row with missing entries, at least 2.
      seed: integer seed of the draws.

    Returns:
      A `MonteCarloEstimate` of two arrays `[N]`, in nats; the standard error is zero where the
      value is exact. A row without an entry has the log-density zero.

    Raises:
      TypeError: if `flow` is not a flow over a mixture, or x does not hold numbers.
      ValueError: if x has another shape, or holds infinity.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0, -1.0], [1.0, 1.0]], seed=0)
    >>> found = observed_log_prob(flow, [[0.0, np.nan], [0.0, 0.0]], seed=0)
    >>> found.estimate.round(4).tolist(), found.standard_error.tolist()
    ([-0.9189, -1.8379], [0.0, 0.0])
    """
    check_whole_number("num_samples", num_samples, 2)
    x, parts = checked_rows(flow, x), StandardizedFlow(flow)
    y = parts.to_latent(x)
    slopes = parts.log_slopes(x).sum(axis=1)
    if (mixture := parts.mixture) is not None:
        return MonteCarloEstimate(mixture.log_prob(y) + slopes, np.zeros(len(y)))
    estimate, error = np.zeros(len(y)), np.zeros(len(y))
    missing = np.isnan(y)
    whole, nothing = ~missing.any(axis=1), missing.all(axis=1)
    estimate[whole] = parts.log_prob(y[whole])
    some = np.flatnonzero(~whole & ~nothing)
    if len(some):
        proposal, rng = parts.proposal(seed), np.random.default_rng(seed)
        for rows in _batches(some, num_samples, parts.size):
            found = weighted_rows(parts.log_prob, proposal, y[rows], num_samples, rng)
            estimate[rows], error[rows] = found.log_normalizer, found.standard_error
    return MonteCarloEstimate(estimate + slopes, error)


def impute(
    flow: tfd.TransformedDistribution,
    x,
    num_samples: int = 1,
    *,
    seed: int,
    num_proposals: int = 500,
) -> np.ndarray:
    """Draws the missing entries of each row from the flow's density given the observed ones.

    The draws are exact where the flow is a mixture of standardised columns. Otherwise they are
    resampled from weighted proposals.

    Args:
      flow: a flow over a Gaussian mixture.
      x: an array or table `[N, D]`, NaN where an entry is missing.
      num_samples: draws for each row.
      seed: integer seed.
      num_proposals: weighted draws for each row, at least 2, from which the samples are taken.

    Returns:
      A float64 array `[num_samples, N, D]`: x with its missing entries drawn.

    Raises:
      TypeError: if `flow` is not a flow over a mixture, or x does not hold numbers.
      ValueError: if x has another shape, or holds infinity.

    Warns:
      PoorSamplesWarning: if proposals are worth fewer than 20 independent draws in some rows.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, -1.0], [4.0, 1.0]], seed=0)
    >>> drawn = impute(flow, [[3.0, np.nan]], 2, seed=0)
    >>> drawn.shape, drawn[:, 0, 0].tolist()
    ((2, 1, 2), [3.0, 3.0])
    """
    check_whole_number("num_samples", num_samples)
    check_whole_number("num_proposals", num_proposals, 2)
    x, parts, rng = checked_rows(flow, x), StandardizedFlow(flow), np.random.default_rng(seed)
    drawn = np.tile(x, [num_samples, 1, 1])
    some = np.flatnonzero(np.isnan(x).any(axis=1))
    if not len(some):
        return drawn
    y = parts.to_latent(x)
    if (mixture := parts.mixture) is not None:
        completed = mixture.imputations(y[some]).draw(num_samples, rng)
    else:
        proposal = parts.proposal(seed)
        completed, sizes = np.empty([num_samples, len(some), parts.size]), np.empty(len(some))
        for rows in _batches(np.arange(len(some)), num_proposals, parts.size):
            found = weighted_rows(parts.log_prob, proposal, y[some[rows]], num_proposals, rng)
            sizes[rows] = found.effective_sample_size
            completed[:, rows] = found.resampled(num_samples, rng)
        warn_if_poor(sizes, "num_proposals", num_proposals)
    values = parts.from_latent(completed.reshape(-1, parts.size)).reshape(completed.shape)
    drawn[:, some] = np.where(np.isnan(x[some]), values, x[some])
    return drawn


def warn_if_poor(sizes: np.ndarray, argument: str, value: int) -> None:
    """Warns of rows whose importance samples are worth fewer than 20 independent ones.

    Args:
      sizes: effective sample size of each row.
      argument: the argument that would help.
      value: what it is.

    #### Examples

    >>> warn_if_poor(np.array([300.0]), "num_proposals", 500)
    """
    poor = np.flatnonzero(sizes < _FEWEST)
    if len(poor):
        warnings.warn(
            f"In {len(poor)} of {len(sizes)} rows, row {poor[0]} of them first, the {value} draws "
            f"are worth only {sizes[poor].min():.1f} to {sizes[poor].max():.1f} independent ones. "
            f"A higher `{argument}` makes results more exact.",
            PoorSamplesWarning,
            stacklevel=3,
        )


def _batches(rows, num_samples, event_size):
    most = rows_at_once(num_samples, event_size)
    return [rows[start : start + most] for start in range(0, len(rows), most)]
