"""Trains one flow on several machines: start this script once on each.

The environment variable `TF_CONFIG` of each process lists all the workers, and says which of
them it is. Two workers on one machine:

    cluster='"cluster": {"worker": ["127.0.0.1:12345", "127.0.0.1:12346"]}'
    TF_CONFIG="{$cluster, \"task\": {\"type\": \"worker\", \"index\": 0}}" python multi_worker.py &
    TF_CONFIG="{$cluster, \"task\": {\"type\": \"worker\", \"index\": 1}}" python multi_worker.py

The batch size is that of the global batch, and each worker gets a part of it; sufficient
statistics and gradients are summed, so the result is the same as on one machine. After every epoch
the training is backed up, to a directory that all can read and write. When a worker dies the
others stop with an error: start all of them again, and they resume from the backup.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

import tfp_gmnvp as gmnvp


def make_model(strategy, x, learning_rate: float) -> gmnvp.FlowModel:
    """Builds the model in the strategy's scope."""
    with strategy.scope():
        flow = gmnvp.gaussian_mixture_flow(2, 4, standardize=x, seed=0)
        model = gmnvp.FlowModel(flow, seed=0)
        optimizer = tf.keras.optimizers.Adam(learning_rate)
        model.compile(optimizer, mixture_update=gmnvp.StepwiseEM())
    return model


def backup(directory: pathlib.Path, worker: int) -> tf.keras.callbacks.Callback:
    """A callback that backs training up, and resumes all workers from the first one's backup.

    All workers must write, because some values are summed over them; each has its own directory.
    """
    if not hasattr(tf.keras, "Variable"):  # tf_keras does this by itself
        return tf.keras.callbacks.BackupAndRestore(str(directory))
    first, own = directory / "worker_0", directory / f"worker_{worker}"
    if worker != 0:
        shutil.rmtree(own, ignore_errors=True)
        if first.exists():
            shutil.copytree(first, own)
    return tf.keras.callbacks.BackupAndRestore(str(own), double_checkpoint=True)


def batches(x, batch_size: int) -> tf.data.Dataset:
    """The same batches on all workers; `fit` gives each worker its part."""
    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=0).batch(batch_size)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options)


def main() -> None:
    """Trains, and prints the loss; the first worker exports the flow."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=512, help="of all workers together")
    parser.add_argument("--size", type=int, default=10_000, help="number of points")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--directory", type=pathlib.Path, default="multi_worker")
    arguments = parser.parse_args()

    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # must be the first call of TensorFlow
    worker = strategy.cluster_resolver.task_id or 0
    x = gmnvp.datasets.two_moons(noise=0.05).sample(arguments.size, seed=0)
    model = make_model(strategy, x, arguments.learning_rate)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    history = model.fit(
        batches(x, arguments.batch_size),
        epochs=arguments.epochs,
        callbacks=[backup(arguments.directory / "backup", worker)],
        verbose=2,
    )
    print(f"worker {worker} of {strategy.num_replicas_in_sync} replicas")
    print("epochs", history.epoch, "losses", [round(loss, 4) for loss in history.history["loss"]])
    if worker == 0:
        gmnvp.export_flow(model.distribution, arguments.directory / "flow", overwrite=True)


if __name__ == "__main__":
    main()
