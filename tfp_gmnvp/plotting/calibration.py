"""Reliability diagrams."""

import numpy as np
from matplotlib.axes import Axes

from tfp_gmnvp.analysis.calibration import Reliability, calibration_error, reliability
from tfp_gmnvp.plotting.axes import LEGEND_STYLE, current_axes
from tfp_gmnvp.plotting.colours import DATA_COLOUR, INK, component_colours

__all__ = ["plot_reliability"]


def plot_reliability(
    probs, labels, *, num_bins: int = 10, equal_mass: bool = False, ax: Axes | None = None
) -> Axes:
    """Plots accuracy against confidence; the size of a dot is the number of points.

    Args:
      probs: probabilities p(k | x), `[N, K]`, for example `posterior(flow, x).probs_parameter()`.
      labels: integers `[N]` in -1 .. K-1; points without a label, -1, are left out.
      num_bins: number of bins of the confidence.
      equal_mass: whether the bins hold equally many points, rather than being equally wide.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes, whose title has the expected calibration error.

    Raises:
      TypeError: as `reliability`.
      ValueError: as `reliability`.

    >>> from matplotlib import pyplot
    >>> plot_reliability([[0.8, 0.2], [0.4, 0.6]], [0, 1]).get_title()
    'calibration error 0.300'
    >>> pyplot.close()
    """
    bins = {"num_bins": num_bins, "equal_mass": equal_mass}
    curve: Reliability = reliability(probs, labels, **bins)
    error = calibration_error(probs, labels, **bins)
    ax = ax or current_axes((4.2, 4.2))
    colour = component_colours(1)[0]
    ax.plot([0, 1], [0, 1], "--", color=DATA_COLOUR, label="calibrated")
    ax.plot(curve.confidence, curve.accuracy, "-", color=colour, linewidth=1.2)
    size = 12 + 150 * curve.count / curve.count.sum()
    ax.scatter(curve.confidence, curve.accuracy, size, color=[colour], label="by bins")
    ax.set_xlim(1 / max(np.shape(probs)[1], 2) - 0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("confidence, max p(k | x)")
    ax.set_ylabel("accuracy")
    ax.set_title(f"calibration error {error:.3f}", fontsize=11, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower left", **LEGEND_STYLE)
    return ax
