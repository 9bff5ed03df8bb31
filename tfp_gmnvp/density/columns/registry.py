"""Kinds of columns by name, and what users declare them by."""

from __future__ import annotations

import numbers

from tfp_gmnvp._shared.arguments import check_choice
from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.columns.bounded import Bounded
from tfp_gmnvp.density.columns.category import Category
from tfp_gmnvp.density.columns.circular import Circular
from tfp_gmnvp.density.columns.integer import Integer
from tfp_gmnvp.density.columns.positive import Positive
from tfp_gmnvp.density.columns.real import Real

__all__ = ["KINDS", "as_kind", "kind_from_config"]

#: The classes by the names that users know.
KINDS = {kind.kind: kind for kind in (Real, Positive, Bounded, Integer, Category, Circular)}


def as_kind(declared, name: str | int) -> ColumnKind | None:
    """Returns the kind that a column is declared to be.

    Args:
      declared: 'real', 'positive', 'integer', 'category' or 'circular'; two numbers, which are
        bounds; 'circular' with a period; a kind; or 'auto' or `None` for none.
      name: of the column, for errors.

    Returns:
      A kind, or `None` to detect it.

    Raises:
      TypeError: if it is none of these.
      ValueError: if it is no name of a kind, or numbers are out of range.

    #### Examples

    >>> as_kind((0, 1), "share")
    Bounded(low=0.0, high=1.0, margin=0.0)
    >>> as_kind(("circular", 360), "angle").period
    360.0
    """
    if declared is None or isinstance(declared, ColumnKind):
        return declared
    argument = f"columns[{name!r}]"
    if isinstance(declared, str):
        check_choice(argument, declared, ["auto", *(k for k in KINDS if k != Bounded.kind)])
        return None if declared == "auto" else KINDS[declared]()
    if isinstance(declared, (tuple, list)) and len(declared) == 2:
        first, second = declared
        if _is_number(first) and _is_number(second):
            if not first < second:
                raise ValueError(f"`{argument}` must have its lower bound first, got {declared!r}.")
            return Bounded(float(first), float(second))
        if first == Circular.kind and _is_number(second):
            return Circular(float(second))
    raise TypeError(
        f"`{argument}` must be a kind of column such as 'positive', 'integer' or 'category', two "
        f"bounds such as (0, 1), ('circular', period), or a kind such as `Integer(0.1)`, got "
        f"{declared!r}."
    )


def kind_from_config(config: dict) -> ColumnKind:
    """Builds a kind from its `get_config`.

    #### Examples

    >>> kind_from_config(Bounded(0.0, 1.0).get_config())
    Bounded(low=0.0, high=1.0, margin=0.0)
    """
    settings = dict(config)
    kind = settings.pop("kind")
    check_choice("kind", kind, list(KINDS))
    for name, value in settings.items():
        if isinstance(value, dict):
            settings[name] = kind_from_config(value)
        elif isinstance(value, list):
            settings[name] = tuple(value)
    return KINDS[kind](**settings)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
