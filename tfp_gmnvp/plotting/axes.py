"""Axes without pyplot, and how they are framed, labelled and given a legend."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "BESIDE",
    "LEGEND_STYLE",
    "Limits",
    "data_labels",
    "dot_size",
    "equal_aspect_ratio",
    "frame",
    "limits_of",
    "new_axes",
    "outside",
]

Limits = tuple[tuple[float, float], tuple[float, float]]

LEGEND_STYLE = {"frameon": False, "fontsize": 9, "handletextpad": 0.4, "borderaxespad": 0.0}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.0)}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_EQUAL_UP_TO = 3.0


def new_axes(figsize: tuple[float, float] = (5.0, 4.2)) -> Axes:
    """Axes of a new figure that pyplot does not know of, so that nothing has to be closed."""
    return Figure(figsize=figsize, dpi=120, layout="compressed").add_subplot()


def data_labels(labels: Sequence[str] | None, size: int, symbol: str = "x") -> list[str]:
    """`labels`, checked, or x₁, x₂, ... without any."""
    if labels is None:
        return [f"{symbol}{j}".translate(_SUBSCRIPTS) for j in range(1, size + 1)]
    if len(labels) != size:
        raise ValueError(f"labels must name {size} dimensions, got {len(labels)} names.")
    return list(labels)


def limits_of(*points: np.ndarray, margin: float = 0.08) -> Limits:
    """The range of two-dimensional points, a margin added on each side."""
    every = np.concatenate(points)
    low, high = every.min(axis=0).astype(float), every.max(axis=0).astype(float)
    pad = margin * np.where(high > low, high - low, 1.0)
    return tuple((float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True))


def outside(points: np.ndarray, limits: Limits) -> np.ndarray:
    """Which points `[N]` lie beyond the limits."""
    low, high = np.transpose(limits)
    return ~np.all((points >= low) & (points <= high), axis=-1)


def equal_aspect_ratio(limits: Limits) -> float | None:
    """Height by width of the view in equal units, or None where one range dwarfs the other."""
    width, height = np.diff(limits)[:, 0]
    ratio = float(height / width)
    return ratio if 1 / _EQUAL_UP_TO <= ratio <= _EQUAL_UP_TO else None


def frame(ax: Axes, limits: Limits, labels: Sequence[str], title: str) -> None:
    """Limits, labels and title; equal units on both axes unless one range dwarfs the other."""
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_aspect("auto" if equal_aspect_ratio(limits) is None else "equal")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)


def dot_size(num_points: int) -> float:
    """Area of a marker, in points squared, that keeps many points apart."""
    return float(np.clip(6000 / num_points, 2.0, 14.0))
