"""Values that are known in the table's units, as weighted points of the encoded columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfp_gmnvp.density.columns import ColumnKinds, rows
from tfp_gmnvp.density.columns.cells import cell_points
from tfp_gmnvp.density.columns.reading import read_column
from tfp_gmnvp.density.conditional_density import column_number

__all__ = ["encoded_points", "known_table", "numbers_of_array", "own_number"]


def own_number(argument: str, column: int | str, kinds: ColumnKinds) -> int:
    """The number of a column, which is given by its name or number.

    Args:
      argument: what it is an argument of, for errors.
      column: the name or number.
      kinds: of all columns.

    Raises:
      ValueError: if there is no such column.

    #### Examples

    >>> kinds = ColumnKinds.of_table([["a", 0.5], ["b", 0.7], ["a", 0.9]])
    >>> own_number("known", 1, kinds)
    1
    """
    has_names = kinds.names != tuple(range(len(kinds.names)))
    return column_number(argument, column, kinds.names if has_names else None, len(kinds.names))


def numbers_of_array(values: np.ndarray, kinds: ColumnKinds) -> np.ndarray:
    """Checks values in the table's units, and returns their numbers x.

    Args:
      values: an array `[N, d]`, of objects if a column holds text.
      kinds: of its columns, whose names errors use.

    #### Examples

    >>> kinds = ColumnKinds.of_table([["a", 0.5], ["b", 0.7], ["a", 0.9]])
    >>> numbers_of_array(np.array([["b", 2]], object), kinds).tolist()
    [[1.0, 2.0]]
    """
    table = [read_column(name, values[:, j]) for j, name in enumerate(kinds.names)]
    return rows.numbers(kinds.kinds, table)


def known_table(known: Mapping, kinds: ColumnKinds) -> tuple[np.ndarray, list[int], bool]:
    """Checks values in the table's units.

    Args:
      known: values by the column's name or number; each a value, or N of them.
      kinds: of all D columns.

    Returns:
      Numbers x of the k known columns, `[N, k]`; the numbers of these columns; and whether there
      is a batch.

    Raises:
      TypeError: if `known` is no mapping, or a value has a type that its column cannot have.
      ValueError: if a column is unknown, all or none are known, values are missing or not of the
        column's kind, or their numbers differ.

    #### Examples

    >>> kinds = ColumnKinds.of_table([["a", 0.5], ["b", 0.7], ["a", 0.9]])
    >>> known_table({1: [0.5, 0.9]}, kinds)
    (array([[0.5],
           [0.9]]), [1], True)
    """
    if not isinstance(known, Mapping):
        raise TypeError(
            f"`known` must map columns to values, as in {{{kinds.names[0]!r}: ...}}, got "
            f"{type(known).__name__}."
        )
    size = len(kinds.names)
    columns = [own_number("known", column, kinds) for column in known]
    if not 0 < len(columns) < size or len(set(columns)) < len(columns):
        raise ValueError(
            f"`known` must hold 1 to {size - 1} of the {size} columns, each once, got "
            f"{list(known)!r}."
        )
    values = [np.asarray(value, object) for value in known.values()]
    lengths = {len(value) for value in values if value.ndim == 1}
    if len(lengths) > 1 or any(value.ndim > 1 or not value.size for value in values):
        shapes = {column: list(v.shape) for column, v in zip(known, values, strict=True)}
        raise ValueError(f"`known` must hold values, or N values each, got shapes {shapes}.")
    table = np.empty([*(lengths or {1}), len(values)], object)
    for j, value in enumerate(values):
        table[:, j] = value
    some = kinds.only(columns)
    x = numbers_of_array(table, some)
    if np.isnan(x).any():
        row, j = np.argwhere(np.isnan(x))[0]
        raise ValueError(
            f"`known` must not hold missing values, got one of column {some.names[j]!r} in "
            f"condition {row}: leave the column out."
        )
    return x, columns, bool(lengths)


def encoded_points(
    kinds: Sequence, x: np.ndarray, num_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points that stand for a condition: in the cells of discrete columns, and a period apart.

        p(x) = int g(z(x, u)) |dz/dx| du ~ sum_m exp(log_weight_m) g(z_m)

    Args:
      kinds: of the k known columns.
      x: their numbers `[N, k]`.
      num_points: within a cell, where there are discrete columns.

    Returns:
      z `[N, M, k]`, and log-weights `[N, M]`.

    #### Examples

    >>> kinds = ColumnKinds.of_table([["a"], ["b"]])
    >>> z, log_weight = encoded_points(kinds.kinds, np.array([[0.0]]), 8)
    >>> z.shape, bool((z < 0).all())
    ((1, 8, 1), True)
    """
    u, weight = cell_points(num_points, sum(kind.is_discrete for kind in kinds))
    shape = (len(u), *x.shape)
    in_cells = np.broadcast_to(u[:, np.newaxis], [*shape[:2], u.shape[1]])
    z, log_scale = rows.place(kinds, np.broadcast_to(x, shape), in_cells)
    log_weight = log_scale.sum(axis=2) + np.log(weight)[:, np.newaxis]
    shifts = rows.windings(kinds)
    z = (z + shifts[:, np.newaxis, np.newaxis]).reshape(-1, *x.shape)
    return np.moveaxis(z, 0, 1), np.tile(log_weight, [len(shifts), 1]).T
