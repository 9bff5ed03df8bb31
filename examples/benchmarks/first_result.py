"""Measures how long a user waits for a first result; each row runs in its own processes.

    python examples/benchmarks/first_result.py
    python examples/benchmarks/first_result.py --rows "fit_density wine" "ten models" --repeats 5
    python examples/benchmarks/first_result.py --row "fit_density wine"    # one process, as JSON

A row is a function that returns measurements by name: seconds, or the unit in the name. Each runs
in `--repeats` new processes, one after another, and the medians are printed.
Imports are not counted. Processor time is printed next to wall-clock time, because it varies less
on a shared machine.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import density_data
import numpy as np

NUM_COMPONENTS = (1, 2, 3, 4, 6, 8, 10)
COVARIANCE_TYPES = ("full", "tied", "diag")
TABLES = ("old_faithful", "iris", "wine")

Measured = dict[str, float]


def timed(name: str, function: Callable[[], object]) -> Measured:
    """Measures wall-clock and processor seconds of a call."""
    clock, processor = time.perf_counter(), time.process_time()
    function()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return {name: clock, f"{name}, processor": processor}


def per_call(name: str, function: Callable[[], object], num_calls: int = 20) -> Measured:
    """Measures milliseconds of a call after a first one."""
    function()
    start = time.perf_counter()
    for _ in range(num_calls):
        np.asarray(function())
    return {f"{name}, ms": 1e3 * (time.perf_counter() - start) / num_calls}


def fit_table(name: str) -> Measured:
    """`fit_density` of a table, first and second call, and scikit-learn's mixtures."""
    import tfp_gmnvp as gmnvp

    x = density_data.table(name)
    first = timed("first call", lambda: gmnvp.fit_density(x, seed=0))
    second = timed("second call", lambda: gmnvp.fit_density(x, seed=1))
    return {**first, **second, **sweep(x)}


def sweep(x: np.ndarray) -> Measured:
    """The best of the same mixtures in scikit-learn by BIC."""
    from sklearn.mixture import GaussianMixture

    x = (x - x.mean(axis=0)) / x.std(axis=0)

    def choose():
        fits = [
            GaussianMixture(k, covariance_type=kind, n_init=3, random_state=0).fit(x)
            for k in NUM_COMPONENTS
            for kind in COVARIANCE_TYPES
        ]
        return min(fits, key=lambda fit: fit.bic(x))

    return timed("scikit-learn", choose)


def selection() -> Measured:
    """`select_components` for iris, with three numbers of components and three epochs."""
    import tfp_gmnvp as gmnvp

    x = density_data.table("iris")
    return timed(
        "select_components", lambda: gmnvp.select_components(x, [1, 2, 3], epochs=3, seed=0)
    )


def moons(num_rows: int) -> np.ndarray:
    """Points of two moons in float32."""
    return density_data.KNOWN["moons_0.1"]().sample(num_rows, seed=0).astype(np.float32)


def fit_epoch(**compile_arguments):
    """A default model after an epoch of ten steps."""
    import tfp_gmnvp as gmnvp

    x = moons(1000)
    model = gmnvp.FlowModel(gmnvp.gaussian_mixture_flow(2, 3, standardize=x, seed=0), seed=0)
    model.compile(**compile_arguments)
    model.fit(x, batch_size=100, epochs=1, verbose=0)
    return model


def first_epoch() -> Measured:
    """A default `FlowModel`, 1,000 rows, the first epoch of ten steps."""
    return timed("first epoch", fit_epoch)


def first_epoch_without_xla() -> Measured:
    """The same, not compiled by XLA."""
    return timed("first epoch", lambda: fit_epoch(jit_compile=False))


def ten_models() -> Measured:
    """Ten models in one process, each deleted."""
    seconds, megabytes = [], []
    for _ in range(10):
        seconds.append(timed("", fit_epoch)[""])
        gc.collect()
        megabytes.append(resident_megabytes())
    return {
        "first model": seconds[0],
        "second model": seconds[1],
        "MB a model after the second": (megabytes[9] - megabytes[1]) / 8,
    }


def resident_megabytes() -> float:
    """The memory of this process, on Linux."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def log_prob() -> Measured:
    """`log_prob` of one row and of 10,000, eagerly and in a `tf.function`."""
    flow, function = a_flow()
    in_graph = function(flow.log_prob)
    measured = {}
    for num_rows in (1, 10_000):
        x = moons(num_rows)
        measured |= per_call(f"eager, {num_rows:,} rows", functools.partial(flow.log_prob, x))
        measured |= per_call(f"graph, {num_rows:,} rows", functools.partial(in_graph, x))
    return measured


def sample() -> Measured:
    """10,000 samples, eagerly and in a `tf.function`."""
    flow, function = a_flow()
    draw = functools.partial(flow.sample, 10_000, seed=0)
    return per_call("eager", draw) | per_call("graph", function(draw))


def a_flow():
    """A default flow, and a decorator that makes a graph of a function."""
    import tensorflow as tf

    import tfp_gmnvp as gmnvp

    return gmnvp.gaussian_mixture_flow(2, 3, seed=0), tf.function


ROWS: dict[str, Callable[[], Measured]] = {
    **{f"fit_density {name}": functools.partial(fit_table, name) for name in TABLES},
    "select_components": selection,
    "first epoch": first_epoch,
    "first epoch without XLA": first_epoch_without_xla,
    "ten models": ten_models,
    "log_prob": log_prob,
    "sample": sample,
}


def in_fresh_process(row: str) -> Measured:
    """Runs a row in a new process, and returns its measurements."""
    command = [sys.executable, __file__, "--row", row]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_medians(row: str, repeats: int) -> None:
    """Prints the medians over processes, one line for each measurement."""
    runs = [in_fresh_process(row) for _ in range(repeats)]
    for name in runs[0]:
        values = [run[name] for run in runs]
        spread = f"{min(values):.2f} to {max(values):.2f}" if repeats > 1 else ""
        print(f"| {row} | {name} | {statistics.median(values):.2f} | {spread} |", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--row", choices=ROWS, help="measure one here, and print it as JSON")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.row:
        warnings.simplefilter("ignore")  # warnings of rounded columns
        import tfp_gmnvp  # noqa: F401

        print(json.dumps(ROWS[options.row]()))
        return
    print("| what a user does | measured | median | range |\n|---|---|---|---|")
    for row in options.rows:
        print_medians(row, options.repeats)


if __name__ == "__main__":
    main()
