"""Plots of the density of a two-dimensional flow, with decision borders of its components."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import Limits, current_axes, data_labels, frame, limits_of

__all__ = ["plot_density"]

_BORDER_COLOUR = "white"


def plot_density(
    flow,
    x: np.ndarray | None = None,
    *,
    limits: Limits | None = None,
    resolution: int = 200,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plots the density p(x) on a grid, and the decision borders between components.

    The white borders are the zeros of `log r_k - max_{j != k} log r_j`.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]` that the view shows; required unless `limits` is given.
      limits: `((x1_min, x1_max), (x2_min, x2_max))`; from x, with a margin, if None.
      resolution: cells in each direction.
      labels: names, with units, of the two dimensions; if None those of a table's columns, or x₁
        and x₂.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the flow is not two-dimensional or neither x nor limits is given.

    >>> from matplotlib import pyplot
    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> plot_density(flow, limits=((-3, 5), (-2, 6)), resolution=20).get_title()
    'Density and decision borders'
    >>> pyplot.close()
    """
    on_arrays.require_plane(flow, "plot_density")
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, got {resolution}.")
    limits = _limits(flow, x, limits)
    names = data_labels(labels, 2, names=columns.text_labels(flow, x))
    edges = [np.linspace(low, high, resolution + 1) for low, high in limits]
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    grid = np.stack(np.meshgrid(*centres), axis=-1).reshape(-1, 2)
    points = on_arrays.as_points(flow, grid)
    density = np.exp(on_arrays.log_prob(flow, points)).reshape(resolution, resolution)
    ax = ax or current_axes()
    mesh = ax.pcolormesh(*edges, density, cmap="viridis", vmin=0.0, rasterized=True)
    _draw_borders(ax, flow, centres, points)
    frame(ax, limits, names, "Density and decision borders")
    bar = ax.figure.colorbar(mesh, cax=ax.inset_axes([1.03, 0.0, 0.04, 1.0]))
    bar.set_label("p(x), probability per unit area")
    bar.outline.set_visible(False)
    return ax


def _limits(flow, x, limits) -> Limits:
    if limits is None:
        if x is None:
            raise ValueError("plot_density needs x or limits to know what to show, got neither.")
        return limits_of(on_arrays.as_points(flow, x), margin=0.25)
    if np.shape(limits) != (2, 2) or not np.all(np.diff(limits) > 0):
        raise ValueError(f"limits must be ((low, high), (low, high)), got {limits}.")
    return limits


def _draw_borders(ax, flow, centres, points) -> None:
    """Draws the zero contours of each component's log-odds against the best of the others."""
    log_r = on_arrays.log_responsibilities(flow, on_arrays.inverse(flow, points))
    winners = np.unique(log_r.argmax(axis=-1))
    if len(winners) < 2:
        return
    for k in winners:
        lead = log_r[:, k] - np.delete(log_r, k, axis=-1).max(axis=-1)
        lead = np.clip(lead, -1e3, 1e3).reshape(len(centres[1]), len(centres[0]))
        style = {"colors": _BORDER_COLOUR, "linewidths": 0.9, "alpha": 0.9}
        ax.contour(*centres, lead, levels=[0.0], **style)
