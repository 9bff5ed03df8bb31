"""Grids of images, and image flows by component."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tfp_gmnvp.flows.gaussian_mixture_flow import sample_component
from tfp_gmnvp.plotting.axes import current_axes, to_be_filled

__all__ = ["plot_component_images", "plot_images"]

_GAP = 0.85  # the grey of the lines between images


def plot_images(
    images: np.ndarray,
    *,
    num_levels: float,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plots rows of images with a thin line between them.

    Args:
      images: array `[R, M, H, W, C]` of R rows of M images, of one channel (grey, larger is
        brighter) or three (red, green, blue). Values outside the range are shown at its ends.
      num_levels: the value of white; that of black is 0.
      row_labels: a text for each row.
      column_labels: a text for each column, above it.
      title: of the axes.
      ax: axes to draw in; the current ones of pyplot if None.

    Returns:
      The axes.

    Raises:
      ValueError: if the images are of another shape.

    >>> from matplotlib import pyplot
    >>> ax = plot_images(np.zeros([2, 5, 8, 8, 1]), num_levels=17, row_labels=["a", "b"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['a', 'b']
    >>> pyplot.close()
    """
    images = np.asarray(images)
    if images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have shape [R, M, H, W, 1 or 3], got {list(images.shape)}.")
    rows, columns, height, width, channels = images.shape
    shown = np.clip(images / num_levels, 0.0, 1.0)
    line = max(1, height // 16)
    shown = np.pad(shown, [(0, 0), (0, 0), (0, line), (0, line), (0, 0)], constant_values=_GAP)
    mosaic = shown.transpose(0, 2, 1, 3, 4)
    mosaic = mosaic.reshape(rows * (height + line), columns * (width + line), channels)
    mosaic = mosaic[:-line, :-line]
    if ax is None:
        ax = current_axes((0.6 * columns + 1.0, 0.6 * rows * height / width + 0.5))
    ax.imshow(mosaic if channels == 3 else mosaic[..., 0], cmap="gray", vmin=0.0, vmax=1.0)
    ax.set_xticks((width + line) * np.arange(columns) + width / 2 - 0.5, column_labels or [])
    if not column_labels:
        ax.set_xticks([])
    ax.xaxis.tick_top()
    ax.set_yticks(
        (height + line) * np.arange(rows if row_labels else 0) + height / 2 - 0.5, row_labels or []
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title, fontsize=11)
    return ax


def plot_component_images(
    flow,
    *,
    num_levels: float,
    num_samples: int = 10,
    title: str | None = None,
    seed: int = 0,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Plots the mean and samples of each component of an image flow.

    The mean is `forward(mu_k)`. Rows are sorted by descending weight; their labels are the
    components' indices, 0 .. K-1, and weights.

    Args:
      flow: made by `image_flow`.
      num_levels: the value of white.
      num_samples: number of samples per row, next to the mean.
      title: of the figure.
      seed: integer seed of the samples.
      figure: figure to draw in; a new one, pyplot's current, if None.

    Returns:
      The figure.

    >>> from matplotlib import pyplot
    >>> from tfp_gmnvp import image_flow
    >>> flow = image_flow([4, 4, 1], 3, num_filters=2, num_blocks=0, seed=0)
    >>> figure = plot_component_images(flow, num_levels=256, num_samples=5, seed=0)
    >>> len(figure.axes), len(figure.axes[0].get_yticklabels())
    (2, 3)
    >>> pyplot.close()
    """
    mixture = flow.distribution
    probs = mixture.mixture_distribution.probs_parameter().numpy()
    order = np.argsort(-probs)
    means = flow.bijector.forward(mixture.components_distribution.mean()).numpy()[order]
    samples = np.stack(
        [sample_component(flow, int(k), num_samples, seed=[seed, int(k)]).numpy() for k in order]
    )
    height = 0.9 + 0.55 * len(probs) * means.shape[1] / means.shape[2]
    figure = to_be_filled(figure, (1.9 + 0.55 * (num_samples + 1), height), "constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, num_samples))
    plot_images(
        means[:, np.newaxis],
        num_levels=num_levels,
        row_labels=[f"{k} ({probs[k]:.0%})" for k in order],
        title="mean",
        ax=left,
    )
    plot_images(samples, num_levels=num_levels, title="samples", ax=right)
    if title is not None:
        figure.suptitle(title, fontsize=13)
    return figure
