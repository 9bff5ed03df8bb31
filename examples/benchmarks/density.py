"""Compares ways to train the mixture by the accuracy of densities: one table, one figure.

    python examples/benchmarks/density.py --output density.json
    python examples/benchmarks/density.py --targets iris wine digits --methods default sklearn

Targets with known density are scored by KL(truth || model) = mean(log p(x) - log q(x)) on the same
20,000 points, in nats; tables by the mean log-density of held-out rows over splits, compared with
scikit-learn's mixture on the same rows. Methods:

    full, stepwise, gradient   the flow, its mixture by full-batch EM, stepwise EM or the optimizer
    default                    `fit_density` with its defaults, with either kind of coupling
    sklearn                    a plain mixture, K and the type of covariance by BIC
    zuko, normflows            another library's flow, in its own environment

For flows, each learning rate is tried, and the one with the best validation loss over all
seeds is reported. Results are written to `--output` after every run, and `--resume` continues
from there; the figure is written next to it. The full table takes hours on two cores.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import multiprocessing
import os
import pathlib
import sys
import time
from collections import defaultdict

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import density_data
import density_methods
import numpy as np
from density_figure import draw

KIND = ("target", "method", "components", "coupling", "activation", "mixing", "steps")
SETTINGS = (
    "rows",
    "num_couplings",
    "hidden_units",
    "em_every",
    "em_step_size",
    "sklearn_components",
    "sklearn_rows",
)
KEYS = (*KIND, "learning_rate", "seed")
OF_FLOWS = {  # from options, each of several values, to fields
    "components": "components",
    "couplings": "coupling",
    "activations": "activation",
    "mixings": "mixing",
    "learning_rates": "learning_rate",
}


def run(case: dict, options: dict) -> dict:
    """One row of the JSON: the case, its validation loss, its score and standard error."""
    start = time.perf_counter()
    problem = density_data.load(case["target"], case["seed"], options["rows"])
    validation, test = density_methods.METHODS[case["method"]](case, problem, options)
    values = test if problem.log_truth is None else problem.log_truth - test
    return {
        **case,
        "score": "log-likelihood" if problem.log_truth is None else "KL",
        "validation_nll": finite(-np.mean(validation)),
        "value": finite(np.mean(values)),
        "standard_error": finite(np.std(values, ddof=1) / math.sqrt(len(values))),
        "seconds": round(time.perf_counter() - start, 1),
    }


def finite(number) -> float | None:
    """A number that JSON can hold; `None` for NaN and infinity."""
    return float(number) if np.isfinite(number) else None


def cases(arguments: argparse.Namespace) -> list[dict]:
    """Returns all runs of the command line."""
    found = []
    for target, method, seed in itertools.product(
        arguments.targets, arguments.methods, arguments.seeds
    ):
        case = {"target": target, "method": method, "seed": seed}
        if method in ("default", "sklearn"):  # they choose their settings
            couplings = arguments.couplings if method == "default" else [None]
            found += [{**dict.fromkeys(KEYS), **case, "coupling": c} for c in couplings]
            continue
        for values in itertools.product(*(getattr(arguments, option) for option in OF_FLOWS)):
            settings = dict(zip(OF_FLOWS.values(), values, strict=True))
            found.append({**case, **settings, "steps": arguments.steps})
    return found


def key(row: dict) -> tuple:
    """Returns the key that identifies a run."""
    return tuple(row[name] for name in KEYS)


def summarize(rows: list[dict]) -> list[dict]:
    """Selects, for each target and method, the learning rate with the best validation loss."""
    by_rate = defaultdict(lambda: defaultdict(list))
    for row in rows:
        kind = tuple(row[name] for name in KIND)
        by_rate[kind][row["learning_rate"]].append(row)
    table = []
    for kind, rates in by_rate.items():
        rate = min(rates, key=lambda rate: validation_loss(rates[rate]))
        runs = {row["seed"]: row["value"] for row in rates[rate]}
        values = [math.nan if value is None else value for value in runs.values()]
        table.append(
            {
                **dict(zip(KIND, kind, strict=True)),
                "learning_rate": rate,
                "score": rates[rate][0]["score"],
                "runs": runs,
                "mean": finite(np.mean(values)),
                "standard_deviation": finite(np.std(values, ddof=1)) if len(values) > 1 else None,
            }
        )
    return [{**row, **beside_sklearn(row, table)} for row in table]


def validation_loss(rows: list[dict]) -> float:
    """The mean over seeds; infinite if a run diverged."""
    losses = [row["validation_nll"] for row in rows]
    return math.inf if None in losses else sum(losses) / len(losses)


def beside_sklearn(row: dict, table: list[dict]) -> dict:
    """Gain over scikit-learn's mixture in nats, paired by seed, and its standard error."""
    plain = [other for other in table if other["method"] == "sklearn"]
    plain = [other["runs"] for other in plain if other["target"] == row["target"]]
    sign = 1.0 if row["score"] == "log-likelihood" else -1.0
    shared = [s for s in row["runs"] if plain and s in plain[0]]
    pairs = [(row["runs"][s], plain[0][s]) for s in shared]
    if row["method"] == "sklearn" or len(pairs) < 2 or any(None in pair for pair in pairs):
        return {}
    gains = [sign * (ours - theirs) for ours, theirs in pairs]
    error = np.std(gains, ddof=1) / math.sqrt(len(gains))
    return {"gain": float(np.mean(gains)), "gain_standard_error": float(error)}


def show(table: list[dict]) -> None:
    """Prints the table."""
    print(f"{'target':16s}{'method':10s}{'K':>3} {'flow':24s}{'rate':>7}  score, spread over seeds")
    for row in sorted(table, key=lambda row: (row["target"], flow_settings(row), row["method"])):
        mean, spread = (
            "   -   " if row[name] is None else f"{row[name]:9.4f}"
            for name in ("mean", "standard_deviation")
        )
        gain = ""
        if "gain" in row:
            gain = f"   gain over sklearn {row['gain']:.4f} +- {row['gain_standard_error']:.4f}"
        print(
            f"{pathlib.Path(row['target']).name:16s}{row['method']:10s}"
            f"{row['components'] or '-':>3} {flow_settings(row):24s}"
            f"{row['learning_rate'] or '-':>7}  {mean} {spread} ({len(row['runs'])}){gain}"
        )


def flow_settings(row: dict) -> str:
    """Describes the settings of a flow."""
    settings = (row[name] for name in ("coupling", "activation", "mixing"))
    return ", ".join(filter(None, settings)) or "-"


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    known, real = list(density_data.KNOWN), ", ".join(density_data.REAL)
    add("--targets", nargs="+", default=known, help=f"{', '.join(known)}, {real}, or a CSV file")
    add(
        "--methods",
        nargs="+",
        choices=density_methods.METHODS,
        default=[*density_methods.FLOWS, "sklearn"],
    )
    add("--components", type=int, nargs="+", default=[8], metavar="K")
    add("--couplings", nargs="+", choices=["affine", "spline"], default=["affine", "spline"])
    add("--activations", nargs="+", default=["silu"], help="of ours; `sine:1` is of gain 1")
    add("--mixings", nargs="+", choices=["permutation", "lu"], default=["permutation"])
    add("--learning-rates", type=float, nargs="+", default=[2e-3, 5e-3])
    add("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    add("--rows", type=int, default=density_data.NUM_TRAIN, help="of a known density, to train on")
    add("--steps", type=int, default=3000)
    add("--num-couplings", type=int, default=8)
    add("--hidden-units", type=int, nargs="+", default=[64, 64])
    add(
        "--em-every",
        type=int,
        default=1,
        help=f"times {density_methods.STEPS_PER_EPOCH} steps, for `full`",
    )
    add("--em-step-size", type=float, default=0.5, help="for `stepwise`, at first")
    add("--sklearn-components", type=int, default=10, help="the most to choose from")
    add("--sklearn-rows", type=int, default=20_000, help="the most to fit to")
    add("--peer-python", default=sys.executable, help="of an environment that has the peer")
    add("--workers", type=int, default=1, help="processes at a time")
    add("--resume", action="store_true", help="keep the runs that `--output` holds")
    add("--output", type=pathlib.Path, default=pathlib.Path("density.json"))
    arguments = parser.parse_args()
    for name in ("rows", "steps", "workers", "sklearn_components", "sklearn_rows"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    for target in arguments.targets:
        known_name = density_data.is_known(target) or target in density_data.REAL
        if not known_name and not pathlib.Path(target).is_file():
            parser.error(f"--targets: {target} is neither a name nor a file")
    arguments.done = []
    if arguments.resume and arguments.output.exists():
        found = json.loads(arguments.output.read_text())
        for name, value in found["settings"].items():
            if value != getattr(arguments, name):
                parser.error(f"--resume: {arguments.output} has {name} = {value}; use another file")
        arguments.done = found["runs"]
    return arguments


def main() -> None:
    """Runs what is missing, writes after each run, prints the table and draws the figure."""
    arguments = parse_arguments()
    output, rows = arguments.output, arguments.done
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    options = {**settings, "peer_python": arguments.peer_python}
    done = {key(row) for row in rows}
    todo = [case for case in cases(arguments) if key(case) not in done]
    # Processes keep all graphs that they have traced, so they are replaced regularly.
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.workers, maxtasksperchild=8) as pool:
        for row in pool.imap_unordered(functools.partial(run, options=options), todo):
            rows.append(row)
            print(json.dumps(row), flush=True)
            write(output, {"settings": settings, "runs": rows, "table": summarize(rows)})
    show(summarize(rows))
    draw(summarize(rows)).savefig(output.with_suffix(".png"), dpi=110)
    print(f"Wrote {output} and {output.with_suffix('.png')}")


def write(path: pathlib.Path, content: dict) -> None:
    """Writes JSON atomically."""
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    scratch.replace(path)


if __name__ == "__main__":
    main()
