"""The kinds of columns in words, a line for each."""

from __future__ import annotations

from collections.abc import Sequence

from tfp_gmnvp.density.columns.base import ColumnKind

__all__ = ["described"]


def described(
    names: Sequence[str | int], kinds: Sequence[ColumnKind], reasons: Sequence[str]
) -> str:
    """Describes each column's kind, and why it is that.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Bounded, Real
    >>> print(described(["height", "share"], [Real(), Bounded(0, 1)], ["no ties", "declared"]))
    ColumnKinds of 2 columns:
      height  real             (no ties)
      share   between 0 and 1  (declared)
    """
    texts = [kind.description for kind in kinds]
    of_name = max(len(str(name)) for name in names)
    of_text = max(map(len, texts))
    lines = [
        f"  {name!s:<{of_name}}  {text:<{of_text}}  ({reason})"
        for name, text, reason in zip(names, texts, reasons, strict=True)
    ]
    title = f"ColumnKinds of {len(names)} column{'' if len(names) == 1 else 's'}:"
    return "\n".join([title, *lines])
