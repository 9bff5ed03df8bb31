"""A table as people have them: every kind of column, and holes.

The table is made up: people of three cities, with height, income, share of days at home, hour of a
visit, age, number of visits, and membership. A density is fitted to the rows without holes, in the
real numbers that the kinds of columns make of them. The script prints the kinds, log-probabilities
of held-out rows, and samples, and draws columns of data and samples side by side.

    python examples/table.py --output table.png
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfp_gmnvp.density.columns import ColumnKinds, Integer
from tfp_gmnvp.density.fit_density import fit_density
from tfp_gmnvp.flows import on_arrays

CITIES = np.array(["Lima", "Oslo", "Rome"])
#: What is declared; all other columns are detected.
DECLARED = {
    "home": (0, 1),
    "hour": ("circular", 24),
    "income": "positive",
    "visits": Integer(low=0),
}
HOLES = 0.05
DATA, SAMPLES = "#0072B2", "#D55E00"


def make_table(size: int, seed: int) -> pd.DataFrame:
    """Draws a table, with holes at random in a few columns."""
    rng = np.random.default_rng(seed)
    city = rng.choice(3, size=size, p=[0.5, 0.2, 0.3])
    age = np.clip(rng.normal(40 + 8 * city, 12, size=size), 18, None).round().astype(int)
    income = np.exp(0.02 * age + 0.5 * city + 0.5 * rng.normal(size=size))
    home = rng.beta(1 + city, 2.0, size=size)
    hour = np.mod(rng.vonmises(0.5 * city - 0.8, 2.0, size=size) * 12 / np.pi, 24)
    table = pd.DataFrame(
        {
            "height": rng.normal(165 + 7 * (city == 1), 8, size=size).round(1),
            "income": income,
            "home": home,
            "hour": hour,
            "age": age,
            "visits": rng.poisson(0.5 + 2 * home),
            "city": CITIES[city],
            "member": rng.uniform(size=size) < 1 / (1 + np.exp(3 - income / 2)),
        }
    )
    for column in ("income", "home", "city"):
        table.loc[rng.uniform(size=size) < HOLES, column] = None
    return table


def draw(data: pd.DataFrame, samples: pd.DataFrame, kinds: ColumnKinds, path: str) -> None:
    """Draws each column's distribution in the data and in the samples, and two pairs of columns."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(3, 4).ravel()
    for ax, name, kind in zip(axes, data.columns, kinds.kinds, strict=False):
        draw_column(ax, data[name].dropna(), samples[name].dropna(), kind)
        ax.set_title(f"{name}: {kind.kind}", loc="left", fontsize=10)
    shown = samples.head(len(data))
    cells = [(t, pair) for pair in (("age", "income"), ("hour", "home")) for t in (data, shown)]
    for ax, (table, (x, y)) in zip(axes[8:], cells, strict=True):
        colour, title = (DATA, "data") if table is data else (SAMPLES, "samples")
        ax.plot(table[x], table[y], ".", color=colour, markersize=2.5, alpha=0.5)
        ax.set(xlabel=x, ylabel=y, xlim=(data[x].min(), data[x].max()))
        ax.set_ylim(0, 1 if y == "home" else data[y].quantile(0.995))
        ax.set_title(title, loc="left", fontsize=10)
    handles = [Patch(color=DATA, alpha=0.4), Patch(color=SAMPLES)]
    figure.legend(handles, ["data", "samples"], loc="outside upper right", ncols=2, frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def draw_column(ax, data: pd.Series, samples: pd.Series, kind) -> None:
    """Draws histograms, or bars side by side for few values."""
    values = sorted(set(data))
    if len(values) <= 12:
        for series, shift, style in (
            (data, -0.2, {"color": DATA, "alpha": 0.4}),
            (samples, 0.2, {"color": SAMPLES}),
        ):
            shares = [np.mean(series == value) for value in values]
            ax.bar(np.arange(len(values)) + shift, shares, 0.4, **style)
        ax.set_xticks(np.arange(len(values)), [str(value) for value in values])
        ax.set_ylabel("share")
        return
    low, high = (0, 1) if kind.kind == "bounded" else (data.min(), data.quantile(0.99))
    edges = np.linspace(low, high, 31)
    if kind.is_discrete:  # each bar holds the same number of whole steps
        step = kind.resolution * max(1, round((high - low) / kind.resolution / 30))
        edges = np.arange(low - kind.resolution / 2, high + step, step)
    ax.hist(data, edges, density=True, color=DATA, alpha=0.4)
    ax.hist(samples, edges, density=True, color=SAMPLES, histtype="step", lw=1.5)
    ax.set_ylabel("density")


def main() -> None:
    """Makes the table, fits, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-rows", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="table.png")
    options = parser.parse_args()
    table = make_table(options.num_rows, options.seed)
    train, test = table.iloc[: -options.num_rows // 5], table.iloc[-options.num_rows // 5 :]
    kinds = ColumnKinds.of_table(train, DECLARED)
    print(kinds)
    train, test = train.dropna(), test.dropna()
    fit = fit_density(kinds.encode(train, options.seed), steps=options.steps, seed=options.seed)
    flow = fit.model.distribution

    def log_prob(z):
        return on_arrays.log_prob(flow, on_arrays.as_points(flow, z))

    found, error = kinds.log_prob(log_prob, test, num_draws=32, seed=options.seed)
    shape = "a flow over" if fit.keeps_flow else "a mixture,"
    print(f"\n{len(train)} rows without holes; {shape} {fit.mixture.description}")
    print(
        f"log-probability of {len(test)} held-out rows: {found.mean():.3f} nats a row, "
        f"standard error {found.std() / np.sqrt(len(found)):.3f}, of which integration "
        f"{np.sqrt(np.sum(error**2)) / len(error):.4f}"
    )
    samples = kinds.decode(on_arrays.draw(flow, 2000, options.seed))
    print(f"\nsamples:\n{samples.head().to_string()}")
    draw(train, samples, kinds, options.output)


if __name__ == "__main__":
    main()
