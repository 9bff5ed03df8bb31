"""Scatter plots of data and samples of a two-dimensional flow, coloured by component."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import (
    current_axes,
    data_labels,
    dot_size,
    frame,
    limits_of,
    outside,
)
from tfp_gmnvp.plotting.colours import DATA_COLOUR, blend_colours

__all__ = ["plot_responsibilities", "plot_samples"]


def plot_responsibilities(
    flow, x: np.ndarray, *, labels: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Plots data, each point in the responsibility-weighted blend of the components' colours.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]`.
      labels: names, with units, of the two dimensions; if None those of a table's columns, or x₁
        and x₂.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the flow is not two-dimensional or x not `[N, 2]` and finite.

    >>> from matplotlib import pyplot
    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> plot_responsibilities(flow, np.zeros([3, 2])).get_title()
    'Data, by responsibility'
    >>> pyplot.close()
    """
    on_arrays.require_plane(flow, "plot_responsibilities")
    names, x = columns.text_labels(flow, x), on_arrays.as_points(flow, x)
    names = data_labels(labels, 2, names=names)
    colours = blend_colours(on_arrays.responsibilities(flow, x))
    ax = ax or current_axes()
    _scatter(ax, x, colours, label="data")
    frame(ax, limits_of(x), names, "Data, by responsibility")
    return ax


def plot_samples(
    flow,
    x: np.ndarray,
    *,
    num_samples: int | None = None,
    seed: int = 0,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plots samples, coloured by responsibility, over the data in grey.

    The view holds the data and a quarter of its range around; the title counts the samples beyond.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]`.
      num_samples: number of samples; that of the data if None.
      seed: integer seed; the same seed gives the same samples.
      labels: names, with units, of the two dimensions; if None those of a table's columns, or x₁
        and x₂.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the flow is not two-dimensional or x not `[N, 2]` and finite.

    >>> from matplotlib import pyplot
    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> x = np.array([[-9.0, -8.0], [11.0, 12.0]])
    >>> ax = plot_samples(flow, x, num_samples=10, seed=0)
    >>> [len(points.get_offsets()) for points in ax.collections]
    [2, 10]
    >>> pyplot.close()
    """
    on_arrays.require_plane(flow, "plot_samples")
    names, x = columns.text_labels(flow, x), on_arrays.as_points(flow, x)
    names = data_labels(labels, 2, names=names)
    samples = on_arrays.draw(flow, len(x) if num_samples is None else num_samples, seed)
    limits = limits_of(x, margin=0.25)
    visible = samples[~outside(samples, limits)]
    ax = ax or current_axes()
    _scatter(ax, x, DATA_COLOUR, label="data", zorder=1)
    if len(visible):
        colours = blend_colours(on_arrays.responsibilities(flow, visible))
        _scatter(ax, visible, colours, label="samples")
    hidden = len(samples) - len(visible)
    title = "Samples over data (grey)"
    if hidden:
        title += f"\n{hidden} of {len(samples)} samples beyond the view"
    frame(ax, limits, names, title)
    return ax


def _scatter(ax: Axes, points: np.ndarray, colours, *, label: str, zorder: float = 2) -> None:
    size = dot_size(len(points))
    style = {"linewidths": 0, "alpha": 0.8, "rasterized": True}
    ax.scatter(*points.T, c=colours, s=size, label=label, zorder=zorder, **style)
