"""Measures time and memory of `fit` by the size of the data, and the exponents of their growth.

    python examples/benchmarks/data_size.py --output data_size.json

fits the same flow (one epoch of gradient steps, and one full-batch EM update) to increasing numbers
of rows from an array, a memory-mapped file or a `tf.data.Dataset` that computes them. Each
case runs in its own process, to measure its own peak memory:

    rows/s      rows of the data per second of `fit`, for the second call, after tracing
    peak        highest resident memory; it includes pages of a mapped file, which the system
                frees when needed
    grown       increase of resident private memory, without pages of files, during `fit`
    exponent    b in `seconds ~ N^b` between the two largest sizes; 1 is linear
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

EVENT_SIZE = 8
KINDS = ("array", "memmap", "tf.data")


def rows(start: int, size: int) -> np.ndarray:
    """Rows of two clusters, the same in every call."""
    rng = np.random.default_rng(start)
    return (rng.normal(size=[size, EVENT_SIZE]) + 3 * rng.integers(2, size=[size, 1])).astype("f4")


def make_data(kind: str, size: int, batch_size: int, directory: str):
    """Returns the data and its arguments of `fit`."""
    import tensorflow as tf

    if kind == "tf.data":

        def batch(number):
            x = tf.random.stateless_normal([batch_size, EVENT_SIZE], tf.stack([0, number]))
            return x[: size - tf.cast(number, tf.int32) * batch_size]

        numbers = tf.data.Dataset.range(math.ceil(size / batch_size), output_type=tf.int32)
        return numbers.map(batch), {}
    if kind == "array":
        return rows(0, size), {"batch_size": batch_size}
    path = os.path.join(directory, "rows.f4")
    with open(path, "wb") as file:
        for start in range(0, size, 100_000):
            file.write(rows(start, min(100_000, size - start)).tobytes())
    x = np.memmap(path, np.float32, "r", shape=(size, EVENT_SIZE))
    return x, {"batch_size": batch_size}


def private_megabytes() -> float:
    """Returns the resident memory without pages of files; NaN if the system does not report it."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def one_case(kind: str, size: int, num_components: int, batch_size: int) -> dict:
    """Fits twice: the first call traces, the second is measured."""
    import tensorflow as tf

    import tfp_gmnvp as gmnvp

    flow = gmnvp.gaussian_mixture_flow(
        EVENT_SIZE, num_components, num_couplings=4, hidden_units=(32,), seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile(tf.keras.optimizers.Adam(1e-3), mixture_update=gmnvp.FullBatchEM())
    with tempfile.TemporaryDirectory() as directory:
        x, arguments = make_data(kind, size, batch_size, directory)
        before = private_megabytes()
        model.fit(x, verbose=0, **arguments)
        start = time.perf_counter()
        model.fit(x, verbose=0, **arguments)
        seconds = time.perf_counter() - start
    unit = 1024 if sys.platform != "darwin" else 1024**2
    return {
        "kind": kind,
        "rows": size,
        "components": num_components,
        "seconds": seconds,
        "rows per second": size / seconds,
        "peak megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "grown megabytes": private_megabytes() - before,
        "data megabytes": 4 * size * EVENT_SIZE / 1024**2,
    }


def in_a_process(**case) -> dict:
    """Runs `one_case` in a separate process."""
    command = [sys.executable, __file__, "--case", json.dumps(case)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def exponent(cases: list[dict], by: str) -> float:
    """The slope of log seconds over log `by` between the largest sizes; NaN for a single size."""
    if len({case[by] for case in cases}) < 2:
        return math.nan
    few, many = sorted(cases, key=lambda case: case[by])[-2:]
    return math.log(many["seconds"] / few["seconds"]) / math.log(many[by] / few[by])


def report(case: dict) -> dict:
    """Prints a row of the table, and returns it."""
    print(
        f"{case['kind']:8s} {case['rows']:9d} rows  K={case['components']:3d}  "
        f"{case['seconds']:8.2f} s  {case['rows per second']:9.0f} rows/s  "
        f"peak {case['peak megabytes']:6.0f} MB  grown {case['grown megabytes']:6.1f} MB  "
        f"data {case['data megabytes']:6.1f} MB",
        flush=True,
    )
    return case


def main() -> None:
    """Runs all cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--components", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(one_case(**arguments.case)))
        return
    common = {"batch_size": arguments.batch_size}
    few, middle = arguments.components[0], sorted(arguments.sizes)[len(arguments.sizes) // 2]
    results = {"cases": [], "exponent of the rows": {}}
    for kind in arguments.kinds:
        cases = [
            report(in_a_process(kind=kind, size=size, num_components=few, **common))
            for size in arguments.sizes
        ]
        results["cases"] += cases
        results["exponent of the rows"][kind] = exponent(cases, "rows")
        print(f"{kind:8s} seconds ~ N^{exponent(cases, 'rows'):.2f}", flush=True)
    cases = [
        report(in_a_process(kind="array", size=middle, num_components=number, **common))
        for number in arguments.components
    ]
    results["cases"] += cases
    results["exponent of the components"] = exponent(cases, "components")
    print(f"seconds ~ K^{results['exponent of the components']:.2f}")
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
