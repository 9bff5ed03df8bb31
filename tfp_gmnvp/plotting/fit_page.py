"""One page on what `fit_density` found."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import ScalarFormatter

from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.plotting.axes import LEGEND_STYLE, data_labels, dot_size, limits_of, to_be_filled
from tfp_gmnvp.plotting.colours import DATA_COLOUR, INK, blend_colours, component_colours
from tfp_gmnvp.plotting.history import plot_history
from tfp_gmnvp.plotting.latent import draw_component
from tfp_gmnvp.plotting.pairs import pair_plot

__all__ = ["plot_fit"]

_MOST_COLUMNS = 4
_LEAST_SPAN = 0.1  # of held-out scores, in nats
_MOST_NUMBERED = 8  # weights
_SIZE = (13.0, 8.6)
_LINESTYLES = ("-", "--", ":", "-.")
_TEXT_WIDTH = 130  # characters


def plot_fit(
    fit, x: np.ndarray | None = None, *, seed: int = 0, figure: Figure | SubFigure | None = None
) -> Figure | SubFigure:
    """Plots data and samples in pairs of columns, weights, latents, losses, and what was chosen.

    Args:
      fit: what `fit_density` returned.
      x: rows `[N, D]`; those that the fit holds if None.
      seed: integer seed of the samples.
      figure: figure to draw in, empty; a new one, pyplot's current, if None.

    Returns:
      The figure.

    Raises:
      ValueError: if there is no x, and the fit holds no rows as it was read from a file.

    >>> from matplotlib import pyplot
    >>> import tfp_gmnvp
    >>> x = np.random.default_rng(0).normal(size=[80, 2])
    >>> fit = tfp_gmnvp.fit_density(x, num_components=[1, 2], seed=0)
    >>> figure = plot_fit(fit)
    >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
    ['Weights', 'Mixtures that were tried', 'Latents and mixture', 'Training']
    >>> pyplot.close()
    """
    if x is None and fit.rows is None:
        raise ValueError("`x` must be given: a fit that was read from a file holds no rows.")
    names = columns.text_labels(fit.flow, x)
    x = on_arrays.as_points(fit.flow, fit.rows if x is None else x)
    figure = to_be_filled(figure, _SIZE, "constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(7.4, 1.0))
    left, right = above.subfigures(1, 2, width_ratios=(1.55, 1.0))
    _draw_data(left, fit.flow, x, data_labels(None, x.shape[1], names=names), seed)
    grid = right.subplots(2, 2)
    _draw_weights(grid[0, 0], on_arrays.mixture_arrays(fit.flow).probs)
    _draw_candidates(grid[0, 1], fit.candidates)
    _draw_latents(grid[1, 0], fit.flow, x)
    _draw_training(grid[1, 1], fit)
    figure.suptitle(textwrap.shorten(fit.title, _TEXT_WIDTH, placeholder=" …"), fontsize=12)
    lines = [textwrap.fill(line, _TEXT_WIDTH) for line in fit.explanation()]
    style = {"fontsize": 10, "color": INK, "va": "center", "linespacing": 1.5}
    below.text(0.02, 0.5, "\n".join(lines).replace("+-", "±"), **style)
    return figure


def _draw_data(figure, flow, x, labels, seed) -> None:
    if x.shape[1] > 1:
        shown = range(min(x.shape[1], _MOST_COLUMNS))
        pair_plot(flow, x, seed=seed, labels=labels, dimensions=shown, figure=figure)
        figure.legends[0].remove()  # weights have a panel of their own
        return
    ax = figure.subplots()
    low, high = np.quantile(x, [0.001, 0.999])
    if not high > low:
        low, high = low - 1.0, high + 1.0
    margin = 0.1 * (high - low)
    bins = np.linspace(low - margin, high + margin, 61)
    samples = on_arrays.draw(flow, len(x), seed)[:, 0]
    ax.hist(x[:, 0], bins=bins, density=True, color=DATA_COLOUR, label="data")
    line = {"histtype": "step", "color": INK, "linewidth": 1.2}
    ax.hist(samples, bins=bins, density=True, label="samples", **line)
    points = np.linspace(bins[0], bins[-1], 601)[:, np.newaxis]
    log_prob = on_arrays.log_prob(flow, on_arrays.as_points(flow, points))
    ax.plot(points[:, 0], np.exp(log_prob), color=component_colours(1)[0], label="density")
    ax.set_xlabel(labels[0])
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(**LEGEND_STYLE)


def _draw_weights(ax: Axes, probs) -> None:
    numbers = np.arange(len(probs))
    ax.bar(numbers, probs, color=component_colours(len(probs)), width=0.7)
    for k, weight in enumerate(probs if len(probs) <= _MOST_NUMBERED else ()):
        ax.annotate(f"{weight:.2f}", (k, weight), ha="center", va="bottom", fontsize=7, color=INK)
    ax.set_xlim(-0.6, len(probs) - 0.4)
    ax.set_ylim(0, 1.12 * probs.max())
    ax.set_xticks(numbers[:: -(-len(probs) // 10)])
    _finish(ax, "Weights", "component", "weight")


def _draw_candidates(ax: Axes, candidates) -> None:
    """Held-out scores by number of components, a line for each type of covariance and prior."""
    kinds = list(dict.fromkeys((c.covariance_type, c.shrinkage) for c in candidates))
    types = list(dict.fromkeys(covariance_type for covariance_type, _ in kinds))
    colours = dict(zip(types, component_colours(max(1, len(types))), strict=False))
    for covariance_type, shrinkage in sorted(kinds):
        of_type = sorted(s for t, s in kinds if t == covariance_type)
        mine = sorted(
            (c.num_components, c.held_out)
            for c in candidates
            if (c.covariance_type, c.shrinkage) == (covariance_type, shrinkage)
        )
        label = covariance_type + (f", shrinkage {shrinkage:g}" if shrinkage else "")
        style = {"color": colours[covariance_type], "markersize": 3, "linewidth": 1.2}
        style["linestyle"] = _LINESTYLES[of_type.index(shrinkage) % len(_LINESTYLES)]
        ax.plot(*zip(*mine, strict=True), marker="o", label=label, **style)
    scores = np.array([c.held_out for c in candidates])
    if len(scores) and np.isfinite(scores).any():
        best = candidates[0]
        ring = {"s": 90, "facecolors": "none", "edgecolors": INK, "linewidths": 1.6, "zorder": 3}
        ax.scatter(best.num_components, best.held_out, **ring)
        high = np.max(scores[np.isfinite(scores)])
        low = max(np.min(scores[np.isfinite(scores)]), high - 4 * (high - np.median(scores)) - 0.1)
        span = max(high - low, _LEAST_SPAN)
        ax.set_ylim(low - 0.06 * span, high + 0.08 * span)
        ax.legend(**{**LEGEND_STYLE, "fontsize": 7})
    ax.set_xticks(sorted({c.num_components for c in candidates}))
    ax.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    _finish(ax, "Mixtures that were tried", "components", "held-out nats per row")


def _draw_latents(ax: Axes, flow, x) -> None:
    z = on_arrays.inverse(flow, x)
    mixture = on_arrays.mixture_arrays(flow)
    colours = component_colours(len(mixture.probs))
    if z.shape[1] == 1:
        points = np.linspace(z.min() - 0.5, z.max() + 0.5, 401)
        ax.hist(z[:, 0], bins=40, density=True, color=DATA_COLOUR)
        parts = zip(mixture.probs, mixture.means, mixture.covariances, colours, strict=True)
        for weight, mean, variance, colour in parts:
            scaled = np.square(points - mean[0]) / variance[0, 0]
            density = weight * np.exp(-0.5 * scaled) / np.sqrt(2 * np.pi * variance[0, 0])
            ax.plot(points, density, color=colour)
        _finish(ax, "Latents and mixture", "z₁", "density")
        return
    blended = blend_colours(np.exp(on_arrays.log_responsibilities(flow, z)))
    style = {"linewidths": 0, "alpha": 0.55, "rasterized": True, "zorder": 1}
    ax.scatter(z[:, 0], z[:, 1], c=blended, s=dot_size(len(z)), **style)
    for k, (mean, covariance) in enumerate(
        zip(mixture.means[:, :2], mixture.covariances[:, :2, :2], strict=True)
    ):
        draw_component(ax, mean, covariance, colours[k], number=k)
    view = limits_of(z[:, :2])
    ax.set(xlim=view[0], ylim=view[1])
    _finish(ax, "Latents and mixture", "z₁", "z₂")


def _draw_training(ax: Axes, fit) -> None:
    if fit.history.get("loss"):
        plot_history(fit.history, ax=ax)
        ax.get_legend().remove()
        names = ["training", "validation"][: len(ax.get_lines())]
        ax.legend(ax.get_lines()[:2], names, **{**LEGEND_STYLE, "fontsize": 8})
        _finish(ax, "Training", "epoch", "nats per row")
        return
    ax.set_axis_off()
    ax.set_title("Training", fontsize=10)
    style = {"ha": "center", "va": "center", "fontsize": 9, "color": INK}
    ax.text(0.5, 0.5, "no flow was trained", transform=ax.transAxes, **style)


def _finish(ax: Axes, title, xlabel, ylabel) -> None:
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel, fontsize=8)
    ax.set_ylabel(ylabel, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
