"""Kinds of mixtures to choose among, and how one is fitted."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import mixtures
from tfp_gmnvp._shared.arguments import as_tuple, check_choice
from tfp_gmnvp.density.many_mixtures import STRUCTURES, Fit, fit_many
from tfp_gmnvp.density.missing.fits import fit_many_incomplete

__all__ = [
    "COVARIANCE_FLOOR",
    "POINTS_EACH",
    "MixtureCandidate",
    "check_candidates",
    "fit_candidate",
    "fit_candidates",
    "seen_by",
]

#: Lower bound of the covariances relative to the points' variance; see `maximization`.
COVARIANCE_FLOOR = 1e-6

#: Points for each component of a mixture that is tried unasked.
POINTS_EACH = 8

_TOLERANCE = 1e-5  # nats per point
_TYPES = tuple(STRUCTURES)


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
        """The prior of this shrinkage, or `None`.

        The scale falls with K as in Fraley and Raftery (2007), "Bayesian regularization for
        normal mixture estimation and model-based clustering", section 3.2.

        #### Examples

        >>> MixtureCandidate("full", 1, shrinkage=0.5).prior(2)
        Prior(concentration=1.0, degrees_of_freedom=1.0, scale=2.0)
        """
        points, scale = self.pseudo_points(event_size)
        if not points:
            return None
        return mixtures.Prior(degrees_of_freedom=points - event_size - 1, scale=scale)

    def pseudo_points(self, event_size: int) -> tuple[float, float]:
        """The prior's weight in points, and its scatter relative to the points' variance.

        #### Examples

        >>> MixtureCandidate("full", 1, shrinkage=0.5).pseudo_points(2)
        (4.0, 2.0)
        """
        if not self.shrinkage:
            return 0.0, 0.0
        points = event_size + 2.0
        return points, self.shrinkage * points * self.num_components ** (-2 / event_size)

    @property
    def description(self) -> str:
        """Describes the candidate in words.

        #### Examples

        >>> MixtureCandidate("full", 3, shrinkage=0.1).description
        'full, K = 3, shrinkage 0.1'
        """
        shrinkage = f", shrinkage {self.shrinkage:g}" if self.shrinkage else ""
        return f"{self.covariance_type}, K = {self.num_components}{shrinkage}"


def check_candidates(
    num_components: Iterable[int],
    covariance_types: Sequence[str],
    num_points: int,
    points_each: int = POINTS_EACH,
) -> tuple[list[int], tuple[str, ...]]:
    """The numbers of components that so many points can bear, ascending, and types of covariance.

    Args:
      num_components: as in `choose_mixture`.
      covariance_types: as in `choose_mixture`.
      num_points: N.
      points_each: how many points there must be for each component.

    Returns:
      The numbers up to N / `points_each`, and the types.

    Raises:
      TypeError: if one is no sequence.
      ValueError: if one is invalid, or there is none.

    #### Examples

    >>> check_candidates(range(1, 9), ["full"], 20)
    ([1, 2], ('full',))
    """
    found = as_tuple("num_components", num_components)
    if not all(isinstance(k, numbers.Integral) and not isinstance(k, bool) for k in found):
        raise ValueError(f"`num_components` must hold whole numbers, got {list(found)!r}.")
    most = max(1, num_points // points_each)
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


def fit_candidate(
    z: np.ndarray, candidate: MixtureCandidate, *, seed, n_init: int = 10, sample_weight=None
) -> mixtures.MixtureParameters:
    """Fits the mixture in float64 by EM; covariances are at least 1e-6 of the points' variance.

    Args:
      z: points `[N, D]`.
      candidate: the kind of mixture.
      seed: integer or stateless seed `[2]` of the starts.
      n_init: number of starts, the best of which is kept.
      sample_weight: positive weights `[N]`; `None` for ones.

    Returns:
      `MixtureParameters`.

    #### Examples

    >>> z = np.array([[0.0], [2.0], [4.0]])
    >>> fit_candidate(z, MixtureCandidate("diag", 1), seed=0).loc.numpy().tolist()
    [[2.0]]
    """
    z = np.asarray(z, np.float64)
    one = (seed,) if np.ndim(seed) == 0 else tuple(np.asarray(seed).tolist())
    (fit,) = fit_candidates(
        z,
        np.ones([1, len(z)]) if sample_weight is None else sample_weight[np.newaxis],
        [candidate],
        seeds=[one],
        num_starts=n_init,
        num_first_iterations=20,
        num_iterations=200,
    )
    return tf.nest.map_structure(
        tf.constant, mixtures.MixtureParameters(fit.probs, fit.loc, fit.covariance)
    )


def fit_candidates(
    z: np.ndarray,
    weight: np.ndarray,
    candidates: Sequence[MixtureCandidate],
    *,
    seeds: Sequence[tuple[int, ...]],
    **arguments,
) -> list[Fit]:
    """Fits candidates of one type of covariance side by side; other arguments are of `fit_many`.

    Entries of z that are NaN are missing; see `fit_many_incomplete`.

    #### Examples

    >>> z, candidates = np.array([[0.0], [2.0]]), [MixtureCandidate("diag", 1)]
    >>> (fit,) = fit_candidates(z, np.ones([1, 2]), candidates, seeds=[(0,)], num_iterations=9)
    >>> fit.loc.tolist()
    [[1.0]]
    """
    points, scale = zip(*(c.pseudo_points(z.shape[1]) for c in candidates), strict=True)
    fit = fit_many_incomplete if np.isnan(z).any() else fit_many
    return fit(
        z,
        weight,
        [candidate.num_components for candidate in candidates],
        candidates[0].covariance_type,
        prior_points=points,
        prior_scale=scale,
        covariance_floor=COVARIANCE_FLOOR,
        seeds=seeds,
        tolerance=_TOLERANCE,
        **arguments,
    )


def seen_by(
    folds: Sequence[np.ndarray], num_points: int, sample_weight: np.ndarray | None = None
) -> np.ndarray:
    """Weights of points in each fold's mixture, which is fitted to all other folds.

    Args:
      folds: the numbers of the points in each fold.
      num_points: N.
      sample_weight: weights `[N]` of the points in all other mixtures; `None` for ones.

    Returns:
      Zeros and weights `[num_folds, N]`.

    #### Examples

    >>> seen_by([np.array([0, 2]), np.array([1])], 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    weight = np.ones([len(folds), num_points])
    if sample_weight is not None:
        weight *= sample_weight
    for row, fold in zip(weight, folds, strict=True):
        row[fold] = 0.0
    return weight
