"""Chooses a mixture by cross-validation: covariance type, number of components, prior."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.density.many_mixtures import STRUCTURES
from tfp_gmnvp.density.mixture_candidates import (
    POINTS_EACH,
    MixtureCandidate,
    check_candidates,
    fit_candidates,
    seen_by,
)
from tfp_gmnvp.training.data import distinct_rows

__all__ = ["choose_mixture", "most_trials"]

_NUM_FINALISTS = 6
# Of each mixture; one start alone is often a poor one, and luck then chooses.
_EFFORT = {"num_starts": 3, "num_iterations": 50}
_EFFORT_IF_INCOMPLETE = {"num_starts": 1, "num_iterations": 25}  # an iteration takes longer
_WORK_AT_ONCE = 2**25  # features of points, for all components of the mixtures fitted together
_SHRINKAGES = (0.0, 0.1, 1.0)


def choose_mixture(
    z: np.ndarray,
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10),
    *,
    covariance_types: Sequence[str] = ("full", "tied", "diag"),
    shrinkages: Sequence[float] = _SHRINKAGES,
    num_folds: int = 5,
    num_divisions: int = 1,
    points_each: int = POINTS_EACH,
    sample_weight: np.ndarray | None = None,
    seed: int,
    report: Callable[[str], None] = lambda what: None,
) -> tuple[MixtureCandidate, ...]:
    """Fits mixtures of all kinds, and scores each on folds that it has not seen.

    The prior goes with 'full' covariances, of which there are the most to estimate.

    Args:
      z: points `[N, D]`; NaN where an entry is missing, and then what is scored is the density of
        the others.
      num_components: numbers of components to try, ascending; those above N / `points_each` are
        left out, and the rest of a kind once two in a row are worse than the best before.
      covariance_types: what to try of 'full', 'tied', 'diag' and 'spherical'.
      shrinkages: what to try; see `MixtureCandidate`.
      num_folds: number of folds, at least 2; N if there are fewer points.
      num_divisions: how often the points are divided into folds anew; the six candidates that are
        the best by the first division are scored by the mean of all.
      points_each: see `check_candidates`.
      sample_weight: positive weights `[N]` of the points, in the fits and in the scores; `None`
        for ones.
      seed: integer seed of the folds and of the mixtures' starts.
      report: gets the description of each candidate that was tried.

    Returns:
      The candidates, the best first, but for those after the sixth, which stay behind it.

    Raises:
      ValueError: if no number of components is left, or a type of covariance is unknown.

    #### Examples

    >>> z = np.random.default_rng(0).normal(size=[60, 2]) + np.repeat([[-9], [9]], 30, axis=0)
    >>> best, *_ = choose_mixture(z, [1, 2], covariance_types=["full"], shrinkages=[0.0], seed=0)
    >>> best.num_components
    2
    """
    z = np.asarray(z, np.float64)
    numbers_, covariance_types = check_candidates(
        num_components, covariance_types, len(z), points_each
    )
    num_folds = min(num_folds, len(z))
    rng = np.random.default_rng(seed)
    first, *others = (
        _Division(
            z,
            sample_weight,
            distinct_rows.folds(z, rng.permutation(len(z)), num_folds),
            (seed, number),
        )
        for number in range(num_divisions)
    )
    scored = []
    for covariance_type in covariance_types:
        of_type = shrinkages if covariance_type == "full" else (0.0,)
        families = [[MixtureCandidate(covariance_type, k, s) for k in numbers_] for s in of_type]
        score = functools.partial(first.scored, report=report)
        scored += _ascending(score, families, first.work(covariance_type))
    scored = _best_first(scored)
    finalists = scored[:_NUM_FINALISTS]
    again = [_by_type(division.scored, finalists, report) for division in others]
    finalists = [
        one._replace(held_out=float(np.mean([one.held_out, *(c.held_out for c in of_others)])))
        for one, *of_others in zip(finalists, *again, strict=True)
    ]
    return (*_best_first(finalists), *scored[_NUM_FINALISTS:])


def most_trials(
    num_components: Sequence[int], covariance_types: Sequence[str], num_divisions
) -> int:
    """How many candidates `choose_mixture` tries at most, each division into folds counted.

    #### Examples

    >>> most_trials([1, 2], ["full", "diag"], num_divisions=1)
    8
    """
    families = sum(len(_SHRINKAGES) if kind == "full" else 1 for kind in covariance_types)
    first = families * len(num_components)
    return first + (num_divisions - 1) * min(first, _NUM_FINALISTS)


class _Division(NamedTuple):
    """A division of points into folds."""

    z: np.ndarray
    weight: np.ndarray | None
    folds: list[np.ndarray]
    seed: tuple[int, ...]

    def work(self, covariance_type) -> int:
        """Number of features of points for one component, over all folds."""
        return len(self.folds) * STRUCTURES[covariance_type].features(self.z[:1]).size * len(self.z)

    def scored(self, candidates, report) -> list[MixtureCandidate]:
        """Candidates of one type of covariance with their mean log-density of held-out points."""
        fits = fit_candidates(
            self.z,
            np.tile(seen_by(self.folds, len(self.z), self.weight), [len(candidates), 1]),
            [candidate for candidate in candidates for _ in self.folds],
            seeds=[(*self.seed, fold) for _ in candidates for fold in range(len(self.folds))],
            **(_EFFORT_IF_INCOMPLETE if np.isnan(self.z).any() else _EFFORT),
        )
        scored = []
        for number, candidate in enumerate(candidates):
            own = fits[number * len(self.folds) : (number + 1) * len(self.folds)]
            log_prob = np.empty(len(self.z))
            for fit, rows in zip(own, self.folds, strict=True):
                log_prob[rows] = fit.log_prob[rows]
            mean = float(np.average(log_prob, weights=self.weight))
            scored.append(candidate._replace(held_out=mean if np.isfinite(mean) else -np.inf))
            report(candidate.description)
        return scored


def _ascending(score, families, work: int) -> list[MixtureCandidate]:
    """Scores ever more components, until two numbers in a row are worse than the best before.

    Args:
      score: of candidates.
      families: candidates by number of components, ascending, of each prior.
      work: of one component; as many numbers as are little of it are tried together.
    """
    scored, open_ = [], [[list(family), []] for family in families]
    while open_:
        numbers_ = np.array([candidate.num_components for candidate in open_[0][0]])
        most = _WORK_AT_ONCE // (work * len(open_))
        size = max(1, int(np.sum(np.cumsum(numbers_) <= most)))
        found = iter(score([c for family, _ in open_ for c in family[:size]]))
        still_open = []
        for family, before in open_:
            tried = before + [next(found) for _ in family[:size]]
            kept, is_over = _until_two_are_worse(tried)
            if is_over or not family[size:]:
                scored += kept
            else:
                still_open.append([family[size:], tried])
        open_ = still_open
    return scored


def _until_two_are_worse(scored):
    """Candidates up to the second in a row that is worse than the best, and if there is one."""
    best, worse = -np.inf, 0
    for number, candidate in enumerate(scored, 1):
        worse = 0 if candidate.held_out > best else worse + 1
        best = max(best, candidate.held_out)
        if worse == 2:
            return scored[:number], True
    return scored, False


def _by_type(score, candidates, report):
    """Scores candidates of any types, and keeps their order."""
    scored = {}
    for covariance_type in dict.fromkeys(c.covariance_type for c in candidates):
        own = [c for c in candidates if c.covariance_type == covariance_type]
        scored |= {c[:3]: one for c, one in zip(own, score(own, report), strict=True)}
    return [scored[c[:3]] for c in candidates]


def _best_first(candidates) -> list[MixtureCandidate]:
    return sorted(candidates, key=lambda candidate: candidate.held_out, reverse=True)
