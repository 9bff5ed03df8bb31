"""What it gains to declare the kinds of a table's columns, over taking all of them as real numbers.

    python examples/benchmarks/columns.py --output columns.json

Each table is drawn from a known distribution. Three models are fitted to its training rows, by
the same code:

    real       all columns are real numbers; whole numbers and the codes of categories, in
               alphabetical order, get uniform noise as wide as their steps
    detected   the kinds that `ColumnKinds.of_table` chooses by itself
    declared   the kinds that the columns have

For categories, there are two more: `frequency` declares all kinds, but orders the cells of
categories by frequency instead of by the other columns; `separate` fits one model for each
category.

The table that is printed has mean log-probabilities of test rows in nats, and the gain of each
model over `real`, row by row, with its standard error. In tables with discrete columns these are
log-probabilities of their cells times densities of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tfp_gmnvp.density.columns import Category, ColumnKinds, Integer, Real
from tfp_gmnvp.density.fit_density import fit_density
from tfp_gmnvp.density.mixture_candidates import fit_candidate
from tfp_gmnvp.density.mixture_choice import choose_mixture
from tfp_gmnvp.flows import on_arrays

NUM_DRAWS = 64


def skewed(rng, size):
    """Prices and sizes of two groups, on scales of their own."""
    group = rng.integers(2, size=size)
    price = np.exp(2.0 * group + 0.8 * rng.normal(size=size))
    weight = price**0.5 * np.exp(0.3 * rng.normal(size=size))
    return _columns(price, weight, rng.gamma(1.5, 2.0, size=size)), dict.fromkeys(
        range(3), "positive"
    )


def bounded(rng, size):
    """Shares that pile up near their bounds, and one that depends on them."""
    first, second = rng.beta(0.5, 0.7, size=size), rng.beta(4.0, 1.0, size=size)
    third = rng.beta(1 + 8 * first, 1 + 8 * (1 - first))
    return _columns(first, second, third), dict.fromkeys(range(3), (0, 1))


def angles(rng, size):
    """A wind's direction about north, its strength, and a uniform direction."""
    direction = rng.vonmises(0.0, 1.5, size=size)
    strength = 2.0 + np.cos(direction) + 0.4 * rng.normal(size=size)
    other = rng.uniform(0, 360, size=size)
    circular = ("circular", 360)
    return _columns(np.mod(np.degrees(direction), 360), strength, other), {
        0: circular,
        1: "real",
        2: circular,
    }


def counts(rng, size):
    """Counts with a common rate, and a real number that depends on it."""
    rate = rng.gamma(1.5, 1.0, size=size)
    columns = rng.poisson(rate), rng.poisson(3 * rate), np.log(rate) + 0.3 * rng.normal(size=size)
    return _columns(*columns), {0: Integer(low=0), 1: Integer(low=0), 2: "real"}


def rounded(rng, size):
    """Lengths of three groups, rounded to half a unit."""
    group = rng.integers(3, size=size)
    x = np.array([[0, 0], [4, 1], [6, 5]])[group] + rng.normal(size=[size, 2])
    return _columns(*np.round(2 * x.T) / 2), dict.fromkeys(range(2), Integer(0.5))


def categories(rng, size):
    """Two real numbers, a category of six that depends on them, and one of two."""
    code = rng.choice(6, size=size, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    centers = np.array([[0, 0], [3, 1], [1, 4], [5, 5], [-3, 2], [7, 1]])
    x = centers[code] + rng.normal(size=[size, 2])
    names = np.array(list("dafceb"))[code]
    is_member = rng.uniform(size=size) < 1 / (1 + np.exp(-x[:, 0]))
    return _columns(*x.T, names, is_member), dict(enumerate(["real", "real", *2 * ["category"]]))


TABLES = {
    function.__name__: function
    for function in (skewed, bounded, angles, counts, rounded, categories)
}


def _columns(*columns):
    """Columns side by side, as objects if one holds text or bools."""
    if all(column.dtype.kind in "if" for column in columns):
        return np.stack(columns, axis=1).astype(np.float64)
    table = np.empty([len(columns[0]), len(columns)], object)
    for j, column in enumerate(columns):
        table[:, j] = column.tolist()
    return table


def as_real(train, test, declared):
    """Categories as codes, and the kinds that take every column as real numbers."""
    train, test, kinds = train.copy(), test.copy(), {}
    for j, kind in declared.items():
        if kind == "category":
            values, train[:, j] = np.unique(train[:, j].astype(str), return_inverse=True)
            test[:, j] = np.searchsorted(values, test[:, j].astype(str))
            kinds[j] = Integer(1, inner=Real())
        elif isinstance(kind, Integer):
            kinds[j] = Integer(kind.resolution or 1, inner=Real())
        else:
            kinds[j] = Real()
    return train.astype(np.float64), test.astype(np.float64), kinds


def fit_mixture(z, seed) -> Callable:
    """A Gaussian mixture that is chosen by cross-validation: its log-density."""
    loc, scale = z.mean(axis=0), z.std(axis=0)
    z = (z - loc) / scale
    best, *_ = choose_mixture(z, seed=seed)
    probs, means, covariances = (np.asarray(part) for part in fit_candidate(z, best, seed=seed))
    if best.covariance_type == "diag":
        covariances = covariances[..., np.newaxis] * np.eye(z.shape[1])
    roots = np.linalg.inv(
        np.linalg.cholesky(np.broadcast_to(covariances, [len(probs), *[len(loc)] * 2]))
    )
    constant = -0.5 * len(loc) * np.log(2 * np.pi) - np.log(scale).sum()

    def log_prob(x):
        x = (x - loc) / scale
        parts = [
            np.log(p) + np.log(np.diag(root)).sum() - 0.5 * np.square((x - m) @ root.T).sum(axis=1)
            for p, m, root in zip(probs, means, roots, strict=True)
        ]
        return constant + np.logaddexp.reduce(parts)

    return log_prob


def fit_flow(z, seed) -> Callable:
    """What `fit_density` fits, a flow or a mixture: its log-density."""
    flow = fit_density(z, seed=seed).model.distribution
    return lambda x: on_arrays.log_prob(flow, on_arrays.as_points(flow, x))


METHODS = {"mixture": fit_mixture, "flow": fit_flow}


def score(train, test, declared, fit, seed) -> np.ndarray:
    """Log-probabilities of the test rows under a model of the training rows."""
    kinds = ColumnKinds.of_table(train, declared)
    log_prob = fit(kinds.encode(train, seed), seed)
    return kinds.log_prob(log_prob, test, num_draws=NUM_DRAWS, seed=seed)[0]


def score_separately(train, test, declared, fit, seed) -> np.ndarray:
    """One model of the numbers for each combination of categories, with its frequency."""
    of_categories = [j for j, kind in declared.items() if kind == "category"]
    others = [j for j in declared if j not in of_categories]
    groups = ["/".join(map(str, row)) for row in train[:, of_categories]]
    of_test = np.array(["/".join(map(str, row)) for row in test[:, of_categories]])
    scores = np.full(len(test), np.log(0.5 / len(train)))  # a combination that is not in training
    for group in set(groups):
        own = train[np.array(groups) == group][:, others].astype(np.float64)
        rows = of_test == group
        everyone = train[:, others].astype(np.float64)
        log_prob = fit(own if len(own) >= 20 else everyone, seed)
        scores[rows] = np.log(len(own) / len(train))
        if rows.any():
            scores[rows] += log_prob(test[rows][:, others].astype(np.float64))
    return scores


def compare(name, options, seed) -> dict[str, np.ndarray]:
    """Log-probabilities of one table's test rows by model."""
    rng = np.random.default_rng(seed)
    rows, declared = TABLES[name](rng, options.num_train + options.num_test)
    train, test = rows[: options.num_train], rows[options.num_train :]
    train_real, test_real, kinds_real = as_real(train, test, declared)
    fit = METHODS[options.method]
    scores = {
        "real": score(train_real, test_real, kinds_real, fit, seed),
        "detected": score(train, test, None, fit, seed),
        "declared": score(train, test, declared, fit, seed),
    }
    if "category" in declared.values():
        by_frequency = {
            j: Category(order="frequency") if kind == "category" else kind
            for j, kind in declared.items()
        }
        scores["frequency"] = score(train, test, by_frequency, fit, seed)
        scores["separate"] = score_separately(train, test, declared, fit, seed)
    return scores


def main() -> None:
    """Compares, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--method", default="mixture", choices=list(METHODS))
    parser.add_argument("--num-train", type=int, default=500)
    parser.add_argument("--num-test", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    print(f"{'table':<12}{'model':<12}{'nats':>9}{'gain':>9}{'error':>8}")
    results = []
    for name in options.tables:
        by_seed = [compare(name, options, seed) for seed in range(options.seeds)]
        for model in by_seed[0]:
            values, real = (np.concatenate([s[m] for s in by_seed]) for m in (model, "real"))
            gain = values - real
            result = {
                "table": name,
                "model": model,
                "nats": float(values.mean()),
                "gain": float(gain.mean()),
                "standard_error": float(gain.std() / np.sqrt(len(gain))),
            }
            results.append(result)
            numbers = f"{result['nats']:>9.3f}{result['gain']:>9.3f}"
            print(f"{name:<12}{model:<12}{numbers}{result['standard_error']:>8.3f}", flush=True)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
