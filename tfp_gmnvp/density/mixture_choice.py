"""Which mixture: type of covariance, number of components and prior, by cross-validation."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared.arguments import as_tuple, check_choice
from tfp_gmnvp.training.data import distinct_rows

__all__ = [
    "COVARIANCE_FLOOR",
    "MixtureCandidate",
    "check_candidates",
    "choose_mixture",
    "fit_candidate",
    "most_trials",
]

#: Lower bound of the covariances relative to the points' variance; see `maximization`.
COVARIANCE_FLOOR = 1e-6

_NUM_FINALISTS = 6
_TYPES = ("full", "tied", "diag", "spherical")
_SHRINKAGES = (0.0, 0.1, 1.0)


class MixtureCandidate(NamedTuple):
    """A kind of mixture.

    Attributes:
      covariance_type: 'full', 'tied', 'diag' or 'spherical'.
      num_components: K.
      shrinkage: by how much each covariance is drawn to the points' variances V: the prior is worth
        D + 2 points of covariance `shrinkage K^(-2/D) diag(V)` to each component; 0 for no prior.
      held_out: mean log-density of points in folds that the mixture was not fitted to, in nats.

    #### Examples

    >>> MixtureCandidate("full", 3).prior(2) is None
    True
    """

    covariance_type: str
    num_components: int
    shrinkage: float = 0.0
    held_out: float = np.nan

    def prior(self, event_size: int) -> mixtures.Prior | None:
        """The prior that the shrinkage stands for; `None` for none.

        The scale falls with K as in Fraley and Raftery (2007), "Bayesian regularization for
        normal mixture estimation and model-based clustering", section 3.2.

        #### Examples

        >>> MixtureCandidate("full", 1, shrinkage=0.5).prior(2)
        Prior(concentration=1.0, degrees_of_freedom=1.0, scale=2.0)
        """
        if not self.shrinkage:
            return None
        scale = self.shrinkage * (event_size + 2) * self.num_components ** (-2 / event_size)
        return mixtures.Prior(degrees_of_freedom=1.0, scale=scale)


def choose_mixture(
    z: np.ndarray,
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10),
    *,
    covariance_types: Sequence[str] = ("full", "tied", "diag"),
    shrinkages: Sequence[float] = _SHRINKAGES,
    num_folds: int = 5,
    num_divisions: int = 1,
    seed: int,
    report: Callable[[str], None] = lambda what: None,
) -> tuple[MixtureCandidate, ...]:
    """Fits mixtures of all kinds, and scores each on folds that it has not seen.

    The prior goes with 'full' covariances, of which there are the most to estimate.

    Args:
      z: points `[N, D]`.
      num_components: numbers of components to try, ascending; those above N / 8 are left out,
        and the rest of a kind once two in a row are worse than the best before.
      covariance_types: what to try of 'full', 'tied', 'diag' and 'spherical'.
      shrinkages: what to try; see `MixtureCandidate`.
      num_folds: number of folds, from 2 to N.
      num_divisions: how often the points are divided into folds anew; the six candidates that are
        the best by the first division are scored by the mean of all.
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
    numbers_, covariance_types = check_candidates(num_components, covariance_types, len(z))
    rng = np.random.default_rng(seed)
    first, *others = (
        functools.partial(
            _held_out,
            z=z,
            folds=distinct_rows.folds(z, rng.permutation(len(z)), num_folds),
            seed=seed,
            report=report,
        )
        for _ in range(num_divisions)
    )
    scored = []
    for covariance_type in covariance_types:
        for shrinkage in shrinkages if covariance_type == "full" else (0.0,):
            family = [MixtureCandidate(covariance_type, k, shrinkage) for k in numbers_]
            scored += _ascending(first, family)
    scored = _best_first(scored)
    finalists = [
        c._replace(held_out=float(np.mean([c.held_out, *(score(c) for score in others)])))
        for c in scored[:_NUM_FINALISTS]
    ]
    return (*_best_first(finalists), *scored[_NUM_FINALISTS:])


def check_candidates(
    num_components: Iterable[int], covariance_types: Sequence[str], num_points: int
) -> tuple[list[int], tuple[str, ...]]:
    """The numbers of components that so many points can bear, ascending, and types of covariance.

    Args:
      num_components: as in `choose_mixture`.
      covariance_types: as in `choose_mixture`.
      num_points: N.

    Returns:
      The numbers up to N / 8, and the types.

    Raises:
      TypeError: if one is no sequence.
      ValueError: if one holds what will not do, or nothing that will.

    #### Examples

    >>> check_candidates(range(1, 9), ["full"], 20)
    ([1, 2], ('full',))
    """
    found = as_tuple("num_components", num_components)
    if not all(isinstance(k, numbers.Integral) and not isinstance(k, bool) for k in found):
        raise ValueError(f"`num_components` must hold whole numbers, got {list(found)!r}.")
    most = max(1, num_points // 8)
    few = sorted({int(k) for k in found if 1 <= k <= most})
    if not few or min(found) < 1:
        raise ValueError(
            f"`num_components` must hold whole numbers >= 1, one of them from 1 to {most} for "
            f"{num_points} points, got {list(found)!r}."
        )
    types = as_tuple(
        "covariance_types", covariance_types, f"some of {', '.join(map(repr, _TYPES))}"
    )
    for covariance_type in types:
        check_choice("covariance_types", covariance_type, _TYPES)
    if not types:
        raise ValueError("`covariance_types` must hold a type of covariance, got none.")
    return few, tuple(dict.fromkeys(types))


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


def fit_candidate(
    z: np.ndarray, candidate: MixtureCandidate, *, seed, n_init: int = 5
) -> mixtures.MixtureParameters:
    """Fits the mixture in float64 by EM; covariances are at least 1e-6 of the points' variance.

    Args:
      z: points `[N, D]`.
      candidate: the kind of mixture.
      seed: integer or stateless seed `[2]` of the starts.
      n_init: number of starts, the best of which is kept.

    Returns:
      `MixtureParameters`.

    #### Examples

    >>> z = np.array([[0.0], [2.0], [4.0]])
    >>> fit_candidate(z, MixtureCandidate("diag", 1), seed=0).loc.numpy().tolist()
    [[2.0]]
    """
    z = tf.constant(z, tf.float64)
    settings = {"num_iterations": 20, "n_init": n_init, "seed": seed}
    start = em.initial_parameters(z, **settings, **_arguments(candidate, z.shape[1]))
    return _em(candidate, start, num_iterations=200)(z, *start)


def _best_first(candidates) -> list[MixtureCandidate]:
    return sorted(candidates, key=lambda candidate: candidate.held_out, reverse=True)


def _ascending(score, candidates) -> list[MixtureCandidate]:
    """Scores ever more components, until two numbers in a row are worse than the best before."""
    scored, worse, best = [], 0, -np.inf
    for candidate in candidates:
        scored.append(candidate._replace(held_out=score(candidate)))
        worse = 0 if scored[-1].held_out > best else worse + 1
        best = max(best, scored[-1].held_out)
        if worse == 2:
            break
    return scored


def _held_out(candidate, z, folds, seed, report) -> float:
    arguments = _arguments(candidate, z.shape[1])
    total, run = 0.0, None
    for fold in folds:
        others = tf.constant(np.delete(z, fold, axis=0))
        start = em.initial_parameters(others, seed=seed, num_iterations=0, **arguments)
        run = run or _em(candidate, start, num_iterations=50)
        mixture = mixtures.as_mixture(run(others, *start), candidate.covariance_type)
        total += float(tf.reduce_sum(mixture.log_prob(tf.constant(z[fold]))))
    mean = total / len(z)
    report(_description(candidate))
    return mean if np.isfinite(mean) else -np.inf


def _description(candidate) -> str:
    shrinkage = f", shrinkage {candidate.shrinkage:g}" if candidate.shrinkage else ""
    return f"{candidate.covariance_type}, K = {candidate.num_components}{shrinkage}"


def _arguments(candidate, event_size) -> dict:
    """Of `initial_parameters`."""
    return {
        "num_components": candidate.num_components,
        "covariance_type": candidate.covariance_type,
        "covariance_floor": COVARIANCE_FLOOR,
        "prior": candidate.prior(event_size),
    }


def _em(candidate, start, num_iterations):
    """EM from points `[N, D]` and parameters to parameters, of any N: one graph, traced once."""
    event_size = start.loc.shape[1]
    covariance_type, prior = candidate.covariance_type, candidate.prior(event_size)

    def iterate(z, parameters):
        mixture = mixtures.as_mixture(parameters, covariance_type)
        responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, z))
        statistics = em.sufficient_statistics(z, responsibilities, parameters.loc, covariance_type)
        return em.maximization(
            statistics, covariance_type, covariance_floor=COVARIANCE_FLOOR, prior=prior
        )

    @tf.function
    def run(z, *parameters):
        return tf.while_loop(
            lambda p: True,
            lambda p: (iterate(z, p),),
            [mixtures.MixtureParameters(*parameters)],
            maximum_iterations=num_iterations,
        )[0]

    specs = [tf.TensorSpec(part.shape, part.dtype) for part in start]
    return run.get_concrete_function(tf.TensorSpec([None, event_size], tf.float64), *specs)
