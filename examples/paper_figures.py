"""The five figures of "Real NVP with Gaussian Mixture Prior" (A. Atanov, 2019).

    python examples/paper_figures.py                          # two moons
    python examples/paper_figures.py --data old_faithful
    python examples/paper_figures.py --data my_table.csv --components 1 3 5

Trains a flow for each number of components, for few rows with early stopping on a fifth of the
training rows, and writes, to `--output`,

    figure_1.png      negative log-likelihood of train and test sets over training, all K
    figure_2.png ...  one per K: data, latents, samples and density of the trained flow
    metrics.json      entropy of the data if known, and train and test values of every K
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib

matplotlib.use("Agg")

import tensorflow as tf
from matplotlib import pyplot
from matplotlib.figure import Figure

import tfp_gmnvp as gmnvp
from tfp_gmnvp import datasets, plotting

TOY_DENSITIES = {"moons": datasets.two_moons, "circles": datasets.circles}
OLD_FAITHFUL = pathlib.Path(__file__).parent / "data" / "old_faithful.csv"
NUM_TOY_POINTS = 10_000
BATCH_SIZE = 500
MIN_ROWS = 50


class Progress(tf.keras.callbacks.Callback):
    """Shows one bar per training, by epochs."""

    def on_train_begin(self, logs=None):
        self._bar = tf.keras.utils.Progbar(
            self.params["epochs"], stateful_metrics=["train", "test"], unit_name="epoch"
        )

    def on_epoch_end(self, epoch, logs=None):
        values = [("train", logs["loss"]), ("test", logs["val_loss"])]
        self._bar.update(epoch + 1, values=values)


class HeldOut(tf.keras.callbacks.Callback):
    """Adds the held-out loss to the logs of later callbacks, for example `EarlyStopping`."""

    def __init__(self, x):
        super().__init__()
        self._x = x

    def on_epoch_end(self, epoch, logs=None):
        logs["held_out"] = self.model.evaluate(self._x, verbose=0)


def load(name: str, seed: int):
    """Returns train set, test set, entropy in nats or None, and the columns' names."""
    if name in TOY_DENSITIES:
        density = TOY_DENSITIES[name]()
        train, test = (density.sample(NUM_TOY_POINTS, seed=2 * seed + i) for i in range(2))
        return train, test, density.entropy(), ("$x_1$", "$x_2$")
    table = datasets.load_csv(OLD_FAITHFUL if name == "old_faithful" else name, min_rows=MIN_ROWS)
    if len(table.columns) < 2:
        raise ValueError(f"{name} has one column of numbers; a flow needs at least two.")
    train, test = datasets.train_test_split(table.values, test_fraction=0.25, seed=seed)
    return train, test, None, table.columns


def train_flow(train, test, num_components: int, epochs: int, seed: int):
    """Trains one flow; returns it and the history of its training."""
    tf.keras.utils.set_random_seed(seed)
    callbacks = [Progress()]
    is_small = len(train) < 2 * BATCH_SIZE
    if is_small:  # and therefore easily overfitted
        train, held_out = datasets.train_test_split(train, test_fraction=0.2, seed=seed)
        stop = tf.keras.callbacks.EarlyStopping(
            "held_out", mode="min", patience=20, restore_best_weights=True
        )
        callbacks += [HeldOut(held_out), stop]
    flow = gmnvp.gaussian_mixture_flow(
        train.shape[1],
        num_components,
        num_couplings=4 if is_small else 8,
        hidden_units=(16, 16) if is_small else (64, 64),
        standardize=train,
        seed=seed,
    )
    model = gmnvp.FlowModel(flow, seed=seed)
    num_steps = epochs * math.ceil(len(train) / BATCH_SIZE)
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        0.0, num_steps, warmup_target=2e-3, warmup_steps=num_steps // 20 + 1
    )
    optimizer = tf.keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    model.compile(optimizer, mixture_update=gmnvp.FullBatchEM())
    history = model.fit(
        train,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=test,
        validation_batch_size=NUM_TOY_POINTS,
        callbacks=callbacks,
        verbose=0,
    )
    return flow, history.history


def negative_log_likelihood(flow, x) -> float:
    """Mean of -log p(x), in nats."""
    return -float(tf.reduce_mean(flow.log_prob(tf.cast(x, flow.dtype))))


def measure(flow, train, test, seconds: float) -> dict:
    """Returns the entry of one flow in metrics.json."""
    probs = flow.distribution.mixture_distribution.probs_parameter()
    return {
        "train_nll": negative_log_likelihood(flow, train),
        "test_nll": negative_log_likelihood(flow, test),
        "mixture_weights": probs.numpy().tolist(),
        "seconds": round(seconds, 1),
    }


def draw_history(histories, entropy, title: str) -> Figure:
    """Figure 1: the likelihood over training."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = plotting.plot_history(histories, ax=figure.subplots(), entropy=entropy)
    axes.set_title(title)
    return figure


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", default="moons", help="moons, circles, old_faithful, or the path of a CSV file"
    )
    parser.add_argument("--components", type=int, nargs="+", default=[1, 2, 3, 4], metavar="K")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("paper_figures"))
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {arguments.epochs}")
    if min(arguments.components) < 1:
        parser.error(f"--components must be at least 1, got {arguments.components}")
    try:
        arguments.loaded = load(arguments.data, arguments.seed)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return arguments


def main() -> None:
    """Trains, draws and writes."""
    arguments = parse_arguments()
    train, test, entropy, columns = arguments.loaded
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(arguments.data).stem.replace("_", " ")
    histories, metrics = {}, {"entropy": entropy, "components": {}}
    for number, num_components in enumerate(arguments.components, start=2):
        print(f"{name}, K = {num_components}", flush=True)
        start = time.perf_counter()
        flow, history = train_flow(train, test, num_components, arguments.epochs, arguments.seed)
        seconds = time.perf_counter() - start
        histories[f"K = {num_components}"] = history
        measures = measure(flow, train, test, seconds)
        metrics["components"][str(num_components)] = measures
        title = f"{name}, K = {num_components}: test {measures['test_nll']:.3f} nats"
        figure = plotting.plot_flow(flow, test, title=title, labels=columns, seed=arguments.seed)
        figure.savefig(arguments.output / f"figure_{number}.png", dpi=120)
        pyplot.close(figure)
    title = f"Real NVP with a Gaussian mixture prior: {name}"
    draw_history(histories, entropy, title).savefig(arguments.output / "figure_1.png", dpi=120)
    (arguments.output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"Wrote figures 1 to {len(histories) + 1} and metrics.json to {arguments.output}")


if __name__ == "__main__":
    main()
