"""The names of the columns that a flow was trained on, and checks of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator

from tfp_gmnvp import bijectors
from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.tables import MOST_SHOWN, Names, column_names, is_table, shown_names

__all__ = [
    "Columns",
    "as_array",
    "check_names",
    "input_columns",
    "known_columns",
    "learned_from",
    "learns_columns",
    "remember",
    "table_to_array",
    "text_labels",
]


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of the columns of points and contexts, if known.

    Attributes:
      points: D names, or `None`.
      context: C names, or `None`.

    #### Examples

    >>> Columns(("height", "weight")).context is None
    True
    """

    points: Names | None = None
    context: Names | None = None


def as_array(x, name: str = "x", flow=None, *, part: str | None = None):
    """Checks a table's columns against those of a flow, and returns an array.

    Args:
      x: anything.
      name: what it is called in errors.
      flow: flow whose column names the table must have, in their order; `None` for any.
      part: 'points' or 'context' of the flow's rows; `None` to infer it from the number of columns.

    Raises:
      TypeError: if a column does not hold numbers, by its dtype.
      ValueError: if the flow was trained on other columns, or on these in another order.

    #### Examples

    >>> as_array([[0.0, 1.0]]).shape
    (1, 2)
    """
    if flow is not None and is_table(x):
        check_names(x, _known(flow, part, len(x.columns)), name)
    return tables.as_array(x, name)


def table_to_array(x, name: str = "x", flow=None, *, part: str | None = None):
    """Converts a table to an array, see `as_array`; anything else is returned unchanged.

    #### Examples

    >>> table_to_array([0.0, 1.0])
    [0.0, 1.0]
    """
    return as_array(x, name, flow, part=part) if is_table(x) else x


def check_names(x, known: Names | None, name: str = "x") -> None:
    """Raises a `ValueError` if a table's columns differ from the known ones, or in their order.

    The names 0, 1, 2, ... of a table without names are compatible with any others.

    Args:
      x: anything; only tables have names.
      known: the known names, or `None`.
      name: what the table is called in errors.

    #### Examples

    >>> check_names([[0.0, 1.0]], ("a", "b"))
    """
    found = column_names(x)
    if known is None or found is None or found == known:
        return
    got = f"got {shown_names(found)}"
    if sorted(map(repr, found)) == sorted(map(repr, known)):
        hint = f": use `table[{list(known)!r}]`" if len(known) <= MOST_SHOWN else ""
        order = f"must have its columns in the order of training, {shown_names(known)}"
        raise ValueError(f"`{name}` {order}, {got}{hint}.")
    if _is_numbering(found) or _is_numbering(known):
        return
    lacking = [column for column in known if column not in found]
    lacks = f"; missing: {shown_names(lacking)}" if lacking else ""
    raise ValueError(
        f"`{name}` must have the columns of training, {shown_names(known)}, {got}{lacks}."
    )


def input_columns(flow, x) -> Columns:
    """Returns the column names of a table, or of a pair of points and contexts.

    Args:
      flow: a flow, with or without a `context_size`.
      x: anything.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> input_columns(gaussian_mixture_flow(2), [[0.0, 1.0]])
    Columns(points=None, context=None)
    """
    if isinstance(x, (tuple, list)):
        parts = x if len(x) == 2 and bijectors.context_size(flow.bijector) else ()
        return Columns(*map(column_names, parts))
    names, size = column_names(x), bijectors.context_size(flow.bijector)
    if names is None or not size or len(names) <= size:
        return Columns(names)
    return Columns(names[:-size], names[-size:])


def known_columns(flow) -> Columns:
    """Returns the column names of the tables that the flow was trained on.

    The bijector stores them, so that copies of the flow keep them. The configuration that is saved
    with a model contains them; a file of weights does not.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> known_columns(remember(gaussian_mixture_flow(2), Columns(("a", "b")))).points
    ('a', 'b')
    """
    return getattr(flow.bijector, "_columns", None) or Columns()


def remember(flow, columns: Columns):
    """Stores column names in a flow, unless it has some already.

    Args:
      flow: a flow.
      columns: the names.

    Returns:
      The flow.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = remember(gaussian_mixture_flow(2), Columns(("a", "b")))
    >>> known_columns(remember(flow, Columns())).points
    ('a', 'b')
    """
    before = known_columns(flow)
    after = Columns(
        _better(before.points, columns.points), _better(before.context, columns.context)
    )
    if after != before:
        flow.bijector._columns = after
    return flow


@contextlib.contextmanager
def learned_from(flow, x) -> Iterator[None]:
    """Stores the columns of training data in a flow, unless the data raises an error.

    Args:
      flow: a flow; anything else is ignored here.
      x: the training data, of any kind.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> with learned_from(gaussian_mixture_flow(2), [[0.0, 1.0]]):
    ...     pass
    """
    if not hasattr(flow, "bijector"):
        yield
        return
    before = known_columns(flow)
    found = input_columns(flow, x)
    if found != Columns():
        sizes = (flow.event_shape[-1], bijectors.context_size(flow.bijector))
        fits = all(
            names is None or len(names) == size
            for names, size in zip((found.points, found.context), sizes, strict=True)
        )
        remember(flow, found if fits else Columns())
    try:
        yield
    except (TypeError, ValueError):
        if known_columns(flow) != before:
            flow.bijector._columns = before
        raise


def learns_columns(function: Callable) -> Callable:
    """Decorates a function that trains a flow on `x`, its second argument.

    Args:
      function: takes a flow, or a model with a flow as `distribution`, as its first argument.

    Returns:
      The function, run in `learned_from`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> learns_columns(lambda flow, x: len(x))(gaussian_mixture_flow(2), [[0.0, 1.0]])
    1
    """

    @functools.wraps(function)
    def learns(owner, *args, **kwargs):
        flow = owner if hasattr(owner, "bijector") else getattr(owner, "distribution", None)
        with learned_from(flow, args[0] if args else kwargs.get("x")):
            return function(owner, *args, **kwargs)

    return learns


def text_labels(flow, x=None) -> list[str] | None:
    """Returns axis labels: the column names of a table, or else of the flow.

    Args:
      flow: a flow.
      x: the data that is plotted, or `None`.

    Returns:
      Strings, or `None` where there are no names.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> text_labels(remember(gaussian_mixture_flow(2), Columns(("cost ($)", "b"))))
    ['cost (\\\\$)', 'b']
    """
    names = _better(column_names(x), known_columns(flow).points)
    if names is None or _is_numbering(names):
        return None
    return [str(name).replace("$", r"\$") for name in names]  # no TeX


def _known(flow, part, width) -> Names | None:
    known = known_columns(flow)
    if part is not None:
        return getattr(known, part)
    size = bijectors.context_size(flow.bijector)
    is_row = size and width == flow.event_shape[-1] + size
    if not is_row:
        return known.points
    return None if None in (known.points, known.context) else known.points + known.context


def _is_numbering(names: Names) -> bool:
    return names == tuple(range(len(names)))


def _better(names: Names | None, others: Names | None) -> Names | None:
    """The names, or the others where the names are missing or mere numbers."""
    if names is None or (_is_numbering(names) and others is not None):
        return others
    return names
