"""Compares ways to fit a density to a table with missing entries, by rows without any.

    python examples/benchmarks/missing.py
    python examples/benchmarks/missing.py --targets moons wine --shares 0.3 --mechanisms mcar
    python examples/benchmarks/missing.py --output missing.json

Rows of known densities are drawn; of other tables a fifth is held out. Of the rest, entries are
removed completely at random (mcar), or more often the higher the first column, which is always
there (mar). Each way is scored by the mean log-density of held-out, complete rows: by how much it
is below that of `fit_density` before entries were removed, the excess divergence in nats.

- `complete cases`: `fit_density` of the rows without a missing entry
- `mean`: `fit_density` of the rows with column means in the place of missing entries
- `iterative`: the same with scikit-learn's `IterativeImputer`
- `mixture`: a mixture by exact EM, `fit_with_missing(..., steps=0)`
- `flow`: `fit_with_missing`
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import density_data
import numpy as np

Densities = Callable[[np.ndarray], np.ndarray]  # held-out rows to their log-densities

KNOWN = {"moons": "moons_0.1", "circles": "circles", "rotated_pairs": "rotated_pairs"}
TABLES = ("wine", "breast_cancer", "diabetes")
MECHANISMS = ("mcar", "mar")
NUM_TEST = 4000


def split(target: str, num_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit, and held-out rows."""
    if target in KNOWN:
        density = density_data.KNOWN[KNOWN[target]]()
        return density.sample(num_rows, seed=seed), density.sample(NUM_TEST, seed=999)
    import sklearn.datasets

    x = getattr(sklearn.datasets, f"load_{target}")().data
    if target == "diabetes":
        x = np.delete(x, 1, axis=1)  # sex: two values have no density
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    order = np.random.default_rng(seed).permutation(len(x))
    x, num_test = x[order], len(x) // 5
    return x[num_test:][:num_rows], x[:num_test]


def remove(x: np.ndarray, share: float, mechanism: str, seed: int) -> np.ndarray:
    """The rows with a share of their entries, but for the first column under 'mar', missing."""
    rng = np.random.default_rng([seed, 7])
    probability = np.full(x.shape, share)
    if mechanism == "mar":
        rank = np.argsort(np.argsort(x[:, 0])) / (len(x) - 1)
        probability = np.tile(np.clip(2 * share * rank, 0.0, 0.95)[:, np.newaxis], x.shape[1])
        probability[:, 0] = 0.0
    return np.where(rng.uniform(size=x.shape) < probability, np.nan, x)


def complete_cases(x: np.ndarray, **settings) -> Densities:
    """A fit of the complete rows."""
    return complete(x[~np.isnan(x).any(axis=1)], **settings)


def mean_imputation(x: np.ndarray, **settings) -> Densities:
    """A fit of the rows completed by means."""
    return complete(np.where(np.isnan(x), np.nanmean(x, axis=0), x), **settings)


def iterative_imputation(x: np.ndarray, **settings) -> Densities:
    """A fit of the rows completed by scikit-learn's regressions, with its noise."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    imputer = IterativeImputer(sample_posterior=True, random_state=0, max_iter=10)
    return complete(imputer.fit_transform(x), **settings)


def complete(x: np.ndarray, **settings) -> Densities:
    """`fit_density` of complete rows."""
    import tfp_gmnvp

    return _log_prob(tfp_gmnvp.fit_density(x, **settings))


def exact_mixture(x: np.ndarray, **settings) -> Densities:
    """A mixture by exact EM."""
    return flow(x, **{**settings, "steps": 0})


def flow(x: np.ndarray, **settings) -> Densities:
    """A flow where it is better than the mixture."""
    from tfp_gmnvp.density.missing.fit import fit_with_missing

    return _log_prob(fit_with_missing(x, **settings))


METHODS = {
    "complete cases": complete_cases,
    "mean": mean_imputation,
    "iterative": iterative_imputation,
    "mixture": exact_mixture,
    "flow": flow,
}


def _log_prob(fit) -> Densities:
    return lambda x: np.asarray(fit.model.predict(x, verbose=0), np.float64)


def run(target, share, mechanism, methods, arguments, log_reference, train, test) -> list[dict]:
    """Scores methods on one table with missing entries."""
    x = remove(train, share, mechanism, arguments.seed)
    rows = []
    for name in methods:
        start = time.perf_counter()
        try:
            found = METHODS[name](x, seed=arguments.seed, steps=arguments.steps)(test)
            excess = float(np.mean(log_reference - found))
            error = float(np.std(log_reference - found) / np.sqrt(len(test)))
        except ValueError:  # too few complete rows
            excess, error = float("nan"), float("nan")
        row = {"target": target, "share": share, "mechanism": mechanism, "method": name}
        row |= {"excess": excess, "error": error, "seconds": time.perf_counter() - start}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def show(rows: list[dict], methods) -> None:
    """Prints a line for each table: the excess of each method."""
    print("| target | missing | " + " | ".join(methods) + " |")
    print("|---|---|" + "---|" * len(methods))
    keys = dict.fromkeys((row["target"], row["share"], row["mechanism"]) for row in rows)
    for target, share, mechanism in keys:
        found = {
            row["method"]: row["excess"]
            for row in rows
            if (row["target"], row["share"], row["mechanism"]) == (target, share, mechanism)
        }
        cells = " | ".join("-" if np.isnan(v := found[m]) else f"{v:.3f}" for m in methods)
        print(f"| {target} | {share:.0%} {mechanism} | {cells} |")


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", default=[*KNOWN, *TABLES])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.3, 0.5])
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=MECHANISMS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--rows", type=int, default=2000, help="of known densities")
    parser.add_argument("--steps", type=int, default=3000, help="of training, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file of all rows")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".* has no density")
    rows = []
    for target in arguments.targets:
        train, test = split(target, arguments.rows, arguments.seed)
        reference = complete(train, seed=arguments.seed, steps=arguments.steps)(test)
        score = float(np.mean(reference))
        print(json.dumps({"target": target, "log-density, nothing missing": score}), flush=True)
        for mechanism in arguments.mechanisms:
            for share in arguments.shares:
                task = (target, share, mechanism, arguments.methods, arguments)
                rows += run(*task, reference, train, test)
    show(rows, arguments.methods)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
