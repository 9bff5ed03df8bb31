"""How well two clusterings of the same points agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["adjusted_rand_index", "normalized_mutual_information"]


def adjusted_rand_index(labels: Sequence, predicted: Sequence) -> float:
    """The share of pairs of points on which two clusterings agree, chance taken off.

        ARI = (sum_ij C(n_ij, 2) - e) / ((a + b) / 2 - e),    e = a b / C(N, 2)
        a = sum_i C(n_i., 2),    b = sum_j C(n_.j, 2)

    n_ij is the number of points in cluster i of the one and j of the other (Hubert and Arabie
    1985, eq. 5). It is 1 for the same clusters, however they are called, and 0 on average for
    random ones of the same sizes.

    Args:
      labels: a label for each of N points, of any type.
      predicted: likewise.

    Returns:
      A float, at most 1.

    Raises:
      ValueError: if the two are not one label a point of the same points.

    #### Examples

    >>> adjusted_rand_index([0, 0, 1, 1], ["b", "b", "a", "a"])
    1.0
    >>> round(adjusted_rand_index([0, 0, 1, 1], [0, 0, 1, 2]), 4)
    0.5714
    """
    counts = _contingency(labels, predicted)
    together, a, b, pairs = (
        _num_pairs(n) for n in (counts, counts.sum(axis=1), counts.sum(axis=0), counts.sum())
    )
    if together == a == b:  # the same clusters
        return 1.0
    # Multiplied by C(N, 2), so that all is exact in Python's integers but one division.
    return (2 * (together * pairs - a * b)) / ((a + b) * pairs - 2 * a * b)


def normalized_mutual_information(labels: Sequence, predicted: Sequence) -> float:
    """The information that two clusterings share, relative to the mean of their entropies.

        NMI = I(U; V) / ((H(U) + H(V)) / 2)

    (Kvalseth 1987; Strehl and Ghosh 2002 with the arithmetic mean.) It is 1 for the same clusters,
    however they are called, and 0 for independent ones. Chance is not taken off: more clusters
    score higher.

    Args:
      labels: a label for each of N points, of any type.
      predicted: likewise.

    Returns:
      A float in [0, 1].

    Raises:
      ValueError: if the two are not one label a point of the same points.

    #### Examples

    >>> round(normalized_mutual_information([0, 0, 1, 1], [5, 5, 3, 3]), 12)
    1.0
    >>> round(normalized_mutual_information([0, 0, 1, 1], [0, 1, 0, 1]), 12)
    0.0
    """
    joint = _contingency(labels, predicted)
    joint = joint / joint.sum()
    of_labels, of_predicted = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    if of_labels == of_predicted == 0.0:  # one cluster each
        return 1.0
    information = of_labels + of_predicted - _entropy(joint)
    return float(np.clip(2.0 * information / (of_labels + of_predicted), 0.0, 1.0))


def _contingency(labels, predicted):
    """How many points are in cluster i of the one and j of the other, int64 `[I, J]`."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or labels.shape != predicted.shape or not len(labels):
        raise ValueError(
            "`labels` and `predicted` must have the same shape [N], one label a point, got "
            f"{list(labels.shape)} and {list(predicted.shape)}."
        )
    rows, i = np.unique(labels, return_inverse=True)
    columns, j = np.unique(predicted, return_inverse=True)
    counts = np.bincount(i * len(columns) + j, minlength=len(rows) * len(columns))
    return counts.reshape(len(rows), len(columns))


def _num_pairs(counts) -> int:
    return int(np.sum(counts * (counts - 1) // 2))


def _entropy(probs) -> float:
    positive = probs[probs > 0]
    return float(-np.sum(positive * np.log(positive)))
