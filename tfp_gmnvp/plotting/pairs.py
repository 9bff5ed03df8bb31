"""Pair plots of flows in any number of dimensions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import data_labels, dot_size, limits_of, outside, to_be_filled, wrapped
from tfp_gmnvp.plotting.colours import DATA_COLOUR, INK, blend_colours
from tfp_gmnvp.plotting.legends import weight_legend

__all__ = ["pair_plot"]

_MOST_DIMENSIONS = 6
_BINS = 30
_LABEL_WIDTH = 16  # characters next to a cell


def pair_plot(
    flow,
    x: np.ndarray,
    *,
    num_samples: int | None = None,
    seed: int = 0,
    dimensions: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    figure: Figure | SubFigure | None = None,
) -> np.ndarray:
    """Plots a matrix of axes, one for each pair of dimensions.

    On the diagonal, histograms of data (filled) and samples (line); below it the data, above it the
    samples, both in the responsibility-weighted blend of the components' colours. The legend has
    the components' numbers, 0 .. K-1, and weights.

    Args:
      flow: `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`, of any dimension D >= 2.
      x: data `[N, D]`.
      num_samples: number of samples; that of the data if None.
      seed: integer seed; the same seed gives the same samples.
      dimensions: which dimensions, from 0; the first six if None.
      labels: names, with units, of the D dimensions; if None those of a table's columns, or x₁, x₂,
        ...
      figure: figure to draw in; a new one, pyplot's current, if None.

    Returns:
      Object array `[d, d]` of axes, d the number of dimensions shown.

    Raises:
      ValueError: if there is one dimension only, or x is not `[N, D]` and finite.

    >>> from matplotlib import pyplot
    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> pair_plot(flow, np.eye(2), seed=0).shape
    (2, 2)
    >>> pyplot.close()
    """
    column_names, x = columns.text_labels(flow, x), on_arrays.as_points(flow, x)
    size = x.shape[1]
    shown = _dimensions(dimensions, size)
    names = data_labels(labels, size, names=column_names)
    names = [wrapped(names[j], _LABEL_WIDTH) for j in shown]
    samples = on_arrays.draw(flow, len(x) if num_samples is None else num_samples, seed)
    sides = 1.6 * len(shown) + 1.0
    figure = to_be_filled(figure, (sides + 0.9, sides), "constrained")
    grid = figure.subplots(len(shown), len(shown), sharex="col", squeeze=False)
    limits = limits_of(x[:, shown], margin=0.15)
    visible = samples[~outside(samples[:, shown], limits)]
    _draw_clouds(grid, flow, x, shown, below=True)
    _draw_clouds(grid, flow, visible, shown, below=False)
    _draw_histograms(grid, x[:, shown], visible[:, shown], limits)
    _label(grid, names, limits)
    caption = _caption(len(samples) - len(visible), len(shown), size)
    figure.supxlabel(caption, fontsize=9, color=INK)
    weight_legend(figure, on_arrays.mixture_arrays(flow).probs, loc="outside right upper")
    return grid


def _dimensions(dimensions, size) -> list[int]:
    shown = list(range(min(size, _MOST_DIMENSIONS))) if dimensions is None else list(dimensions)
    if len(shown) < 2 or not all(0 <= j < size for j in shown):
        raise ValueError(f"dimensions must be at least two of 0 to {size - 1}, got {shown}.")
    return shown


def _draw_clouds(grid, flow, points, shown, *, below: bool) -> None:
    """Plots points in all axes below (or above) the diagonal."""
    if not len(points):
        return
    colours = blend_colours(on_arrays.responsibilities(flow, points))
    style = {"s": 0.6 * dot_size(len(points)), "linewidths": 0, "alpha": 0.8, "rasterized": True}
    for i, row in enumerate(shown):
        for j, column in enumerate(shown):
            if (i > j) if below else (i < j):
                grid[i, j].scatter(points[:, column], points[:, row], c=colours, **style)


def _draw_histograms(grid, x, samples, limits) -> None:
    """Plots histograms of each dimension, in bins that data and samples share."""
    for j, limit in enumerate(limits):
        bins = np.linspace(*limit, _BINS + 1)
        style = {"bins": bins, "density": True}
        grid[j, j].hist(x[:, j], color=DATA_COLOUR, label="data", **style)
        if len(samples):
            line = {"histtype": "step", "color": INK, "linewidth": 1.2, "label": "samples"}
            grid[j, j].hist(samples[:, j], **line, **style)


def _label(grid: np.ndarray, names: Sequence[str], limits) -> None:
    """Sets all limits; names and ticks are on the left and at the bottom only."""
    for i, row in enumerate(grid):
        for j, ax in enumerate(row):
            _frame_cell(ax, limits[j], None if i == j else limits[i])
            ax.set_xlabel(names[j] if i == len(grid) - 1 else "")
            ax.set_ylabel(names[i] if j == 0 else "")
            ax.tick_params(labelsize=8, labelleft=j == 0 and i > 0)
    grid[0, -1].yaxis.tick_right()
    grid[0, -1].tick_params(labelright=True)
    grid[0, -1].spines["left"].set_visible(False)
    grid[0, -1].spines["right"].set_visible(True)


def _frame_cell(ax: Axes, horizontal, vertical) -> None:
    ax.set_xlim(horizontal)
    ax.spines[["top", "right"]].set_visible(False)
    if vertical is None:
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
    else:
        ax.set_ylim(vertical)


def _caption(num_hidden, num_shown, size) -> str:
    text = "below: data; above: samples; diagonal: data filled, samples outlined"
    text += f"; {num_hidden} samples beyond the view" if num_hidden else ""
    return text + (f"; {num_shown} of {size} dimensions" if num_shown < size else "")
