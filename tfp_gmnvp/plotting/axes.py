"""Figures and axes of pyplot, with limits, labels and titles."""

import contextlib
import contextvars
import textwrap
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

__all__ = [
    "BESIDE",
    "LEGEND_STYLE",
    "Limits",
    "apart_from_pyplot",
    "current_axes",
    "data_labels",
    "dot_size",
    "equal_aspect_ratio",
    "frame",
    "limits_of",
    "new_figure",
    "outside",
    "to_be_filled",
    "wrapped",
]

Limits = tuple[tuple[float, float], tuple[float, float]]

LEGEND_STYLE = {"frameon": False, "fontsize": 9, "handletextpad": 0.4, "borderaxespad": 0.0}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.0)}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_EQUAL_UP_TO = 3.0
_DPI = 120
_IS_APART = contextvars.ContextVar("is_apart", default=False)


def new_figure(figsize: tuple[float, float], layout: str = "compressed") -> Figure:
    """Creates a figure, and makes it pyplot's current one.

    Pyplot is not thread-safe: outside of the main thread it does not manage the figure.
    """
    style = {"figsize": figsize, "dpi": _DPI, "layout": layout}
    if not _uses_pyplot():
        return Figure(**style)
    from matplotlib import pyplot  # imported late, as training does not need it

    return pyplot.figure(**style)


def to_be_filled(
    figure: Figure | SubFigure | None, figsize: tuple[float, float], layout: str = "compressed"
) -> Figure | SubFigure:
    """Returns the figure, or a new one, with a layout engine."""
    if figure is None:
        return new_figure(figsize, layout)
    if isinstance(figure, Figure) and not figure.axes and figure.get_layout_engine() is None:
        figure.set_layout_engine(layout)
    return figure


def current_axes(figsize: tuple[float, float] = (5.0, 4.2)) -> Axes:
    """Returns pyplot's current axes, or new ones if there are none.

    Outside of the main thread they belong to a new figure; see `new_figure`.
    """
    if not _uses_pyplot():
        return new_figure(figsize).add_subplot()
    from matplotlib import pyplot

    figure = pyplot.gcf() if pyplot.get_fignums() else None
    return to_be_filled(figure, figsize).gca()  # with a layout engine, for legends next to the axes


@contextlib.contextmanager
def apart_from_pyplot() -> Iterator[None]:
    """New figures in this context are not managed by pyplot: neither shown nor to be closed."""
    token = _IS_APART.set(True)
    try:
        yield
    finally:
        _IS_APART.reset(token)


def _uses_pyplot() -> bool:
    return threading.current_thread() is threading.main_thread() and not _IS_APART.get()


def data_labels(
    labels: Sequence[str] | None, size: int, symbol: str = "x", *, names=None
) -> list[str]:
    """Checks `labels`; the default is the names of columns, or x₁, x₂, ..."""
    if labels is None and names is not None:
        return list(names)
    if labels is None:
        return [f"{symbol}{j}".translate(_SUBSCRIPTS) for j in range(1, size + 1)]
    if len(labels) != size:
        raise ValueError(f"`labels` must name {size} dimensions, got {len(labels)} names.")
    return list(labels)


def wrapped(label: str, width: int = 40) -> str:
    """Wraps a label to at most three lines; TeX is unchanged."""
    if "$" in label.replace(r"\$", ""):
        return label
    keeps_words = r"\$" in label  # a label with TeX
    style = {"max_lines": 3, "placeholder": "…", "break_long_words": not keeps_words}
    return textwrap.fill(label, width, **style)


def limits_of(*points: np.ndarray, margin: float = 0.08) -> Limits:
    """Computes the range of two-dimensional points, plus a margin."""
    every = np.concatenate(points)
    low, high = every.min(axis=0).astype(float), every.max(axis=0).astype(float)
    pad = margin * np.where(high > low, high - low, 1.0)
    return tuple((float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True))


def outside(points: np.ndarray, limits: Limits) -> np.ndarray:
    """Returns which points lie outside of the limits, bool `[N]`."""
    low, high = np.transpose(limits)
    return ~np.all((points >= low) & (points <= high), axis=-1)


def equal_aspect_ratio(limits: Limits) -> float | None:
    """Returns height / width of the view in equal units, or None if the ranges differ too much."""
    width, height = np.diff(limits)[:, 0]
    ratio = float(height / width)
    return ratio if 1 / _EQUAL_UP_TO <= ratio <= _EQUAL_UP_TO else None


def frame(ax: Axes, limits: Limits, labels: Sequence[str], title: str) -> None:
    """Sets limits, labels and title, and equal units unless the ranges differ too much."""
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_aspect("auto" if equal_aspect_ratio(limits) is None else "equal")
    ax.set_xlabel(wrapped(labels[0]))
    ax.set_ylabel(wrapped(labels[1]))
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)


def dot_size(num_points: int) -> float:
    """Returns a marker's area in points squared, smaller for many points."""
    return float(np.clip(6000 / num_points, 2.0, 14.0))
