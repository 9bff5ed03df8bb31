"""Overview figures of a flow."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure, SubFigure

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import data_labels, equal_aspect_ratio, limits_of, to_be_filled
from tfp_gmnvp.plotting.data import plot_responsibilities, plot_samples
from tfp_gmnvp.plotting.density import plot_density
from tfp_gmnvp.plotting.images import plot_component_images
from tfp_gmnvp.plotting.latent import plot_latents
from tfp_gmnvp.plotting.pairs import pair_plot

__all__ = ["plot_flow"]


def plot_flow(
    flow,
    x: np.ndarray,
    *,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Plots data, latents, samples and density in one figure, or all pairs of dimensions.

    For image flows it plots samples of each component; see `plot_component_images`.

    Args:
      flow: `tfd.TransformedDistribution` of a `tfd.MixtureSameFamily`.
      x: data `[N, D]`, or images `[N, H, W, C]`.
      title: of the whole figure; none if None.
      labels: names, with units, of the D dimensions; if None those of a table's columns, or x₁, x₂,
        ...
      seed: integer seed of the samples.
      figure: figure to draw in, empty; a new one, pyplot's current, if None.

    Returns:
      The figure. `pyplot.close(figure)` frees its memory.

    Raises:
      ValueError: if x is not `[N, D]` and finite.

    >>> from matplotlib import pyplot
    >>> from tensorflow_probability import bijectors as tfb, distributions as tfd
    >>> prior = tfd.MixtureSameFamily(
    ...     tfd.Categorical(probs=[0.3, 0.7]),
    ...     tfd.MultivariateNormalDiag(loc=[[-1.0, 0.0], [1.0, 0.0]], scale_diag=[[1.0, 1.0]]),
    ... )
    >>> flow = tfd.TransformedDistribution(prior, tfb.Shift([1.0, 2.0]))
    >>> figure = plot_flow(flow, np.eye(2), title="Two points", seed=0)
    >>> [ax.get_title() for ax in figure.axes][:2]
    ['Data, by responsibility', 'Latents and mixture']
    >>> pyplot.close()
    """
    if flow.event_shape.rank == 3:
        return plot_component_images(
            flow, num_levels=np.ceil(np.max(x)), title=title, seed=seed, figure=figure
        )
    names, x = columns.text_labels(flow, x), on_arrays.as_points(flow, x)
    labels = data_labels(labels, x.shape[1], names=names)
    if x.shape[1] > 2:
        grid = pair_plot(flow, x, seed=seed, labels=labels, figure=figure)
        figure = grid[0, 0].figure
    else:
        figure = to_be_filled(figure, _figsize(x))
        data, latents, samples, density = figure.subplots(2, 2).ravel()
        plot_responsibilities(flow, x, labels=labels, ax=data)
        plot_latents(flow, x, ax=latents)
        plot_samples(flow, x, seed=seed, labels=labels, ax=samples)
        plot_density(flow, x, labels=labels, ax=density)
        data.set(xlim=samples.get_xlim(), ylim=samples.get_ylim())
    if title is not None:
        figure.suptitle(title, fontsize=13)
    return figure


def _figsize(x: np.ndarray) -> tuple[float, float]:
    """Returns the size in inches, such that panels in equal units leave little white space."""
    ratio = equal_aspect_ratio(limits_of(x)) or 0.8
    return 10.0, float(np.clip(2.2 + 7.4 * ratio, 6.0, 9.5))
