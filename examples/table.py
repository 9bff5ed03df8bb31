"""A table as people have them: every kind of column, and holes.

The table is made up: people of three cities, with height, income, share of days at home, hour of a
visit, age, number of visits, and membership. `FlowMixture` fits a density to all of it. The script
prints the kinds of the columns, log-probabilities of held-out rows, imputations, the income given
age and city, and samples, and draws columns of data and samples side by side.

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

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density.columns import ColumnKinds, Integer

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
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--output", default="table.png")
    options = parser.parse_args()
    table = make_table(options.num_rows, options.seed)
    train, test = table.iloc[: -options.num_rows // 5], table.iloc[-options.num_rows // 5 :]
    density = gmnvp.FlowMixture(
        columns=DECLARED, steps=options.steps, random_state=options.seed, verbose=options.verbose
    ).fit(train)
    print(f"{density.columns_}\n\n{density.fit_}")
    found = density.score_samples(test)
    print(
        f"\nlog-probability of {len(test)} held-out rows, {test.isna().any(axis=1).sum()} of them "
        f"with holes: {found.mean():.3f} nats a row, standard error "
        f"{found.std() / np.sqrt(len(found)):.3f}"
    )
    with_holes = test[test.isna().any(axis=1)].head(3)
    print(f"\nrows with holes:\n{with_holes.to_string()}")
    print(f"\nthe same, imputed:\n{density.impute(with_holes).to_string()}")
    known = {name: [35, 65] if name == "age" else ["Oslo"] * 2 for name in ("age", "city")}
    income = density.given(known)
    print(
        "\nincome in Oslo at 35 and at 65, quantiles 0.1, 0.5, 0.9:\n"
        f"{np.round(income.quantile([0.1, 0.5, 0.9], column='income'), 1)}"
    )
    samples, _ = density.sample(2000)
    print(f"\nsamples:\n{samples.head().to_string()}")
    draw(table, samples, density.columns_, options.output)


if __name__ == "__main__":
    main()
