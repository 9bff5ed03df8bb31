"""Plots of the latent space: latents of data, and the warped grid."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import (
    BESIDE,
    LEGEND_STYLE,
    current_axes,
    data_labels,
    dot_size,
    frame,
    limits_of,
)
from tfp_gmnvp.plotting.colours import DATA_COLOUR, blend_colours, component_colours
from tfp_gmnvp.plotting.legends import colour_key, weight_legend

__all__ = ["draw_component", "plot_latents", "plot_warped_grid"]

_GRID_REACH = 3.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_GRID_COLOURS = ("#0072B2", "#D55E00")


def plot_latents(flow, x: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Plots latents `z = inverse(x)` with each component's mean and 1- and 2-sigma ellipses.

    An ellipse has the covariance's eigenvectors for axes and the square roots of its eigenvalues,
    once and twice, for half-lengths. Components are numbered 0 .. K-1,
    as everywhere; the legend has their weights.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]`.
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
    >>> ax = plot_latents(flow, np.zeros([3, 2]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0: 0.30', '1: 0.70']
    >>> pyplot.close()
    """
    on_arrays.require_plane(flow, "plot_latents")
    x = on_arrays.as_points(flow, x)
    z = on_arrays.inverse(flow, x)
    mixture = on_arrays.mixture_arrays(flow)
    ax = ax or current_axes()
    colours = blend_colours(np.exp(on_arrays.log_responsibilities(flow, z)))
    style = {"linewidths": 0, "alpha": 0.55, "rasterized": True}
    ax.scatter(*z.T, c=colours, s=dot_size(len(z)), zorder=1, label="latents", **style)
    extents = [
        draw_component(ax, *parameters, number=k)
        for k, parameters in enumerate(_components(mixture))
    ]
    frame(ax, limits_of(z, *extents), data_labels(None, 2, "z"), "Latents and mixture")
    if ax.get_aspect() != "auto":
        ax.set_aspect("equal", adjustable="datalim")  # widens the view instead of the panel
        ax.set_autoscale_on(True)  # matplotlib warns if limits are fixed
    weight_legend(ax, mixture.probs, **BESIDE)
    return ax


def plot_warped_grid(
    flow,
    x: np.ndarray | None = None,
    *,
    num_lines: int = 31,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plots a regular grid of the latent space, and 1- and 2-sigma ellipses, mapped to data space.

    The grid fills the box of the latents and of three standard deviations about each component; the
    view holds the data, if given, and the ellipses, and cuts lines that lead further.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]` to draw underneath; none if None.
      num_lines: lines in each direction.
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
    >>> plot_warped_grid(flow).get_title()
    'Latent grid, pushed forward'
    >>> pyplot.close()
    """
    on_arrays.require_plane(flow, "plot_warped_grid")
    if num_lines < 2:
        raise ValueError(f"num_lines must be at least 2, got {num_lines}.")
    names = data_labels(labels, 2, names=columns.text_labels(flow, x))
    x = None if x is None else on_arrays.as_points(flow, x)
    ax = ax or current_axes()
    mixture = on_arrays.mixture_arrays(flow)
    reach = [
        _ring(*pair, _GRID_REACH) for pair in zip(mixture.means, mixture.covariances, strict=True)
    ]
    seen = _push(flow, reach)
    if x is not None:
        ax.scatter(*x.T, c=DATA_COLOUR, s=dot_size(len(x)), linewidths=0, zorder=0, label="data")
        seen, reach = [x], [*reach, on_arrays.inverse(flow, x)]
    families = _grid_lines(limits_of(*reach), num_lines)
    for family, colour in zip(families, _GRID_COLOURS, strict=True):
        style = {"colors": colour, "linewidths": 0.8, "alpha": 0.5, "zorder": 1}
        ax.add_collection(LineCollection(_push(flow, family), **style))
    for mean, covariance, colour in _components(mixture):
        rings = _push(flow, [_ring(mean, covariance, radius) for radius in (1.0, 2.0)])
        ax.add_collection(LineCollection(rings, colors=[colour], linewidths=2.0, zorder=3))
        seen += rings
    frame(ax, limits_of(*seen), names, "Latent grid, pushed forward")
    families = zip(_GRID_COLOURS, ("z₁", "z₂"), strict=True)
    handles = [colour_key(colour, f"along {z}") for colour, z in families]
    ax.legend(handles=handles, **LEGEND_STYLE, **BESIDE)
    return ax


def _components(mixture):
    colours = component_colours(len(mixture.probs))
    return list(zip(mixture.means, mixture.covariances, colours, strict=True))


def draw_component(ax, mean, covariance, colour, *, number) -> np.ndarray:
    """Draws mean and ellipses, and returns points that the view must show."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(eigenvectors[1, 1], eigenvectors[0, 1]))
    for radius in (1.0, 2.0):
        minor, major = 2 * radius * np.sqrt(eigenvalues)
        style = {"fill": False, "edgecolor": colour, "linewidth": 1.8, "zorder": 3}
        casing = [withStroke(linewidth=4.0, foreground="white")]  # visible on dense latents
        ax.add_patch(Ellipse(mean, major, minor, angle=angle, path_effects=casing, **style))
    ax.plot(*mean, marker="o", markersize=12, color=colour, markeredgecolor="white", zorder=4)
    contrast = "white" if colour @ _LUMINANCE < 0.6 else "black"
    style = {"color": contrast, "fontsize": 8, "ha": "center", "va": "center", "zorder": 5}
    ax.annotate(str(number), mean, **style)
    return _ring(mean, covariance, 2.0)


def _ring(mean, covariance, radius, num_points=181) -> np.ndarray:
    """Returns the points `[num_points, 2]` at `radius` standard deviations from the mean."""
    angles = np.linspace(0.0, 2 * np.pi, num_points)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return mean + radius * circle @ np.linalg.cholesky(covariance).T


def _grid_lines(limits, num_lines, num_points=401) -> list[list[np.ndarray]]:
    """Returns the grid lines along z₁ and along z₂ within the limits."""
    families = []
    for along in (0, 1):
        line = np.empty((num_lines, num_points, 2))
        line[..., along] = np.linspace(*limits[along], num_points)
        line[..., 1 - along] = np.linspace(*limits[1 - along], num_lines)[:, None]
        families.append(list(line))
    return families


def _push(flow, lines: list[np.ndarray]) -> list[np.ndarray]:
    """Evaluates `forward` of all lines together."""
    dtype = flow.dtype.as_numpy_dtype
    pushed = on_arrays.forward(flow, np.concatenate(lines).astype(dtype))
    return np.split(pushed, np.cumsum([len(line) for line in lines])[:-1])
