"""Legends of components."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from tfp_gmnvp.plotting.axes import LEGEND_STYLE
from tfp_gmnvp.plotting.colours import component_colours

__all__ = ["colour_key", "weight_legend"]

_MOST_ENTRIES = 16


def weight_legend(where: Axes | Figure | SubFigure, probs: np.ndarray, **place) -> None:
    """Draws a legend of the components' indices, 0 .. K-1, and weights; of many, the heaviest.

    Args:
      where: the axes or figure of the legend.
      probs: weights `[K]`.
      **place: as of `legend`, such as `loc`.
    """
    shown = np.sort(np.argsort(-probs, kind="stable")[:_MOST_ENTRIES])
    colours = component_colours(len(probs))
    handles = [colour_key(colours[k], f"{k}: {probs[k]:.2f}") for k in shown]
    rest = len(probs) - len(shown)
    if rest:
        handles.append(Line2D([], [], linestyle="", label=f"and {rest} lighter"))
    where.legend(handles=handles, title="weights", title_fontsize=9, **LEGEND_STYLE, **place)


def colour_key(colour, label: str) -> Line2D:
    """Returns a short line for a legend."""
    return Line2D([], [], color=colour, linewidth=2.5, label=label)
