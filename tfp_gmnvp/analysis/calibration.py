"""Calibration of a classifier's probabilities: confidence against accuracy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.array_checks import as_array, check_dtype, check_labels, check_rows

__all__ = ["Reliability", "calibration_error", "reliability"]

_ROUNDING = 1e-3  # of a sum of probabilities, also in float16


class Reliability(NamedTuple):
    """Confidence and accuracy by bins of the confidence; empty bins are left out.

    Attributes:
      confidence: mean probability of the predicted class, `[B]`.
      accuracy: share of correct predictions, `[B]`.
      count: number of points, `[B]`.

    #### Examples

    >>> Reliability([0.9], [1.0], [4]).count
    [4]
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def reliability(probs, labels, *, num_bins: int = 10, equal_mass: bool = False) -> Reliability:
    """Computes the accuracy of predictions by their confidence: a reliability diagram.

    Args:
      probs: probabilities p(k | x), `[N, K]`, for example `posterior(flow, x).probs_parameter()`.
      labels: integers `[N]` in -1 .. K-1; points without a label, -1, are left out.
      num_bins: number of bins of [0, 1].
      equal_mass: whether the bins hold equally many points, rather than being equally wide.

    Returns:
      A `Reliability`, the least confident bin first.

    Raises:
      TypeError: if `probs` or `labels` do not hold numbers.
      ValueError: if shapes do not fit, rows of `probs` are not in [0, 1] or do not sum to one,
        `labels` holds anything but -1 .. K-1, or no labels, or `num_bins` is below one.

    #### Examples

    >>> probs = [[0.8, 0.2], [0.75, 0.25], [0.4, 0.6], [0.3, 0.7]]
    >>> curve = reliability(probs, [0, 1, 1, 1], num_bins=2)
    >>> curve.confidence.round(4).tolist(), curve.accuracy.tolist(), curve.count.tolist()
    ([0.7125], [0.75], [4])
    """
    check_whole_number("num_bins", num_bins)
    probs, labels = _checked(probs, labels)
    probs, labels = probs[labels >= 0], labels[labels >= 0]
    if not len(labels):
        raise ValueError("`labels` must hold a label, 0 .. K-1, for at least one point, got none.")
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    if equal_mass:
        edges = np.quantile(confidence, edges)
    bins = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(bins, minlength=num_bins)
    kept = count > 0
    return Reliability(
        *(
            np.bincount(bins, weights=values, minlength=num_bins)[kept] / count[kept]
            for values in (confidence, correct)
        ),
        count[kept],
    )


def calibration_error(probs, labels, *, num_bins: int = 10, equal_mass: bool = False) -> float:
    """Computes the expected calibration error.

        ECE = sum_b (N_b / N) |accuracy_b - confidence_b|

    (Guo et al. 2017, "On calibration of modern neural networks", eq. 3).

    Args:
      probs: see `reliability`.
      labels: see `reliability`.
      num_bins: see `reliability`.
      equal_mass: see `reliability`.

    Returns:
      A number in [0, 1].

    Raises:
      ValueError: as `reliability`.

    #### Examples

    >>> round(calibration_error([[0.8, 0.2], [0.4, 0.6]], [0, 1]), 3)
    0.3
    """
    curve = reliability(probs, labels, num_bins=num_bins, equal_mass=equal_mass)
    return float(np.average(np.abs(curve.accuracy - curve.confidence), weights=curve.count))


def _checked(probs, labels):
    """Checks probabilities and labels, and returns arrays, float64 `[N, K]` and `[N]`."""
    probs, labels = np.asarray(as_array(probs, "probs")), np.asarray(as_array(labels, "labels"))
    check_dtype("probs", probs)
    check_dtype("labels", labels)
    probs = probs.astype(float)
    if probs.ndim != 2 or not probs.shape[1] or labels.shape != probs.shape[:1]:
        raise ValueError(
            "`probs` must have shape [N, K] and `labels` [N], got shapes "
            f"{probs.shape} and {labels.shape}."
        )

    def is_share(values):
        return (values >= -_ROUNDING) & (values <= 1 + _ROUNDING)  # False for NaN

    check_rows("probs", probs, is_share, "probabilities, in [0, 1]")
    check_rows(
        "probs",
        probs,
        lambda rows: np.abs(rows.sum(axis=1) - 1) <= _ROUNDING,
        "rows that sum to one, the probabilities of all K classes",
        hint=" Apply a softmax to logits.",
    )
    check_labels(labels, probs.shape[1], name="labels", hint="")
    return probs, labels
