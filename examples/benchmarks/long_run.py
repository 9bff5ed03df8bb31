"""Measures whether memory grows in long training, and in log-densities of many shapes.

    python examples/benchmarks/long_run.py

trains a small flow for 20,000 steps, with a smaller last batch in each epoch, and then
computes 2,000 log-densities and samples, all of different shapes. Each row shows

    MB        resident private memory of this process, see `data_size.private_megabytes`
    graphs    number of TensorFlow graphs
    objects   number of objects that Python's garbage collector tracks
    cached    entries of the cache that TFP's bijectors share
    traces    number of traces of the two compiled steps
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from data_size import private_megabytes

import tfp_gmnvp as gmnvp

EVENT_SIZE, NUM_POINTS, BATCH_SIZE = 3, 1005, 10
STEPS_PER_EPOCH = -(-NUM_POINTS // BATCH_SIZE)


def make_model() -> gmnvp.FlowModel:
    """A small flow, trained by EM in every step."""
    flow = gmnvp.gaussian_mixture_flow(
        EVENT_SIZE, 3, num_couplings=2, hidden_units=(8,), normalization="act_norm", seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=True)
    return model


def training(model: gmnvp.FlowModel) -> Callable[[int, int], None]:
    """Returns a function that trains from one number of steps to another."""
    x = np.random.default_rng(0).normal(size=[NUM_POINTS, EVENT_SIZE]).astype(np.float32)

    def train(start, end):
        epochs = end // STEPS_PER_EPOCH - start // STEPS_PER_EPOCH
        model.fit(x, batch_size=BATCH_SIZE, epochs=epochs, validation_data=x[:7], verbose=0)

    return train


def evaluation(model: gmnvp.FlowModel) -> Callable[[int, int], None]:
    """Returns a function that evaluates batches of rank 1, 2 and 3, each of another shape."""
    flow = model.distribution

    def evaluate(start, end):
        for size in range(start, end):
            leading = [] if size == 0 else [size] if size % 2 else [2, size]
            flow.log_prob(tf.zeros([*leading, EVENT_SIZE]))
            flow.sample(leading, seed=[0, size])

    return evaluate


def counts(model: gmnvp.FlowModel) -> dict[str, float]:
    """The current counts of everything that might grow."""
    gc.collect()
    kinds = [type(found) for found in gc.get_objects()]
    steps = (model._steps.train_function, model._steps.test_function)
    return {
        "MB": private_megabytes(),
        "graphs": sum(issubclass(kind, tf.Graph) for kind in kinds),
        "objects": len(kinds),
        "cached": len(tfp.bijectors.Bijector._cache.storage),
        "traces": sum(step._function.experimental_get_tracing_count() for step in steps),
    }


def rows(
    model: gmnvp.FlowModel, run: Callable[[int, int], None], total: int, parts: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """The progress and the counts after each part of a run."""
    ends = [total * part // parts for part in range(parts + 1)]
    for start, end in itertools.pairwise(ends):
        run(start, end)
        yield end, counts(model)


def report(model, name, run, total, parts) -> None:
    """Prints the counts during a run, and their growth after its first part."""
    print(f"{name:>12} {'MB':>8} {'graphs':>8} {'objects':>9} {'cached':>8} {'traces':>8}")
    form = "{:>12,} {MB:>8.1f} {graphs:>8,} {objects:>9,} {cached:>8,} {traces:>8,}"
    found = []
    for end, row in rows(model, run, total, parts):
        found.append(row)
        print(form.format(end, **row), flush=True)
    grown = {key: found[-1][key] - found[0][key] for key in found[0]}
    print(form.replace("{:>12,}", "{:>12}").format("grown", **grown), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--parts", type=int, default=10)
    arguments = parser.parse_args()
    model = make_model()
    report(model, "steps", training(model), arguments.steps, arguments.parts)
    report(model, "calls", evaluation(model), arguments.calls, arguments.parts)


if __name__ == "__main__":
    main()
