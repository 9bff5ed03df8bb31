"""The figure of `density.py`: one panel per target, one line per method, one dot per seed."""

from __future__ import annotations

import pathlib

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from tfp_gmnvp import plotting

__all__ = ["draw"]

DEFAULTS = {"activation": "silu", "mixing": "permutation"}
MARKERS = {"full": "o", "stepwise": "s", "gradient": "^", "default": "D", "sklearn": "X"}


def draw(table: list[dict]) -> Figure:
    """Divergence from the truth (log scale), or held-out log-likelihood; means and all seeds."""
    targets = list(dict.fromkeys(row["target"] for row in table))
    num_columns = min(3, len(targets))
    num_rows = -(-len(targets) // num_columns)
    most = max(sum(row["target"] == target for row in table) for target in targets)
    height = num_rows * (1.1 + 0.32 * most)
    figure = Figure(figsize=(4.6 * num_columns, height), layout="constrained")
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    methods = list(dict.fromkeys([*MARKERS, *(row["method"] for row in table)]))
    colours = dict(zip(methods, plotting.component_colours(len(methods)), strict=True))
    for ax, target in zip(axes, targets, strict=False):
        rows = [row for row in table if row["target"] == target]
        _panel(ax, sorted(rows, key=_label, reverse=True), colours)
        name = pathlib.Path(target)
        ax.set_title(name.stem if name.suffix == ".csv" else target, fontsize=11)
    for ax in axes[len(targets) :]:
        ax.set_axis_off()
    return figure


def _panel(ax, rows, colours) -> None:
    for height, row in enumerate(rows):
        values = [value for value in row["runs"].values() if value is not None]
        style = {"color": colours[row["method"]], "marker": MARKERS.get(row["method"], "v")}
        ax.scatter(values, [height] * len(values), s=16, alpha=0.45, linewidths=0, **style)
        if values:
            ax.scatter(np.mean(values), height, s=60, edgecolors="black", linewidths=0.8, **style)
    ax.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if rows[0]["score"] == "KL":
        values = [v for row in rows for v in row["runs"].values() if v is not None]
        # Estimates of a small divergence may be below zero; runs that diverged are far above.
        if values and max(values) > 20 * min(values) > 0:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
        elif values and min(values) > 0:
            ax.set_xlim(left=0)
        ax.set_xlabel("KL(truth || model), nats")
    else:
        ax.set_xlabel("held-out log-likelihood, nats")


def _label(row) -> str:
    """Labels a row by the settings that differ from the others of its panel and the defaults."""
    unusual = [row[name] for name, usual in DEFAULTS.items() if row[name] not in (usual, None)]
    components = row["components"] and f"K = {row['components']}"
    return ", ".join(filter(None, [row["method"], row["coupling"], *unusual, components]))
