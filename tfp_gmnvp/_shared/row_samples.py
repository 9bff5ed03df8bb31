"""Random samples of rows."""

from __future__ import annotations

import numpy as np

from tfp_gmnvp._shared.array_checks import check_some_weight

__all__ = ["row_numbers"]


def row_numbers(num_rows: int, *, size: int, seed, y=None, sample_weight=None) -> np.ndarray:
    """Draws the sorted indices of a sample of rows with positive weight, plus labelled rows.

    #### Examples

    >>> row_numbers(4, size=9, seed=0, sample_weight=[1, 0, 2, 0]).tolist()
    [0, 2]
    >>> len(row_numbers(10**12, size=9, seed=0))
    9
    """
    rng = np.random.default_rng(seed)
    if sample_weight is None:
        rows = _choice(rng, num_rows, size)
        has_weight = True
    else:
        weights = np.asarray(sample_weight).reshape(-1)
        check_some_weight(weights)
        has_weight = weights > 0
        found = np.flatnonzero(has_weight)
        rows = found[_choice(rng, len(found), size)]
    if y is not None and np.size(y):  # `no_labels` has no entries
        labelled = np.flatnonzero((np.asarray(y).reshape(-1) >= 0) & has_weight)
        rows = np.union1d(rows, labelled[_choice(rng, len(labelled), size)])
    return rows


def _choice(rng, num_rows, size):
    if num_rows <= size:
        return np.arange(num_rows)
    return np.sort(rng.choice(num_rows, size, replace=False, shuffle=False))
