"""Estimates cheaply, before any training, whether a flow could improve on a mixture.

A flow that starts as the identity moves points by a small field v first, and so changes

    log p(z)  by  A v(z) = div v(z) + v(z)^T grad log p(z)

which has the mean zero for every v if p is the points' density. Of all smooth fields the best one
has a closed form: with the kernel k_p(z, y) = A_z A_y k(z, y), k Gaussian, it is

    A v = sum_n c_n k_p(., z_n),    (k_p(z_n, z_m) + N lambda I) c = 1

which maximizes the mean of A v - (A v)^2 / 2 less lambda |v|^2 / 2. Held-out points say what it is
worth.

#### References

Liu, Lee and Jordan 2016, "A kernelized Stein discrepancy for goodness-of-fit tests".
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidates, seen_by
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training.data import distinct_rows

__all__ = ["first_gain", "may_pay_off", "stein_kernel"]

_NUM_FOLDS = 5
_RIDGE = 3.0  # lambda
_WIDTHS = (0.1, 0.3)  # squares, relative to the median squared distance; the kernels are added
_LEAST = 0.05  # of 1 + A v, which is a density's ratio

# Thirty tables of 120 to 1,000 rows, and fresh rows to judge by: below a first gain of a hundredth
# of a nat flows gained some 0.01 nats at most, or less than two standard errors, while circles,
# spirals and pinwheels are above, by more than two standard errors, at 300 rows, too. With fewer
# than 150 rows to train on none gained at all.
_FEWEST_ROWS, _MOST_ROWS = 150, 1000
_LEAST_GAIN = 0.01


def may_pay_off(
    z: np.ndarray,
    num_train: int,
    candidate: MixtureCandidate,
    *,
    seed: int,
    sample_weight: np.ndarray | None = None,
) -> bool:
    """Decides whether to train a flow over a mixture.

    Few rows are looked at first; from a thousand on there is enough to learn from.

    Args:
      z: points `[N, D]`.
      num_train: how many of them a flow would be trained on.
      candidate: the kind of mixture.
      seed: integer seed.
      sample_weight: positive weights `[N]`; `None` for ones.

    #### Examples

    >>> z = np.random.default_rng(0).normal(size=[200, 2])
    >>> may_pay_off(z, 160, MixtureCandidate("diag", 1), seed=0)
    False
    """
    if num_train < _FEWEST_ROWS or len(z) > _MOST_ROWS:
        return num_train >= _FEWEST_ROWS
    gain = first_gain(z, candidate, seed=seed, sample_weight=sample_weight)
    return bool(gain.estimate > max(_LEAST_GAIN, 2 * gain.standard_error))


def first_gain(
    z: np.ndarray,
    candidate: MixtureCandidate,
    *,
    seed: int,
    sample_weight: np.ndarray | None = None,
) -> MonteCarloEstimate:
    """Held-out gain of the best small step of a flow over a mixture.

    Args:
      z: points `[N, D]`.
      candidate: the kind of mixture, which is fitted to all folds but one, each in turn.
      seed: integer seed of the folds and starts.
      sample_weight: positive weights `[N]`; `None` for ones. In the equations above a row of weight
        w stands w times, which is lambda / w in its place on the diagonal.

    Returns:
      The gain, in nats per point, with its standard error.

    #### Examples

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=[200, 2])
    >>> gain = first_gain(z, MixtureCandidate("diag", 1), seed=0)
    >>> gain.estimate > 2 * gain.standard_error
    False
    >>> bent = z + np.square(z[:, ::-1]) * [0.0, 1.0]
    >>> gain = first_gain(bent, MixtureCandidate("diag", 1), seed=0)
    >>> gain.estimate > 2 * gain.standard_error
    True
    """
    order = np.random.default_rng(seed).permutation(len(z))
    folds = distinct_rows.folds(z, order, _NUM_FOLDS)
    fits = fit_candidates(
        z,
        seen_by(folds, len(z), sample_weight),
        len(folds) * [candidate],
        seeds=[(seed, fold) for fold in range(len(folds))],
        num_starts=3,
        num_iterations=100,
    )
    widths = [width * _median_squared_distance(z) for width in _WIDTHS]
    weight = np.ones(len(z)) if sample_weight is None else sample_weight
    gain = np.empty(len(z))
    for fold, fit in zip(folds, fits, strict=True):
        parameters = mixtures.MixtureParameters(*map(tf.constant, fit[:3]))
        mixture = mixtures.as_mixture(parameters, candidate.covariance_type)
        scores = tfp.math.value_and_gradient(mixture.log_prob, tf.constant(z))[1].numpy()
        others = np.delete(np.arange(len(z)), fold)
        kernel = sum(stein_kernel(z, scores, z[others], scores[others], w) for w in widths)
        ridge = weight[others].sum() * _RIDGE * np.diag(1 / weight[others])
        coefficients = np.linalg.solve(kernel[others] + ridge, np.ones(len(others)))
        gain[fold] = np.log(np.maximum(1.0 + kernel[fold] @ coefficients, _LEAST))
    return mean_estimate(gain, sample_weight)


def stein_kernel(
    z: np.ndarray, score_of_z: np.ndarray, y: np.ndarray, score_of_y: np.ndarray, width: float
) -> np.ndarray:
    """A_z A_y k(z, y) for k = exp(-|z - y|^2 / (2 width)).

    Args:
      z: points `[N, D]`.
      score_of_z: grad log p there, `[N, D]`.
      y: points `[M, D]`.
      score_of_y: grad log p there, `[M, D]`.
      width: the square of a distance.

    Returns:
      An array `[N, M]`.

    #### Examples

    >>> zero = np.zeros([1, 2])
    >>> stein_kernel(zero, zero, zero, zero, width=0.5).tolist()
    [[4.0]]
    """
    squared = _squared_distances(z, y)
    along = (score_of_z * z).sum(axis=1)[:, np.newaxis] + (score_of_y * y).sum(axis=1)
    along -= score_of_z @ y.T + z @ score_of_y.T  # (s_z - s_y)^T (z - y)
    bracket = score_of_z @ score_of_y.T + (along + z.shape[1] - squared / width) / width
    return np.exp(-0.5 * squared / width) * bracket


def _squared_distances(z, y):
    squares = np.square(z).sum(axis=1)[:, np.newaxis] + np.square(y).sum(axis=1)
    return np.maximum(squares - 2 * z @ y.T, 0.0)


def _median_squared_distance(z):
    some = z[:300]
    return max(float(np.median(_squared_distances(some, some))), 1e-6)
