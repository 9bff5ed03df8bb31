"""Log-probabilities of cells: integrals of a density over dequantisation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from tfp_gmnvp.density.columns.base import NEAREST

__all__ = ["cell_points", "integrate"]

_MOST_POINTS = 65_536
_NUM_SHIFTS = 8
_FEWEST_NODES = 3
_MOST_GENERATORS = 100


def integrate(
    log_integrand: Callable, num_rows: int, num_dimensions: int, *, num_draws: int, seed
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the log of an integral over the unit cube for each row, with its standard error.

        log of the integral over (0, 1)^J of exp(log_integrand(row, u)) du

    J = 1: Gauss-Legendre quadrature. The error is the difference from half as many nodes.
    J > 1: a lattice of points, shifted at random eight times (Cranley and Patterson 1976,
    "Randomization of number theoretic methods for multiple integration"), and folded by
    u -> 1 - |2u - 1| (Hickernell 2002, "Obtaining O(N^(-2+e)) convergence for lattice quadrature
    rules"). The standard error is that of the eight means. The shifts are those of all rows, so
    that the value of a row does not depend on others.

    Args:
      log_integrand: takes a slice of rows of length n and points `[M, n, J]`; returns `[M, n]`.
      num_rows: N.
      num_dimensions: J; 0 for one evaluation of each row, without error.
      num_draws: number of nodes or points, at least 4.
      seed: of the shifts.

    Returns:
      `(estimate, standard_error)`, `[N]` each, in nats.

    #### Examples

    >>> def log_square(rows, u):
    ...     return 2 * np.log(u[..., 0]) + np.zeros([len(u), rows.stop - rows.start])
    >>> estimate, _ = integrate(log_square, 2, 1, num_draws=8, seed=0)
    >>> np.exp(estimate).round(6).tolist()
    [0.333333, 0.333333]
    """
    rule = (_one_point, _quadrature)[num_dimensions] if num_dimensions < 2 else _shifted_lattice
    size = max(1, _MOST_POINTS // (1 if not num_dimensions else num_draws))
    parts = []
    for start in range(0, num_rows, size):
        rows = slice(start, min(start + size, num_rows))
        parts.append(
            rule(log_integrand, rows, num_dimensions, num_draws, np.random.default_rng(seed))
        )
    estimate, error = (np.concatenate(part) for part in zip(*parts, strict=True))
    return estimate, error


def cell_points(num_points: int, num_dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns points of the unit cube and their weights, for integrals over it.

    They are the nodes of Gauss and Legendre and their products; with more dimensions than allow
    three nodes in each, a folded lattice: see `integrate`.

    Args:
      num_points: P, or a few fewer.
      num_dimensions: J; 0 for a single point.

    Returns:
      u `[P, J]` in (0, 1), and weights `[P]` of sum one.

    #### Examples

    >>> u, weight = cell_points(16, 2)
    >>> u.shape, (weight @ u**2).round(6).tolist()
    ((16, 2), [0.333333, 0.333333])
    """
    if not num_dimensions:
        return np.zeros([1, 0]), np.ones(1)
    num_nodes = int(num_points ** (1 / num_dimensions) + 1e-9)
    if num_nodes >= _FEWEST_NODES:
        nodes, weight = _legendre(num_nodes)
        u = np.stack(np.meshgrid(*[0.5 + 0.5 * nodes] * num_dimensions, indexing="ij"), axis=-1)
        weight = functools.reduce(np.multiply.outer, [0.5 * weight] * num_dimensions)
        return u.reshape(-1, num_dimensions), weight.reshape(-1)
    shifted = _lattice(num_points, num_dimensions) + 0.25 / num_points
    u = np.clip(1 - np.abs(2 * shifted - 1), NEAREST, 1 - NEAREST)
    return u, np.full(num_points, 1 / num_points)


def _one_point(log_integrand, rows, num_dimensions, num_draws, rng):
    (value,) = log_integrand(rows, np.zeros([1, rows.stop - rows.start, 0]))
    return value, np.zeros(len(value))


def _quadrature(log_integrand, rows, num_dimensions, num_draws, rng):
    rules = [_legendre(n) for n in (num_draws, num_draws // 2)]
    nodes = np.concatenate([0.5 + 0.5 * x for x, _ in rules])
    shape = [len(nodes), rows.stop - rows.start, 1]
    values = log_integrand(rows, np.broadcast_to(nodes[:, np.newaxis, np.newaxis], shape))
    fine, coarse = (
        np.logaddexp.reduce(part + np.log(0.5 * weight)[:, np.newaxis])
        for part, (_, weight) in zip(np.split(values, [num_draws]), rules, strict=True)
    )
    with np.errstate(invalid="ignore"):
        error = np.abs(fine - coarse)
    return fine, np.where(fine == coarse, 0.0, error)


def _shifted_lattice(log_integrand, rows, num_dimensions, num_draws, rng):
    num_shifts = min(_NUM_SHIFTS, num_draws // 2)
    num_points, num_rows = num_draws // num_shifts, rows.stop - rows.start
    points = _lattice(num_points, num_dimensions)
    shifts = rng.uniform(size=[num_shifts, 1, 1, num_dimensions])
    u = np.mod(points[:, np.newaxis] + shifts, 1.0).reshape([-1, 1, num_dimensions])
    u = np.broadcast_to(u, [len(u), num_rows, num_dimensions])
    values = log_integrand(rows, np.clip(1 - np.abs(2 * u - 1), NEAREST, 1 - NEAREST))
    values = values.reshape([num_shifts, num_points, num_rows])
    means = np.logaddexp.reduce(values, axis=1) - np.log(num_points)
    estimate = np.logaddexp.reduce(means) - np.log(num_shifts)
    with np.errstate(invalid="ignore"):
        relative = np.exp(means - estimate)
    error = relative.std(axis=0, ddof=1) / np.sqrt(num_shifts)
    return estimate, np.where(np.isfinite(estimate), error, 0.0)


@functools.lru_cache(maxsize=64)
def _legendre(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(num_nodes)


@functools.lru_cache(maxsize=64)
def _lattice(num_points: int, num_dimensions: int) -> np.ndarray:
    """Korobov's lattice `i (1, a, a^2, ...) / n mod 1` of the best a, `[n, J]`.

    The best has the least worst-case error P_2 (Sloan and Joe 1994, "Lattice methods for multiple
    integration", section 4).
    """
    found = []
    for generator in range(1, min(num_points, _MOST_GENERATORS) + 1):
        step = [pow(generator, power, num_points) for power in range(num_dimensions)]
        points = np.mod(np.outer(np.arange(num_points), step) / num_points, 1.0)
        bernoulli = points * points - points + 1 / 6
        found.append((np.prod(1 + 2 * np.pi**2 * bernoulli, axis=1).mean(), generator, points))
    return min(found, key=lambda one: one[:2])[2]
