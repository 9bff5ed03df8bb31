"""How well mixtures describe rows of a column that they were not fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidates, seen_by

__all__ = ["best_kind", "held_out", "is_better"]

_SIZES = (1, 2, 4)
_NUM_FOLDS = 2
_MOST_ROWS = 1000
_FEWEST_ROWS = 20
_LEAST_GAIN = 0.01  # nats a row


def held_out(kind: ColumnKind, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Log-densities of rows under mixtures of one column, by two-fold cross-validation.

    Mixtures have 1, 2 and 4 components, and the best number counts. A discrete kind is
    dequantised once, which bounds the log-probability of its cells from below.

    Args:
      kind: a fitted kind.
      x: numbers of the column `[N]`, none missing; at most 1,000 of them are used.
      weight: of each, `[N]`.

    Returns:
      `log g(z) + log|dz/dx|`, or `log g(z) + log dz/du`, of each row that is used.

    #### Examples

    >>> from tfp_gmnvp.density.columns.positive import Positive
    >>> from tfp_gmnvp.density.columns.real import Real
    >>> x = np.random.default_rng(0).lognormal(size=200)
    >>> gains = held_out(Positive(transform="log"), x, np.ones(200)) - held_out(
    ...     Real(), x, np.ones(200))
    >>> bool(gains.mean() > 0.05)
    True
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))[:_MOST_ROWS]
    x, weight = x[order], weight[order]
    z, log_scale = kind.place(x, rng.uniform(size=len(x)))
    folds = np.array_split(np.arange(len(x)), _NUM_FOLDS)
    sizes = [k for k in _SIZES if k == 1 or len(x) >= 2 * _FEWEST_ROWS * k]
    seen = np.tile(seen_by(folds, len(x)) * weight, [len(sizes), 1])
    kinds = [MixtureCandidate("diag", k) for k in sizes for _ in folds]
    fits = fit_candidates(
        z[:, np.newaxis], seen, kinds, seeds=[(0,)] * len(kinds), num_iterations=50
    )
    scores = np.empty([len(sizes), len(x)])
    for i, fit in enumerate(fits):
        size, fold = divmod(i, _NUM_FOLDS)
        scores[size, folds[fold]] = _log_density(z[folds[fold]], fit)
    return scores[np.argmax(scores @ weight)] + log_scale


def best_kind(
    kinds: Sequence[ColumnKind], x: np.ndarray, weight: np.ndarray
) -> tuple[ColumnKind, np.ndarray]:
    """Returns the kind that describes held-out rows best, and its scores; see `held_out`.

    #### Examples

    >>> from tfp_gmnvp.density.columns.real import Real
    >>> best_kind([Real()], np.arange(9.0), np.ones(9))[0]
    Real()
    """
    scores = [held_out(kind, x, weight) for kind in kinds]
    best = int(np.argmax([score.mean() for score in scores]))
    return kinds[best], scores[best]


def is_better(scores: np.ndarray, others: np.ndarray) -> tuple[bool, float]:
    """Whether scores are higher by two standard errors and 0.01 nats; and by how much.

    #### Examples

    >>> is_better(np.array([2.0, 2.1, 1.9]), np.zeros(3))
    (True, 2.0)
    """
    difference = scores - others
    gain = float(difference.mean())
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return bool(gain > max(2 * error, _LEAST_GAIN)), gain


def _log_density(z, fit) -> np.ndarray:
    loc, variance = fit.loc[:, 0], fit.covariance[:, 0]
    logs = np.log(fit.probs) - 0.5 * np.log(2 * np.pi * variance)
    return np.logaddexp.reduce(logs - 0.5 * np.square(z[:, np.newaxis] - loc) / variance, axis=1)
