"""Applications of a trained density: counting clusters, outliers, samples and paths.

    python examples/gallery.py --output gallery

Draws four figures and prints their numbers:

    selection.png      two criteria by number of components, for a pinwheel with five arms
    components.png     samples of each component of the selected flow
    outliers.png       outlier scores of moons and noise, and the limit that 5 % of moons exceed
    interpolation.png  paths that are straight in the latents, and straight paths in the data
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib

matplotlib.use("Agg")

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn import metrics

import tfp_gmnvp as gmnvp
from tfp_gmnvp import datasets, plotting

BATCH_SIZE = 250
NUM_POINTS = 2000
CONTAMINATION = 0.05
INK, GREY = "0.15", "0.8"
KEY = {"frameon": False, "fontsize": 9, "handletextpad": 0.4}
SHADES = ListedColormap(matplotlib.colormaps["Greys_r"](np.linspace(0.5, 1.0, 256)))


def make_model(num_components: int, x: np.ndarray, seed: int, *, num_steps: int, **sizes):
    """A compiled model whose learning rate decays to zero."""
    flow = gmnvp.gaussian_mixture_flow(
        x.shape[1], num_components, standardize=x, seed=seed, **sizes
    )
    model = gmnvp.FlowModel(flow, seed=seed)
    rate = tf.keras.optimizers.schedules.CosineDecay(4e-3, num_steps)
    optimizer = tf.keras.optimizers.Adam(rate, global_clipnorm=1.0)
    model.compile(optimizer, mixture_update=gmnvp.FullBatchEM())
    return model


def select(epochs: int, most_components: int, seed: int):
    """Selects the number of a pinwheel's arms; returns the selection and the data."""
    pinwheel = datasets.pinwheel()
    x, labels = pinwheel.sample_with_labels(NUM_POINTS, seed=2 * seed)
    x_test = pinwheel.sample(NUM_POINTS, seed=2 * seed + 1)
    num_steps = epochs * NUM_POINTS // BATCH_SIZE
    sizes = {"num_couplings": 4, "hidden_units": (32, 32)}
    selection = gmnvp.select_components(
        x,
        range(1, most_components + 1),
        criterion="icl",
        make_model=functools.partial(make_model, num_steps=num_steps, **sizes),
        x_test=x_test,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        seed=seed,
    )
    print(f"Pinwheel of five arms\n{selection}")
    found = gmnvp.predict_component(selection.model.distribution, x.astype(np.float32))
    print(f"adjusted Rand index {metrics.adjusted_rand_score(labels, found):.3f}")
    information = metrics.normalized_mutual_info_score(labels, found)
    print(f"normalised mutual information {information:.3f}")
    return selection, x


def train_moons(epochs: int, seed: int):
    """Trains a flow on two moons; returns it and held-out points."""
    moons = datasets.two_moons()
    x, held_out = (moons.sample(NUM_POINTS, seed=10 + 2 * seed + i) for i in range(2))
    model = make_model(2, x, seed, num_steps=epochs * NUM_POINTS // BATCH_SIZE)
    tf.keras.utils.set_random_seed(seed)
    model.fit(x, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    return model.distribution, held_out


def draw_selection(selection) -> Figure:
    """Selects the number of separate clusters, and of components that describe the density best."""
    figure = Figure(figsize=(9.6, 3.6), dpi=100, layout="constrained")
    titles = {"icl": "Clusters of a pinwheel with five arms", "held_out": "Its density"}
    for ax, (criterion, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        plotting.plot_selection(dataclasses.replace(selection, criterion=criterion), ax=ax)
        ax.set_title(title, fontsize=11)
    return figure


def draw_components(flow, x, seed: int) -> Figure:
    """Samples of each component in its colour, over the data in grey."""
    figure = Figure(figsize=(5.8, 4.4), dpi=110, layout="compressed")
    ax = figure.subplots()
    ax.scatter(*x.T, s=3, color=GREY, linewidths=0, label="data")
    probs = flow.distribution.mixture_distribution.probs_parameter().numpy()
    shown = [x]
    for k, colour in enumerate(plotting.component_colours(len(probs))):
        samples = gmnvp.sample_component(flow, k, 150, seed=[seed, k]).numpy()
        label = f"{k}, weight {probs[k]:.2f}"
        ax.scatter(*samples.T, s=7, color=colour, linewidths=0, label=label)
        shown.append(samples)
    finish(ax, "Samples of each component", np.concatenate(shown))
    ax.legend(
        title="component", markerscale=2.5, loc="upper left", bbox_to_anchor=(1.0, 1.0), **KEY
    )
    return figure


def draw_outliers(flow, known, seed: int) -> Figure:
    """Draws new moons and uniform noise by whether they are outliers, and the limit."""
    detector = gmnvp.OutlierDetector(flow, known, contamination=CONTAMINATION)
    fresh = datasets.two_moons().sample(600, seed=100 + seed)
    low, high = known.min(axis=0) - 0.4, known.max(axis=0) + 0.4
    noise = np.random.default_rng(seed).uniform(low, high, size=[60, 2])
    for name, points in (("known moons", known), ("fresh moons", fresh), ("noise", noise)):
        print(f"{name}: {100 * detector.is_outlier(points).mean():.1f} % are outliers")
    figure = Figure(figsize=(6.4, 3.8), dpi=110, layout="constrained")
    ax = figure.subplots()
    edges = [np.linspace(a - 0.1, b + 0.1, 241) for a, b in zip(low, high, strict=True)]
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    grid = np.stack(np.meshgrid(*centres), axis=-1)
    scores = detector.score(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    shades = ax.pcolormesh(*edges, scores, cmap=SHADES, vmin=0.0, vmax=1.0, rasterized=True)
    border = {"colors": INK, "linewidths": 1.2, "linestyles": "-"}
    ax.contour(*centres, flow.log_prob(grid.astype(np.float32)), [detector.threshold], **border)
    for name, points, marker in (("moons", fresh, "o"), ("noise", noise, "^")):
        is_outlier = detector.is_outlier(points)
        for flag, colour in zip((False, True), plotting.component_colours(2), strict=True):
            label = f"{name}, {'outliers' if flag else 'inliers'}"
            mine = points[is_outlier == flag]
            style = {"marker": marker, "s": 5 if marker == "o" else 30, "linewidths": 0}
            ax.scatter(*mine.T, color=colour, label=label, **style)
    finish(ax, f"Outliers: score above {1 - CONTAMINATION:.2f}", grid)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, markerscale=1.6, **KEY)
    figure.colorbar(shades, cax=ax.inset_axes([1.03, 0.0, 0.03, 1.0]), label="outlier score")
    return figure


def draw_paths(flow, x) -> Figure:
    """Plots paths along a moon and between the moons, and straight lines between their ends."""
    t = np.array([[0.08, 0.92], [0.3, 0.75]]) * np.pi
    upper = np.stack([np.cos(t), np.sin(t)], axis=-1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=-1)
    a = np.stack([upper[0, 0], lower[0, 0], upper[1, 1]])
    b = np.stack([upper[0, 1], lower[0, 1], lower[1, 1]])
    paths = gmnvp.interpolate(flow, a, b, 201).numpy()
    lines = np.linspace(a, b, 201)
    figure = Figure(figsize=(6.4, 3.8), dpi=110, layout="constrained")
    ax = figure.subplots()
    ax.scatter(*x.T, s=3, color=GREY, linewidths=0, label="data")
    for j, colour in enumerate(plotting.component_colours(3)):
        ax.plot(*paths[:, j].T, color=colour, linewidth=2.2)
        ax.plot(*lines[:, j].T, color=colour, linewidth=1.4, linestyle="--")
        ax.plot(*paths[[0, -1], j].T, "o", color=colour, markeredgecolor="white", markersize=8)
        for name, points in (("latents", paths), ("data", lines)):
            log_prob = flow.log_prob(points[:, j].astype(np.float32)).numpy()
            print(f"path {j + 1}, straight in the {name}: least log p {log_prob.min():.2f} nats")
    handles = [
        Line2D([], [], color=INK, linewidth=2.2, label="straight in the latents"),
        Line2D([], [], color=INK, linewidth=1.4, linestyle="--", label="straight in the data"),
    ]
    ax.legend(handles=handles, loc="upper right", **KEY)
    finish(ax, "From point to point", x)
    return figure


def finish(ax, title: str, x) -> None:
    """Sets limits around the points, equal units, labels and a legend."""
    points = np.reshape(x, [-1, 2])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.0 if np.ndim(x) == 3 else 0.15  # show the grid up to its edge
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    ax.set(xlabel="x₁", ylabel="x₂", aspect="equal")
    ax.set_title(title, fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Trains, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("gallery"))
    parser.add_argument("--epochs", type=int, default=50, help="passes over the data, every flow")
    parser.add_argument("--most-components", type=int, default=7, help="largest K to try")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.epochs < 1 or args.most_components < 1:
        parser.error("--epochs and --most-components must be at least 1")
    start = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    selection, x = select(args.epochs, args.most_components, args.seed)
    moons_flow, held_out = train_moons(args.epochs, args.seed)
    figures = {
        "selection": draw_selection(selection),
        "components": draw_components(selection.model.distribution, x, args.seed),
        "outliers": draw_outliers(moons_flow, held_out, args.seed),
        "interpolation": draw_paths(moons_flow, held_out),
    }
    for name, figure in figures.items():
        figure.savefig(args.output / f"{name}.png")
    print(f"{time.perf_counter() - start:.0f} s; {', '.join(figures)} are in {args.output}")


if __name__ == "__main__":
    main()
