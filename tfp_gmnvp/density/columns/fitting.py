"""The kinds of a table's columns: those declared, and fitted to the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfp_gmnvp._shared.arguments import did_you_mean
from tfp_gmnvp._shared.tables import shown_names
from tfp_gmnvp.density.columns import rows
from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.columns.category import Category
from tfp_gmnvp.density.columns.reading import Column
from tfp_gmnvp.density.columns.registry import as_kind

__all__ = ["declared_kinds", "fitted_kinds"]


def declared_kinds(columns: Mapping | None, table: Sequence[Column]) -> list[ColumnKind | None]:
    """Returns the kind that each column is declared to be, or `None`.

    Args:
      columns: declarations by name or number of column; `None` for none.
      table: the columns.

    Raises:
      TypeError: if `columns` is no mapping, or a declaration is no kind.
      ValueError: if there is no column of a name, one is declared twice, or one is missing in all
        rows.

    #### Examples

    >>> table = [Column("age", np.array([31.0, 45.0]), "float64", np.ones(2))]
    >>> declared_kinds({"age": "positive"}, table)[0].kind
    'positive'
    """
    for column in table:
        column.check_present()
    names = [column.name for column in table]
    declared: list[ColumnKind | None] = [None] * len(names)
    if columns is not None and not isinstance(columns, Mapping):
        raise TypeError(
            f"`columns` must be a dict of kinds by name or number of column, got {columns!r}."
        )
    seen = set()
    for key, value in (columns or {}).items():
        j = _position(key, names)
        if j in seen:
            raise ValueError(f"`columns` must declare column {names[j]!r} once, got it twice.")
        seen.add(j)
        declared[j] = as_kind(value, names[j])
    return declared


def fitted_kinds(kinds: Sequence[ColumnKind], table: Sequence[Column]) -> tuple[ColumnKind, ...]:
    """Fits kinds to their columns; categories last, as their order is by the others.

    Args:
      kinds: of the columns, not fitted.
      table: the columns.

    #### Examples

    >>> table = [Column("age", np.array([31.0, 45.0]), "int64", np.ones(2))]
    >>> fitted_kinds([Category()], table)[0].categories
    (31.0, 45.0)
    """
    fitted = [
        kind if isinstance(kind, Category) else kind.fitted(column)
        for kind, column in zip(kinds, table, strict=True)
    ]
    others = _as_real(fitted, table)
    return tuple(
        kind.fitted(column, others) if isinstance(kind, Category) else kind
        for kind, column in zip(fitted, table, strict=True)
    )


def _as_real(kinds, table):
    """The columns without categories as real numbers `[N, M]`, `None` if there are none."""
    numeric = [j for j, kind in enumerate(kinds) if not isinstance(kind, Category)]
    if not numeric or len(numeric) == len(kinds):
        return None
    kinds = [kinds[j] for j in numeric]
    x = rows.numbers(kinds, [table[j] for j in numeric])
    middle = np.full([len(x), sum(kind.is_discrete for kind in kinds)], 0.5)
    return rows.place(kinds, x, middle)[0]


def _position(key, names) -> int:
    is_number = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
    if key in names:
        return names.index(key)
    if is_number and 0 <= key < len(names):
        return int(key)
    raise ValueError(
        f"`columns` must name columns of `X`, {shown_names(names)}, got {key!r}."
        + did_you_mean(key, names)
    )
