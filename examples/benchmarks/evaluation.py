"""Times densities and samples, compared with plain TensorFlow Probability.

    python examples/benchmarks/evaluation.py --output evaluation.json

For each size of the latents D, timed in turn (A B C ..., A B C ...):

    ours, graph     `log_prob` of a `gaussian_mixture`, K = 10 full covariances, N = 4,096 points
    ours, XLA       the same, compiled by XLA
    TFP, graph      a `MixtureSameFamily` of `MultivariateNormalTriL` at the same points
    flow log_prob   `log_prob` of a flow of 8 couplings over that mixture, compiled
    flow sample     as many samples of the same flow, compiled
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tensorflow_probability as tfp
from timing import medians, timed

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

tfd = tfp.distributions
NUM_COMPONENTS, NUM_POINTS = 10, 4096


def plain_mixture(mixture: tfd.MixtureSameFamily) -> tfd.MixtureSameFamily:
    """The same mixture, as in TFP's documentation."""
    parameters = mixtures.mixture_parameters(mixture)
    scale_tril = tf.linalg.cholesky(parameters.covariance)
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=tf.Variable(parameters.probs)),
        tfd.MultivariateNormalTriL(tf.Variable(parameters.loc), tf.Variable(scale_tril)),
    )


def evaluations(event_size: int) -> dict[str, Callable[[int], float]]:
    """The variants of one size."""
    flow = gmnvp.gaussian_mixture_flow(event_size, NUM_COMPONENTS, seed=0)
    mixture = flow.distribution
    seed = tf.constant([0, 2])
    z = tf.random.stateless_normal([NUM_POINTS, event_size], [0, 1])

    def compiled(function, jit_compile):
        return tf.function(function, jit_compile=jit_compile, autograph=False)

    sample = functools.partial(flow.sample, NUM_POINTS)
    variants = {
        "ours, graph": functools.partial(compiled(mixture.log_prob, False), z),
        "ours, XLA": functools.partial(compiled(mixture.log_prob, True), z),
        "TFP, graph": functools.partial(compiled(plain_mixture(mixture).log_prob, False), z),
        "flow log_prob": functools.partial(compiled(flow.log_prob, True), z),
        "flow sample": functools.partial(compiled(lambda seed: sample(seed=seed), True), seed),
    }
    return {name: timed(variant) for name, variant in variants.items()}


def report(event_size: int, times: dict[str, float]) -> dict:
    """Prints a row, and returns it."""
    ratios = {
        "TFP / ours": times["TFP, graph"] / times["ours, graph"],
        "XLA / graph": times["ours, XLA"] / times["ours, graph"],
        "sample / log_prob": times["flow sample"] / times["flow log_prob"],
    }
    row = {"event_size": event_size, "milliseconds": times, **ratios}
    cells = [f"{name} {value:7.2f} ms" for name, value in times.items()]
    cells += [f"{name} {value:.2f}" for name, value in ratios.items()]
    print(f"D={event_size:3d}  " + "  ".join(cells), flush=True)
    return row


def main() -> None:
    """Times all sizes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 32, 64])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20, help="evaluations of one round")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    rows = [
        report(size, medians(evaluations(size), arguments.rounds, arguments.steps))
        for size in arguments.sizes
    ]
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
