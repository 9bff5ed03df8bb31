"""What one training step costs, beside its limit and beside plain TensorFlow Probability.

    python examples/benchmarks/training_step.py --output training_step.json

Variants, timed in turn (A B C D, A B C D, ...), so that the machine's drift hits all alike:

    ours        the step that `FlowModel.fit` runs: forward, backward, Adam, stepwise EM
    no update   the same without the mixture's update
    limit       forward and backward pass of the same conditioners alone, without an optimizer
    plain TFP   a `tfb.Chain` of `tfb.RealNVP` over a `MixtureSameFamily` of
                `MultivariateNormalTriL`, Keras' Adam, in a `tf.function`
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_gmnvp as gmnvp

tfd, tfb = tfp.distributions, tfp.bijectors


class Size(NamedTuple):
    """The size of one comparison."""

    event_size: int
    num_couplings: int
    hidden_units: tuple[int, int]
    num_components: int
    batch_size: int


SIZES = (
    Size(2, 8, (64, 64), 4, 512),
    Size(7, 8, (128, 128), 8, 1024),
    Size(64, 8, (256, 256), 4, 512),
)


class NoUpdate(gmnvp.MixtureUpdate):
    """Leaves the mixture as it is."""


def batches(size: Size):
    """An endless stream of one batch after another, from memory."""
    x = np.random.default_rng(0).normal(size=[4 * size.batch_size, size.event_size])
    data = tf.data.Dataset.from_tensor_slices(x.astype(np.float32))
    return iter(data.batch(size.batch_size, drop_remainder=True).repeat().prefetch(2))


def make_flow(size: Size):
    """The flow that all variants share the sizes of."""
    return gmnvp.gaussian_mixture_flow(
        size.event_size,
        size.num_components,
        num_couplings=size.num_couplings,
        hidden_units=size.hidden_units,
        seed=0,
    )


def our_step(size: Size, update: gmnvp.MixtureUpdate, jit_compile) -> Callable[[], object]:
    """The step of `fit`, with its data."""
    model = gmnvp.FlowModel(make_flow(size), initialize=False)
    model.compile(tf.keras.optimizers.Adam(1e-4), mixture_update=update, jit_compile=jit_compile)
    model.make_train_function()
    iterator = batches(size)
    return lambda: model.train_function(iterator)


def limit_step(size: Size, jit_compile) -> Callable[[], object]:
    """Forward and backward pass of the conditioners, from inputs that need a gradient too."""
    bijectors = [b for b in make_flow(size).bijector.bijectors if hasattr(b, "conditioner")]
    conditioners = [bijector.conditioner for bijector in bijectors]
    sizes = [conditioner.kernels[0].shape[0] for conditioner in conditioners]
    inputs = [tf.random.stateless_normal([size.batch_size, d], [0, d]) for d in sizes]
    variables = [v for conditioner in conditioners for v in conditioner.trainable_variables]

    @tf.function(jit_compile=jit_compile)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = [c(x) for c, x in zip(conditioners, inputs, strict=True)]
            total = tf.add_n([tf.reduce_sum(output) for output in outputs])
        return tape.gradient(total, [*inputs, *variables])

    return lambda: step(inputs)


def plain_step(size: Size) -> Callable[[], object]:
    """Plain TFP, as its documentation would have it."""
    half = size.event_size // 2
    couplings, networks = [], []
    for i in range(size.num_couplings):
        still = half if i % 2 == 0 else size.event_size - half
        moving = size.event_size - still
        network = gmnvp.MLP(still, 2 * moving, hidden_units=size.hidden_units, seed=i)
        networks.append(network)
        couplings.append(tfb.RealNVP(still, shift_and_log_scale_fn=_shift_and_log_scale(network)))
        couplings.append(tfb.Permute(list(reversed(range(size.event_size)))))
    shape = [size.num_components, size.event_size]
    logits = tf.Variable(tf.zeros(shape[:1]))
    loc = tf.Variable(tf.random.stateless_normal(shape, [0, 0]))
    scale_tril = tfp.util.TransformedVariable(
        tf.eye(size.event_size, batch_shape=shape[:1]), tfb.FillScaleTriL()
    )
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.MultivariateNormalTriL(loc, scale_tril)
    )
    flow = tfd.TransformedDistribution(mixture, tfb.Chain(couplings))
    variables = [v for n in networks for v in n.trainable_variables]
    variables += mixture.trainable_variables
    optimizer = tf.keras.optimizers.Adam(1e-4)
    optimizer.build(variables)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    iterator = batches(size)
    return lambda: step(next(iterator))


def _shift_and_log_scale(network):
    def shift_and_log_scale(x, output_units):
        shift, raw = tf.split(network(x), 2, axis=-1)
        return shift, 3.0 * tf.tanh(raw / 3.0)

    return shift_and_log_scale


def milliseconds(step: Callable[[], object], num_steps: int) -> float:
    """Time per step, until the last one's result is there."""
    start = time.perf_counter()
    for _ in range(num_steps):
        result = step()
    tf.nest.map_structure(lambda tensor: np.asarray(tensor), tf.nest.flatten(result)[-1])
    return 1e3 * (time.perf_counter() - start) / num_steps


def compare(size: Size, rounds: int, num_steps: int, jit_compile) -> dict[str, float]:
    """The variants' median milliseconds per step."""
    variants = {
        "ours": our_step(size, gmnvp.StepwiseEM(), jit_compile),
        "no update": our_step(size, NoUpdate(), jit_compile),
        "limit": limit_step(size, jit_compile is not False),
        "plain TFP": plain_step(size),
    }
    for step in variants.values():
        milliseconds(step, 5)  # traces, compiles, warms up
    times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, step in variants.items():
            times[name].append(milliseconds(step, num_steps))
    return {name: statistics.median(values) for name, values in times.items()}


def report(size: Size, medians: dict[str, float]) -> dict:
    """Prints a row, and returns it."""
    ours, limit = medians["ours"], medians["limit"]
    row = {
        "size": size._asdict(),
        "milliseconds": medians,
        "ours / limit": ours / limit,
        "plain TFP / ours": medians["plain TFP"] / ours,
        "share of the update": 1 - medians["no update"] / ours,
    }
    print(
        f"D={size.event_size:3d}  "
        + "  ".join(f"{name} {value:7.2f} ms" for name, value in medians.items())
        + f"  ours/limit {row['ours / limit']:.2f}  plain/ours {row['plain TFP / ours']:.2f}"
        + f"  update {100 * row['share of the update']:.0f} %",
        flush=True,
    )
    return row


def main() -> None:
    """Times all sizes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20, help="steps of one round")
    parser.add_argument("--jit", choices=["auto", "yes", "no"], default="auto")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    jit_compile = {"auto": "auto", "yes": True, "no": False}[arguments.jit]
    rows = [
        report(size, compare(size, arguments.rounds, arguments.steps, jit_compile))
        for size in SIZES
    ]
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
