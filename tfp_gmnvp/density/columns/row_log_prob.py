"""Log-probabilities of rows in the table's units, by a density of real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfp_gmnvp.density.columns import cells, rows
from tfp_gmnvp.density.columns.base import ColumnKind

__all__ = ["log_prob_of_rows"]


def log_prob_of_rows(
    kinds: Sequence[ColumnKind],
    log_density: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    *,
    num_draws: int,
    seed,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrates a density over cells, and sums it over windings; see `ColumnKinds.log_prob`.

    Args:
      kinds: of the D columns, fitted.
      log_density: takes real numbers z `[M, D]`, and of which row of x each is, `[M]`; returns the
        log-density of z, `[M]`, which may depend on the row.
      x: numbers of rows `[N, D]`, NaN where missing.
      num_draws: points in each row's cell, at least 4.
      seed: of the points.

    Returns:
      `(estimate, standard_error)`, `[N]` each, in nats.

    Raises:
      ValueError: if the log-density has another shape, or is NaN.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Real
    >>> minus = lambda z, row: -z[:, 0] - 10 * row
    >>> log_prob_of_rows([Real()], minus, np.array([[1.0], [2.0]]), num_draws=4, seed=0)[0].tolist()
    [-1.0, -12.0]
    """
    windings = rows.windings(kinds)

    def log_integrand(some, u):
        repeated = np.broadcast_to(x[some], [len(u), *x[some].shape])
        number = np.tile(np.arange(some.start, some.stop), len(u))
        z, log_scale = rows.place(kinds, repeated, u)
        summed = rows.wrapped(lambda flat: log_density(flat, number), z, windings)
        return log_scale.sum(axis=-1) + summed

    dimensions = sum(kind.is_discrete for kind in kinds)
    return cells.integrate(log_integrand, len(x), dimensions, num_draws=num_draws, seed=seed)
