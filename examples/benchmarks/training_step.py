"""Times a training step, compared with its lower limit and with plain TensorFlow Probability.

    python examples/benchmarks/training_step.py --output training_step.json

Variants are timed in turn (A B C D, A B C D, ...), so that drifts affect all of them equally:

    ours        the step that `FlowModel.fit` runs: forward, backward, Adam, stepwise EM
    no update   the same without the mixture's update
    limit       forward and backward pass of the same conditioners alone, without an optimizer
    plain TFP   a `tfb.Chain` of `tfb.RealNVP` over a `MixtureSameFamily` of
                `MultivariateNormalTriL`, Keras' Adam, in a `tf.function`
    fit         a step of `fit` in epochs of 200 steps, with all that Keras does around it
    fit by 10   the same with `steps_per_execution=10`
    and with `--peer` the step of another library; `peer_step.py` says how to install one
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pathlib
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from timing import medians, timed

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.data.row_batches import row_batches

tfd, tfb = tfp.distributions, tfp.bijectors

STEPS_PER_EPOCH = 200
PATIENCE = 60.0  # seconds; flowjax with D = 64 has once deadlocked on two cores


class Size(NamedTuple):
    """The size of one comparison."""

    event_size: int
    num_couplings: int
    hidden_units: tuple[int, int]
    num_components: int
    batch_size: int
    activation: str = "silu"


SIZES = (
    Size(2, 8, (64, 64), 4, 512),
    Size(7, 8, (128, 128), 8, 1024),
    Size(64, 8, (256, 256), 4, 512),
)


class NoUpdate(gmnvp.MixtureUpdate):
    """An update that does not change the mixture."""


def points(size: Size) -> np.ndarray:
    """The points of an epoch."""
    shape = [STEPS_PER_EPOCH * size.batch_size, size.event_size]
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def batches(size: Size):
    """An infinite stream of epochs, as `fit` reads an array."""
    return iter(row_batches(points(size), batch_size=size.batch_size).repeat())


def make_flow(size: Size):
    """The flow; all variants have its sizes."""
    return gmnvp.gaussian_mixture_flow(
        size.event_size,
        size.num_components,
        num_couplings=size.num_couplings,
        hidden_units=size.hidden_units,
        activation=size.activation,
        seed=0,
    )


def our_step(size: Size, update: gmnvp.MixtureUpdate, jit_compile) -> Callable[[], object]:
    """The step of `fit`, with its data."""
    model = gmnvp.FlowModel(make_flow(size))
    model.compile(tf.keras.optimizers.Adam(1e-4), mixture_update=update, jit_compile=jit_compile)
    model.initialize_mixture(points(size)[: 4 * size.batch_size])
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
    """Plain TFP, as in its documentation."""
    half = size.event_size // 2
    couplings, networks = [], []
    for i in range(size.num_couplings):
        still = half if i % 2 == 0 else size.event_size - half
        moving = size.event_size - still
        settings = {"hidden_units": size.hidden_units, "activation": size.activation, "seed": i}
        network = gmnvp.MLP(still, 2 * moving, **settings)
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
    return lambda: step(next(iterator)[0])


def _shift_and_log_scale(network):
    def shift_and_log_scale(x, output_units):
        shift, raw = tf.split(network(x), 2, axis=-1)
        return shift, 3.0 * tf.tanh(raw / 3.0)

    return shift_and_log_scale


def of_fit(size: Size, steps_per_execution: int, jit_compile) -> Callable[[int], float]:
    """Measures the time of a step in `fit`, including the overhead of Keras."""
    x = points(size)
    model = gmnvp.FlowModel(make_flow(size))
    model.compile(
        tf.keras.optimizers.Adam(1e-4),
        mixture_update=gmnvp.StepwiseEM(),
        steps_per_execution=steps_per_execution,
        jit_compile=jit_compile,
    )

    def measure(num_steps: int) -> float:
        epochs = max(1, num_steps // STEPS_PER_EPOCH)
        start = time.perf_counter()
        model.fit(x, batch_size=size.batch_size, epochs=epochs, verbose=0)
        return 1e3 * (time.perf_counter() - start) / (epochs * STEPS_PER_EPOCH)

    return measure


@contextlib.contextmanager
def of_peer(size: Size, peer: str, python: str) -> Iterator[Callable[[int], float]]:
    """Measures the step of another library, in a process that waits between measurements.

    If it does not answer within `PATIENCE` seconds, this and all later results are NaN.
    """
    script = pathlib.Path(__file__).with_name("peer_step.py")
    command = [python, str(script), peer, json.dumps(size._asdict())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(num_steps: int) -> float:
        if process.poll() is not None:
            return math.nan
        print(num_steps, file=process.stdin, flush=True)
        answered, _, _ = select.select([process.stdout], [], [], PATIENCE)
        answer = process.stdout.readline() if answered else ""
        if not answer:
            process.kill()
        return float(answer or math.nan)

    yield measure
    process.kill()
    process.communicate()


def compare(
    size: Size, rounds: int, num_steps: int, jit_compile, peers: dict[str, str]
) -> dict[str, float]:
    """The variants' median milliseconds per step, without peers that do not answer."""
    variants = {
        "ours": timed(our_step(size, gmnvp.StepwiseEM(), jit_compile)),
        "no update": timed(our_step(size, NoUpdate(), jit_compile)),
        "limit": timed(limit_step(size, jit_compile is not False)),
        "plain TFP": timed(plain_step(size)),
        "fit": of_fit(size, 1, jit_compile),
        "fit by 10": of_fit(size, 10, jit_compile),
    }
    with contextlib.ExitStack() as running:
        for peer, python in peers.items():
            variants[peer] = running.enter_context(of_peer(size, peer, python))
        times = medians(variants, rounds, num_steps)
    return {name: time for name, time in times.items() if math.isfinite(time)}


def report(size: Size, times: dict[str, float]) -> dict:
    """Prints a row, and returns it."""
    ours = times["ours"]
    row = {
        "size": size._asdict(),
        "milliseconds": times,
        "ours / limit": ours / times["limit"],
        "share of the update": 1 - times["no update"] / ours,
    }
    others = [name for name in times if name not in ("ours", "no update", "limit")]
    row.update({f"{name} / ours": times[name] / ours for name in others})
    cells = [f"{name} {value:.2f} ms" for name, value in times.items()]
    cells += [f"{name} {value:.2f}" for name, value in row.items() if isinstance(value, float)]
    print(f"D={size.event_size:3d}  " + "  ".join(cells), flush=True)
    return row


def main() -> None:
    """Times all sizes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20, help="steps of one round")
    parser.add_argument("--jit", choices=["auto", "yes", "no"], default="yes")
    parser.add_argument(
        "--peer", action="append", default=[], help="a library in `peer_step.py`; repeatable"
    )
    parser.add_argument(
        "--peer-python", action="append", default=[], help="the Python of each peer's environment"
    )
    parser.add_argument("--activation", default="silu", help="of all; peers have silu, relu, tanh")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 7, 64], help="values of D")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    jit_compile = {"auto": "auto", "yes": True, "no": False}[arguments.jit]
    peers = dict(zip(arguments.peer, arguments.peer_python, strict=True))
    rows = []
    for size in SIZES:
        if size.event_size in arguments.sizes:
            size = size._replace(activation=arguments.activation)
            times = compare(size, arguments.rounds, arguments.steps, jit_compile, peers)
            rows.append(report(size, times))
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
