"""Trains on one device and on several, and compares the results in a separate process: see
test_distribute.py.

    python distributed_training.py mirrored CASE ...
    TF_CONFIG=... python distributed_training.py workers DIRECTORY CASE ...

prints, or writes for each worker, the differences of the variables.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import tfp_gmnvp as gmnvp

keras = tf.keras
BATCH_SIZE = 40
UPDATES = {
    "full_batch": lambda: gmnvp.FullBatchEM(num_iterations=2),
    "stepwise": lambda: gmnvp.StepwiseEM(step_size=0.3),
    "gradient": gmnvp.GradientUpdate,
}


def points():
    """Two clusters, in two batches and a third of 15 rows, an odd number for two replicas."""
    rng = np.random.default_rng(0)
    centers = np.array([[-3.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
    x = centers[rng.integers(2, size=95)] + rng.normal(size=(95, 3))
    return x.astype(np.float32)


def weights():
    """Weights whose sums differ between the halves of each batch."""
    return np.linspace(0.1, 3.0, 95).astype(np.float32)


def optimizers():
    """Optimizers with and without clipping of the global batch's gradient."""
    return {
        "sgd": keras.optimizers.SGD(0.05, momentum=0.5),
        "clipnorm": keras.optimizers.SGD(0.05, clipnorm=0.02),
        "adam": keras.optimizers.Adam(1e-3, epsilon=1e-3),
    }


def make_model(strategy, update, *, optimizer="sgd", collapsed=False):
    """A small model in a strategy's scope, whose bijector is not the identity.

    Each worker has another seed, but all must start from the first one's initial values.
    """
    resolver = strategy.cluster_resolver
    seed = 0 if resolver is None else resolver.task_id
    with strategy.scope():
        flow = gmnvp.gaussian_mixture_flow(
            3, 3, num_couplings=2, hidden_units=(8,), standardize=points(), seed=seed
        )
        for i, variable in enumerate(flow.bijector.trainable_variables):
            noise = tf.random.stateless_normal(variable.shape, [0, i], dtype=variable.dtype)
            variable.assign(0.2 * noise)
        model = gmnvp.FlowModel(flow, seed=seed)
        model.compile(optimizers()[optimizer], mixture_update=UPDATES[update](), jit_compile=False)
        if collapsed:  # a component without mass, to be repaired
            model.initialize_mixture(points())
            flow.distribution.components_distribution.loc.assign(
                [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [90.0, 90.0, 90.0]]
            )
    return model


class BatchLosses(keras.callbacks.Callback):
    """Stores the loss in the logs of every batch."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(np.squeeze(logs["loss"])))


def memory_mapped(x):
    """A memory map of the same rows in a temporary file."""
    with tempfile.TemporaryFile() as file:
        file.write(x.tobytes())
        file.flush()
        return np.memmap(file, x.dtype, "r", shape=x.shape)


def trained(
    strategy,
    update,
    *,
    weighted=False,
    as_dataset=False,
    as_memory_map=False,
    evaluates=False,
    epochs=2,
    **arguments,
):
    """The variables after training on every replica of this process, and the losses."""
    model = make_model(strategy, update, **arguments)
    x = memory_mapped(points()) if as_memory_map else points()
    sample_weight = weights() if weighted else None
    batch_losses = BatchLosses()
    fit = {"epochs": epochs, "verbose": 0, "callbacks": [batch_losses]}
    if as_dataset:
        parts = (x,) if sample_weight is None else (x, np.full(len(x), -1), sample_weight)
        fit["x"] = tf.data.Dataset.from_tensor_slices(parts).batch(BATCH_SIZE)
    else:
        fit.update(x=x, sample_weight=sample_weight, batch_size=BATCH_SIZE, shuffle=False)
    if evaluates:
        fit.update(validation_data=x[:50], validation_batch_size=20)
    losses = [*model.fit(**fit).history.values(), batch_losses.losses]
    if evaluates:
        evaluate = {"batch_size": BATCH_SIZE, "verbose": 0}
        losses.append([model.evaluate(x, sample_weight=sample_weight, **evaluate)])
        losses.append(model.predict(x, **evaluate))
    values = [
        [v.numpy() for v in strategy.experimental_local_results(variable)]
        for variable in model.distribution.variables
    ]
    return values, np.concatenate(losses)


def distances(strategy, **arguments):
    """The largest differences of variables and losses between one device and the strategy."""
    expected, expected_losses = trained(tf.distribute.get_strategy(), **arguments)
    actual, losses = trained(strategy, **arguments)
    return {
        "variables": max(
            float(np.max(np.abs(replica - one[0]) / (1 + np.abs(one[0]))))
            for one, replicas in zip(expected, actual, strict=True)
            for replica in replicas
        ),
        "replicas": max(float(np.ptp(replicas, axis=0).max()) for replicas in actual),
        "losses": float(np.max(np.abs(losses - expected_losses))),
    }


CASES = {
    "full_batch": {"update": "full_batch", "as_memory_map": True},
    "stepwise": {"update": "stepwise", "weighted": True, "evaluates": True},
    "gradient": {"update": "gradient", "optimizer": "adam", "weighted": True, "epochs": 1},
    "clipnorm": {"update": "gradient", "optimizer": "clipnorm", "epochs": 1},
    "data set": {"update": "full_batch", "as_dataset": True, "weighted": True, "collapsed": True},
    "collapsed": {"update": "stepwise", "collapsed": True, "epochs": 1},
}


def all_distances(strategy, cases):
    return {name: distances(strategy, **CASES[name]) for name in cases}


def refusal(strategy):
    """The error message for a flow that was built outside the scope."""
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1)
    try:
        with strategy.scope():
            gmnvp.FlowModel(flow)
    except ValueError as error:
        return str(error)


def mirrored(cases):
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {"distances": all_distances(strategy, cases), "refusal": refusal(strategy)}
    print(json.dumps(results))


def workers(directory, cases):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index = strategy.cluster_resolver.task_id
    results = all_distances(strategy, cases)
    (directory / f"worker_{index}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    tf.debugging.disable_traceback_filtering()
    if hasattr(keras, "config"):
        keras.config.disable_traceback_filtering()
    mode, *names = sys.argv[1:]
    if mode == "mirrored":
        mirrored(names)
    else:
        workers(pathlib.Path(names[0]), names[1:])
