"""Pictures of a column's density or probabilities, under one condition or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["draw_bars", "draw_curves"]

_MOST_SHOWN = 10
_MOST_TICKS = 20
_LEAST_SHOWN = 1e-3  # of the highest bar


def draw_curves(ax, x: np.ndarray, density: np.ndarray, column, labels: Sequence[str]):
    """Draws densities of a continuous column.

    Args:
      ax: axes of matplotlib; the current ones if `None`.
      x: points `[S]`.
      density: at these, `[S, N]`.
      column: name or number of the column.
      labels: of the first conditions.

    Returns:
      The axes.
    """
    ax = _axes(ax)
    for curve, colour, label in _conditions(density, labels):
        ax.plot(x, curve, color=colour, label=label)
    ax.set_ylabel("density")
    return _finished(ax, column, labels)


def draw_bars(ax, values: Sequence, probability: np.ndarray, column, labels: Sequence[str]):
    """Draws probabilities of a discrete column, with bars for each condition side by side.

    Args:
      ax: axes of matplotlib; the current ones if `None`.
      values: `[C]`. Numbers are drawn at their places, all else one after another.
      probability: of these, `[C, N]`.
      column: name or number of the column.
      labels: of the first conditions.

    Returns:
      The axes.
    """
    ax = _axes(ax)
    values = list(values)
    is_number = all(isinstance(value, int | float) for value in values)
    is_number = is_number and not any(isinstance(value, bool) for value in values)
    if is_number:
        shown = np.flatnonzero(probability.max(axis=1) > _LEAST_SHOWN * probability.max())
        kept = slice(shown[0], shown[-1] + 1)
        values, probability = values[kept], probability[kept]
    places = np.array(values, float) if is_number else np.arange(len(values), dtype=float)
    step = np.diff(places).min() if len(places) > 1 else 1.0
    parts = list(_conditions(probability, labels))
    width = 0.8 * step / len(parts)
    for number, (bars, colour, label) in enumerate(parts):
        shift = width * (number - 0.5 * (len(parts) - 1))
        ax.bar(places + shift, bars, width, color=colour, label=label)
    if not is_number:
        names = [str(value).replace("$", r"\$") for value in values]
        turned = {"rotation": 45, "ha": "right"} if sum(map(len, names)) > 40 else {}
        ax.set_xticks(places, names, **turned)
    elif len(places) <= _MOST_TICKS:
        ax.set_xticks(places)
    ax.set_ylabel("probability")
    _finished(ax, column, labels)
    room_for_legend = 0.08 * len(parts) if len(labels) > 1 else 0.0
    ax.set_ylim(top=probability.max() * (1.05 + room_for_legend))
    return ax


def _axes(ax):
    from matplotlib import pyplot

    return pyplot.gca() if ax is None else ax


def _conditions(values, labels):
    """Values, colour and label of each condition, at most ten of them."""
    from matplotlib import colormaps

    shown = values.T[:_MOST_SHOWN]
    labels = [label.replace("$", r"\$") for label in labels[:_MOST_SHOWN]] or len(shown) * [None]
    return zip(shown, colormaps["viridis"](np.linspace(0.0, 0.85, len(shown))), labels, strict=True)


def _finished(ax, column, labels):
    if len(labels) == 1:
        ax.set_title(labels[0].replace("$", r"\$"))
    elif labels:
        ax.legend()
    ax.set_xlabel(column.replace("$", r"\$") if isinstance(column, str) else f"column {column}")
    ax.set_ylim(bottom=0.0)
    return ax
