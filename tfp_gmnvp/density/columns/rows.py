"""Rows of a table as numbers, and these as real numbers, for the kinds of all columns."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from tfp_gmnvp._shared.tables import column_names, shown_names
from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.columns.reading import Column, read_columns

__all__ = ["SupportWarning", "checked", "numbers", "place", "windings", "wrapped"]

_MOST_CIRCULAR = 4


class SupportWarning(UserWarning):
    """Values are not of the kind that was detected when the table was fitted."""


def checked(
    X, kinds: Sequence[ColumnKind], names: Sequence[str | int], optional: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Checks a table, and returns its numbers.

    Args:
      X: the table.
      kinds: of its columns, fitted.
      names: of its columns.
      optional: numbers of columns whose values need not be of their kinds.

    Returns:
      Numbers x `[N, D]`, NaN where missing; and whether each entry is of its kind, `[N, D]`. Those
      that are not, are NaN.

    Raises:
      ValueError: if columns differ from these, or values are not of their kinds.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Real
    >>> checked([[1], [2]], [Real()], [0])[0].tolist()
    [[1.0], [2.0]]
    """
    found = column_names(X)
    if found is not None and found != tuple(names):
        raise ValueError(
            f"`X` must have the columns {shown_names(names)}, in this order, got "
            f"{shown_names(found)}."
        )
    table = read_columns(X)
    if len(table) != len(kinds):
        raise ValueError(f"`X` must have {len(kinds)} columns, got {len(table)}.")
    table = [dataclasses.replace(column, name=n) for column, n in zip(table, names, strict=True)]
    is_possible = np.ones([len(table[0].values), len(table)], bool)
    for j in optional:
        if not (table[j].holds_numbers or kinds[j].kind == "category"):
            continue  # which is an error below
        is_possible[:, j] = kinds[j].is_possible(table[j])
        table[j] = table[j].only(is_possible[:, j])
    _warn_of_impossible(is_possible, table, kinds)
    return numbers(kinds, table), is_possible


def _warn_of_impossible(is_possible, table, kinds):
    if is_possible.all():
        return
    j = int(np.flatnonzero(~is_possible.all(axis=0))[0])
    name = table[j].name
    warnings.warn(
        f"Column {name!r} was found to be {kinds[j].description!r} when the table was fitted, and "
        f"{np.sum(~is_possible[:, j])} of its {len(is_possible)} entries are not: their density is "
        f"zero, and elsewhere they count as missing. Declare what it can hold, for example "
        f"`columns={{{name!r}: 'real'}}`, and fit again.",
        SupportWarning,
        stacklevel=6,
    )


def numbers(kinds: Sequence[ColumnKind], table: Sequence[Column]) -> np.ndarray:
    """Checks columns, and returns their numbers x `[N, D]`, NaN where missing.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Real
    >>> numbers([Real()], [Column(0, np.array([1.0, 2.0]), "float64", np.ones(2))]).tolist()
    [[1.0], [2.0]]
    """
    return np.stack(
        [kind.numbers(column) for kind, column in zip(kinds, table, strict=True)], axis=1
    )


def place(
    kinds: Sequence[ColumnKind], x: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns real numbers and log-scales, `[..., D]` each; NaN and zero where x is missing.

    Args:
      kinds: of the D columns, J of them discrete.
      x: numbers `[..., D]`.
      u: points in the cells of discrete columns, `[..., J]`.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Real
    >>> place([Real()], np.array([[3.0]]), np.zeros([1, 0]))
    (array([[3.]]), array([[0.]]))
    """
    z, log_scale = np.full(x.shape, np.nan), np.zeros(x.shape)
    in_cells = iter(np.moveaxis(u, -1, 0))
    for j, kind in enumerate(kinds):
        present = ~np.isnan(x[..., j])
        of_column = next(in_cells)[present] if kind.is_discrete else None
        z[..., j][present], log_scale[..., j][present] = kind.place(x[..., j][present], of_column)
    return z, log_scale


def windings(kinds: Sequence[ColumnKind]) -> np.ndarray:
    """Returns the shifts of z by -1, 0 and 1 periods of each circular column, `[S, D]`.

    Raises:
      ValueError: if there are more than four circular columns, which takes too many shifts.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Circular, Real
    >>> windings([Real(), Circular(24.0)]).tolist()
    [[0.0, 0.0], [0.0, -24.0], [0.0, 24.0]]
    """
    circular = [j for j, kind in enumerate(kinds) if kind.period is not None]
    if len(circular) > _MOST_CIRCULAR:
        raise ValueError(
            f"`columns` must declare at most {_MOST_CIRCULAR} circular columns, got "
            f"{len(circular)}: declare some of them 'real'."
        )
    turns = np.array(list(itertools.product((0, -1, 1), repeat=len(circular))))
    shifts = np.zeros([len(turns), len(kinds)])
    for i, j in enumerate(circular):
        shifts[:, j] = kinds[j].period * turns[:, i]
    return shifts


def wrapped(log_prob: Callable, z: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Sums a density over shifts: `log sum_s g(z + s)`, `[...]`.

    Args:
      log_prob: log g, takes `[M, D]`, and returns `[M]`.
      z: real numbers `[..., D]`. A column that is missing, NaN, is not shifted.
      shifts: `[S, D]`.

    Raises:
      ValueError: if log g returns another shape, or NaN.

    #### Examples

    >>> wrapped(lambda z: -z[:, 0], np.array([[1.0]]), np.zeros([1, 1])).tolist()
    [-1.0]
    """
    total = np.full(z.shape[:-1], -np.inf)
    for shift in shifts:
        value = np.asarray(log_prob((z + shift).reshape([-1, z.shape[-1]])), np.float64)
        if value.shape != (total.size,) or np.isnan(value).any():
            got = "NaN" if value.shape == (total.size,) else f"shape {list(value.shape)}"
            raise ValueError(
                f"`log_prob_of_encoded` must return {total.size} log-densities, got {got}."
            )
        shifts_a_missing_column = np.any(np.isnan(z) & (shift != 0), axis=-1)
        value = np.where(shifts_a_missing_column, -np.inf, value.reshape(total.shape))
        total = np.logaddexp(total, value)
    return total
