"""Checks of tables whose entries may be missing."""

from __future__ import annotations

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp._shared import array_checks, tables
from tfp_gmnvp.flows import columns, on_arrays

__all__ = ["checked_incomplete", "checked_rows"]

tfd = tfp.distributions


def checked_incomplete(x, name: str = "x", *, event_size: int | None = None) -> np.ndarray:
    """Checks an array or table in which NaN means missing.

    Args:
      x: `[N, D]`, N >= 1.
      name: what it is called in errors.
      event_size: D, if it is known.

    Returns:
      A float64 array `[N, D]`.

    Raises:
      TypeError: if it does not hold numbers.
      ValueError: if it has another shape, or holds infinity.

    #### Examples

    >>> checked_incomplete([[0.0, np.nan]]).tolist()
    [[0.0, nan]]
    """
    x = np.asarray(tables.as_array(x, name))
    array_checks.check_dtype(name, x)
    if x.ndim != 2 or not x.size or event_size not in (None, x.shape[1]):
        size = "D" if event_size is None else event_size
        raise ValueError(f"`{name}` must have shape [N, {size}], N >= 1, got {list(x.shape)}.")
    x = x.astype(np.float64)
    must_be = "finite numbers, or NaN where an entry is missing,"
    array_checks.check_rows(name, x, lambda rows: ~np.isinf(rows), must_be)
    return x


def checked_rows(flow: tfd.TransformedDistribution, x, name: str = "x") -> np.ndarray:
    """Checks a table of a flow's columns, in which NaN means missing; see `checked_incomplete`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> checked_rows(gaussian_mixture_flow(2, seed=0), [[0.0, np.nan]]).tolist()
    [[0.0, nan]]
    """
    size = on_arrays.event_size(flow)
    return checked_incomplete(columns.as_array(x, name, flow), name, event_size=size)
