"""Plots of model selection."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfp_gmnvp.plotting.axes import LEGEND_STYLE, current_axes
from tfp_gmnvp.plotting.colours import component_colours

__all__ = ["plot_selection"]

_NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL"}


def plot_selection(selection, *, ax: Axes | None = None) -> Axes:
    """Plots the criterion by number of components, and the selected number.

    Held-out log-likelihoods are drawn with one standard error of the difference from the best,
    point by point; other criteria as differences from the lowest, as only these have a meaning.

    Args:
      selection: what `select_components` returned.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes.

    >>> from matplotlib import pyplot
    >>> from tfp_gmnvp.analysis.selection import ComponentScores, ComponentSelection
    >>> scores = [ComponentScores(k, 6 * k, -2.0, bic=b) for k, b in ((1, 30.5), (2, 20.5))]
    >>> ax = plot_selection(ComponentSelection("bic", tuple(scores), {}))
    >>> ax.get_ylabel(), ax.get_lines()[0].get_ydata().tolist()
    ('BIC, above its lowest (nats)', [10.0, 0.0])
    >>> pyplot.close()
    """
    ax = ax or current_axes((5.0, 3.6))
    numbers = [scores.num_components for scores in selection.scores]
    values = np.array([getattr(scores, selection.criterion) for scores in selection.scores])
    line, chosen = component_colours(2)
    style = {"color": line, "marker": "o", "markersize": 5, "linewidth": 1.5, "zorder": 2}
    if selection.criterion == "held_out":
        errors = [scores.gap_error for scores in selection.scores]
        note = "± standard error of the gap to the best"
        ax.errorbar(numbers, values, errors, capsize=3, label=note, **style)
        ax.set_ylabel("held-out log-likelihood (nats per point)")
    else:
        values = values - np.nanmin(values)
        ax.plot(numbers, values, **style)
        ax.set_ylabel(f"{_NAMES[selection.criterion]}, above its lowest (nats)")
    best = numbers.index(selection.num_components)
    ring = {"facecolors": "none", "edgecolors": chosen, "linewidths": 2.2, "zorder": 3}
    label = f"chosen: {selection.num_components}"
    ax.scatter(numbers[best], values[best], s=160, label=label, clip_on=False, **ring)
    ax.set_xlabel("number of components K")
    ax.set_title("Number of components", fontsize=11)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, **LEGEND_STYLE)
    ax.margins(y=0.12)
    return ax
