"""Trains eleven kinds of flows for a few steps, and prints digests of the results.

    python examples/benchmarks/training_digest.py

If the digests before and after a change of the code are equal on one machine, it changed no bit of
any variable or log-density. Every line is a configuration, the SHA-256 of all
variables after training, that of 100 log-densities, and their mean in nats.
"""

import argparse
import hashlib

import numpy as np
import tensorflow as tf

import tfp_gmnvp as gmnvp

STEPS = {"batch_size": 50, "epochs": 2, "verbose": 0}


def points(size=200, event_size=2):
    """Two clusters."""
    rng = np.random.default_rng(0)
    centers = np.repeat([-2.0, 2.0], size // 2)[:, np.newaxis]
    return (centers + rng.normal(size=[size, event_size])).astype(np.float32)


def flow_of(event_size=2, num_components=3, **arguments):
    """A small flow."""
    settings = {"num_couplings": 3, "hidden_units": (16,), "seed": 0, **arguments}
    return gmnvp.gaussian_mixture_flow(event_size, num_components, **settings)


def train(flow, x, y=None, *, update=None, **fit_arguments):
    """Trains a flow, and returns it."""
    model = gmnvp.FlowModel(flow, seed=1)
    update = gmnvp.StepwiseEM() if update is None else update
    optimizer = tf.keras.optimizers.Adam(1e-2)
    model.compile(optimizer, mixture_update=update, jit_compile=False)
    model.fit(x, y, **STEPS, **fit_arguments)
    return flow


def labelled():
    """Points with few labels."""
    x = points()
    y = np.where(np.arange(len(x)) % 10 == 0, (np.arange(len(x)) >= len(x) // 2) * 1, -1)
    return train(flow_of(), x, y)


def with_context():
    """A context that moves the couplings and the weights."""
    x = points()
    context = x[:, :1] ** 2
    flow = train(flow_of(context_size=1, gate_units=(8,)), (x, context))
    return gmnvp.condition(flow, context[:100])


def images():
    """Small images of two scales."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 256, size=[100, 4, 4, 1]).astype(np.float32)
    flow = gmnvp.image_flow(
        [4, 4, 1], 2, num_filters=4, num_blocks=1, standardize=x, covariance_type="diag", seed=0
    )
    return train(flow, x)


def scheduled():
    """Stepwise EM with a decreasing step size."""
    return train(flow_of(), points(), update=gmnvp.StepwiseEM(step_size=gmnvp.PowerSchedule()))


def two_replicas():
    """Two logical devices, full-batch EM."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        flow = flow_of()
        model = gmnvp.FlowModel(flow, seed=1)
        model.compile(tf.keras.optimizers.Adam(1e-2), mixture_update=gmnvp.FullBatchEM())
    model.fit(points(), **STEPS)
    return flow


CONFIGURATIONS = {
    "affine": lambda: train(flow_of(), points()),
    "spline": lambda: train(flow_of(coupling="spline"), points()),
    "sine": lambda: train(flow_of(activation="sine"), points()),
    "lu": lambda: train(flow_of(4, mixing="lu"), points(event_size=4)),
    "act_norm": lambda: train(flow_of(normalization="act_norm"), points()),
    "labels": labelled,
    "context_and_gate": with_context,
    "image": images,
    "low_rank": lambda: train(flow_of(6, covariance_type="low_rank", rank=2), points(event_size=6)),
    "stepwise_schedule": scheduled,
    "two_replicas": two_replicas,
}


def digest(arrays) -> str:
    """The first digits of the SHA-256 of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def log_densities(flow):
    """Of 100 points."""
    shape = flow.event_shape.as_list()
    if len(shape) == 3:
        x = np.random.default_rng(1).uniform(1, 255, size=[100, *shape])
    else:
        x = np.random.default_rng(1).normal(size=[100, *shape])
    return flow.log_prob(tf.constant(x, flow.dtype)).numpy()


def main():
    """Prints a line for each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=CONFIGURATIONS, default=CONFIGURATIONS)
    names = parser.parse_args().only
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    print(f"{'configuration':18} {'variables':16} {'log-densities':16} mean")
    for name in names:
        flow = CONFIGURATIONS[name]()
        log_prob = log_densities(flow)
        variables = digest(v.numpy() for v in sorted(flow.variables, key=lambda v: v.name))
        print(f"{name:18} {variables} {digest([log_prob])} {log_prob.mean():.6f}", flush=True)


if __name__ == "__main__":
    main()
