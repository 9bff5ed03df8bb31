"""The latent space: where the data falls among the components, and how it is bent into data."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from tfp_gmnvp import evaluate
from tfp_gmnvp.plotting.axes import (
    BESIDE,
    LEGEND_STYLE,
    data_labels,
    dot_size,
    frame,
    limits_of,
    new_axes,
)
from tfp_gmnvp.plotting.colours import DATA_COLOUR, blend_colours, component_colours

__all__ = ["plot_latents", "plot_warped_grid"]

_MOST_LEGEND_ENTRIES = 16
_GRID_REACH = 3.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_GRID_COLOURS = ("#0072B2", "#D55E00")


def plot_latents(flow, x: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Latents `z = inverse(x)` with each component's mean and 1- and 2-sigma ellipses.

    An ellipse has the covariance's eigenvectors for axes and the square roots of its eigenvalues,
    once and twice, for half-lengths. Components are numbered from 1; the legend has their weights.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]`.
      ax: axes to draw in; those of a new figure if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the flow is not two-dimensional or x not `[N, 2]` and finite.

    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> ax = plot_latents(flow, np.zeros([3, 2]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1: 0.30', '2: 0.70']
    """
    evaluate.require_plane(flow, "plot_latents")
    x = evaluate.as_points(flow, x)
    ax = ax or new_axes()
    z = evaluate.inverse(flow, x)
    mixture = evaluate.mixture_of(flow)
    colours = blend_colours(np.exp(evaluate.log_responsibilities(flow, z)))
    style = {"linewidths": 0, "alpha": 0.55, "rasterized": True}
    ax.scatter(*z.T, c=colours, s=dot_size(len(z)), zorder=1, label="latents", **style)
    extents = [
        _draw_component(ax, *parameters, number=k)
        for k, parameters in enumerate(_components(mixture), 1)
    ]
    frame(ax, limits_of(z, *extents), data_labels(None, 2, "z"), "Latents and mixture")
    if ax.get_aspect() != "auto":
        ax.set_aspect("equal", adjustable="datalim")  # the view widens, the panel stays
        ax.set_autoscale_on(True)  # as matplotlib warns where limits were set
    _weight_legend(ax, mixture.probs)
    return ax


def plot_warped_grid(
    flow,
    *,
    x: np.ndarray | None = None,
    num_lines: int = 31,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A regular grid of the latent space, and the 1- and 2-sigma ellipses, pushed forward.

    The grid fills the box of the latents and of three standard deviations about each component; the
    view holds the data, if given, and the ellipses, and cuts lines that lead further.

    Args:
      flow: two-dimensional `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, 2]` to draw underneath; none if None.
      num_lines: lines in each direction.
      labels: names, with units, of the two dimensions; x₁ and x₂ if None.
      ax: axes to draw in; those of a new figure if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the flow is not two-dimensional or x not `[N, 2]` and finite.

    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> plot_warped_grid(flow).get_title()
    'Latent grid, pushed forward'
    """
    evaluate.require_plane(flow, "plot_warped_grid")
    if num_lines < 2:
        raise ValueError(f"num_lines must be at least 2, got {num_lines}.")
    ax = ax or new_axes()
    mixture = evaluate.mixture_of(flow)
    reach = [
        _ring(*pair, _GRID_REACH) for pair in zip(mixture.means, mixture.covariances, strict=True)
    ]
    seen = _push(flow, reach)
    if x is not None:
        x = evaluate.as_points(flow, x)
        ax.scatter(*x.T, c=DATA_COLOUR, s=dot_size(len(x)), linewidths=0, zorder=0, label="data")
        seen, reach = [x], [*reach, evaluate.inverse(flow, x)]
    families = _grid_lines(limits_of(*reach), num_lines)
    for family, colour in zip(families, _GRID_COLOURS, strict=True):
        style = {"colors": colour, "linewidths": 0.8, "alpha": 0.5, "zorder": 1}
        ax.add_collection(LineCollection(_push(flow, family), **style))
    for mean, covariance, colour in _components(mixture):
        rings = _push(flow, [_ring(mean, covariance, radius) for radius in (1.0, 2.0)])
        ax.add_collection(LineCollection(rings, colors=[colour], linewidths=2.0, zorder=3))
        seen += rings
    frame(ax, limits_of(*seen), data_labels(labels, 2), "Latent grid, pushed forward")
    handles = [_line(c, f"along {z}") for c, z in zip(_GRID_COLOURS, ("z₁", "z₂"), strict=True)]
    ax.legend(handles=handles, **LEGEND_STYLE, **BESIDE)
    return ax


def _components(mixture):
    colours = component_colours(len(mixture.probs))
    return list(zip(mixture.means, mixture.covariances, colours, strict=True))


def _draw_component(ax, mean, covariance, colour, *, number) -> np.ndarray:
    """Mean and ellipses; returns points that the view has to hold."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(eigenvectors[1, 1], eigenvectors[0, 1]))
    for radius in (1.0, 2.0):
        minor, major = 2 * radius * np.sqrt(eigenvalues)
        style = {"fill": False, "edgecolor": colour, "linewidth": 1.8, "zorder": 3}
        casing = [withStroke(linewidth=4.0, foreground="white")]  # told from dense latents
        ax.add_patch(Ellipse(mean, major, minor, angle=angle, path_effects=casing, **style))
    ax.plot(*mean, marker="o", markersize=12, color=colour, markeredgecolor="white", zorder=4)
    contrast = "white" if colour @ _LUMINANCE < 0.6 else "black"
    style = {"color": contrast, "fontsize": 8, "ha": "center", "va": "center", "zorder": 5}
    ax.annotate(str(number), mean, **style)
    return _ring(mean, covariance, 2.0)


def _ring(mean, covariance, radius, num_points=181) -> np.ndarray:
    """The points `[num_points, 2]` at `radius` standard deviations from the mean."""
    angles = np.linspace(0.0, 2 * np.pi, num_points)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return mean + radius * circle @ np.linalg.cholesky(covariance).T


def _grid_lines(limits, num_lines, num_points=401) -> list[list[np.ndarray]]:
    """The two families of lines, along z₁ and along z₂, that fill the limits."""
    families = []
    for along in (0, 1):
        line = np.empty((num_lines, num_points, 2))
        line[..., along] = np.linspace(*limits[along], num_points)
        line[..., 1 - along] = np.linspace(*limits[1 - along], num_lines)[:, None]
        families.append(list(line))
    return families


def _push(flow, lines: list[np.ndarray]) -> list[np.ndarray]:
    """`forward` of each line, evaluated together."""
    dtype = flow.dtype.as_numpy_dtype
    pushed = evaluate.forward(flow, np.concatenate(lines).astype(dtype))
    return np.split(pushed, np.cumsum([len(line) for line in lines])[:-1])


def _weight_legend(ax, probs) -> None:
    shown = np.sort(np.argsort(-probs, kind="stable")[:_MOST_LEGEND_ENTRIES])
    colours = component_colours(len(probs))
    handles = [_line(colours[k], f"{k + 1}: {probs[k]:.2f}") for k in shown]
    rest = len(probs) - len(shown)
    if rest:
        handles.append(Line2D([], [], linestyle="", label=f"and {rest} lighter"))
    ax.legend(handles=handles, title="weights", title_fontsize=9, **LEGEND_STYLE, **BESIDE)


def _line(colour, label: str) -> Line2D:
    return Line2D([], [], color=colour, linewidth=2.5, label=label)
