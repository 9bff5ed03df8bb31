"""Classification with ten labels for a thousand points: a flow compared with scikit-learn.

    python examples/few_labels.py

The data are two moons and two circles, with five labels per class. The flow has one component per
class. It learns the density from all points, and the classes from the labels (Izmailov et al.
2020, "Semi-supervised learning with normalizing flows", arXiv:1912.13025). It is compared with
scikit-learn's `LabelSpreading` and `SelfTrainingClassifier` with a support vector machine. The
table has the accuracy on the points without labels, mean and standard error over seeds, and the
calibration error of the flow's probabilities.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import matplotlib

matplotlib.use("Agg")

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

import tfp_gmnvp as gmnvp
from tfp_gmnvp import datasets, plotting

NOISE = 0.1
DENSITIES = {"moons": datasets.two_moons, "circles": datasets.circles}


def load(name: str, num_points: int, num_labels: int, seed: int):
    """Standardised points, their classes, and labels: classes of a few points, -1 for others."""
    x, classes = DENSITIES[name](noise=NOISE).sample_with_labels(num_points, seed=seed)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    rng = np.random.default_rng(seed)
    labels = np.full(num_points, -1)
    for k in range(2):
        members = rng.choice(np.flatnonzero(classes == k), num_labels // 2, replace=False)
        labels[members] = k
    return x, classes, labels


def train_flow(x, labels, epochs: int, seed: int):
    """Trains a flow with one component per class."""
    tf.keras.utils.set_random_seed(seed)
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=6, seed=seed)
    model = gmnvp.FlowModel(flow, seed=seed)
    optimizer = tf.keras.optimizers.Adam(2e-3, global_clipnorm=1.0)
    model.compile(optimizer, mixture_update=gmnvp.FullBatchEM(), label_weight=10.0)
    model.fit(x, labels, batch_size=250, epochs=epochs, verbose=0)
    return flow


def predictions(x, labels, epochs: int, seed: int) -> dict:
    """The classes that each method predicts for all points, and the flow's probabilities."""
    flow = train_flow(x, labels, epochs, seed)
    probs = gmnvp.posterior(flow, x).probs_parameter().numpy()
    spreading = LabelSpreading(kernel="rbf", gamma=20, max_iter=1000).fit(x, labels)
    training = SelfTrainingClassifier(SVC(probability=True, random_state=seed)).fit(x, labels)
    classes = {
        "flow": probs.argmax(axis=1),
        "LabelSpreading": spreading.transduction_,
        "SelfTrainingClassifier": training.predict(x),
    }
    return {"classes": classes, "probs": probs, "flow": flow}


def evaluate(name: str, arguments, seed: int) -> dict:
    """Accuracies and calibration error for one seed, and the data of its figure."""
    x, classes, labels = load(name, arguments.num_points, arguments.num_labels, seed)
    found = predictions(x, labels, arguments.epochs, seed)
    rest = labels < 0
    scores = {
        method: float(np.mean((given == classes)[rest]))
        for method, given in found["classes"].items()
    }
    scores["calibration error"] = gmnvp.calibration_error(found["probs"][rest], classes[rest])
    return {"scores": scores, "x": x, "labels": labels, "known": classes, **found}


def draw(results: dict) -> Figure:
    """Draws a row per data set: probabilities of points with the labels, and reliability."""
    figure = Figure(figsize=(9, 4.2 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False)
    for (name, result), (left, right) in zip(results.items(), axes, strict=True):
        x, labels = result["x"], result["labels"]
        left.scatter(*x.T, s=6, c=plotting.blend_colours(result["probs"]))
        for k, marker in enumerate("os"):
            style = {"c": [plotting.component_colours(2)[k]], "edgecolors": "black"}
            left.scatter(*x[labels == k].T, s=70, marker=marker, label=f"label {k}", **style)
        left.set_title(f"{name}: accuracy {result['scores']['flow']:.3f}", fontsize=11)
        left.set_aspect("equal")
        left.legend(frameon=False)
        rest = labels < 0
        plotting.plot_reliability(result["probs"][rest], result["known"][rest], ax=right)
    return figure


def summarize(name: str, scores: list[dict]) -> dict:
    """Prints a data set's rows of the table; returns means and standard errors."""
    summary = {}
    for method in scores[0]:
        values = np.array([score[method] for score in scores])
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
        each = values.round(4).tolist()
        summary[method] = {"mean": float(values.mean()), "standard_error": error, "each": each}
        print(f"{name:8s} {method:24s} {values.mean():.3f} +- {error:.3f}", flush=True)
    return summary


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--num-points", type=int, default=1000)
    parser.add_argument("--num-labels", type=int, default=10)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("few_labels.png"))
    arguments = parser.parse_args()
    for name in ("seeds", "epochs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    if not 2 <= arguments.num_labels <= arguments.num_points // 2 or arguments.num_labels % 2:
        parser.error("--num-labels must be even, and at most half of --num-points")
    return arguments


def main() -> None:
    """Trains, prints the table, and writes it as JSON next to the figure."""
    arguments = parse_arguments()
    tables, first = {}, {}
    for name in DENSITIES:
        results = [evaluate(name, arguments, seed) for seed in range(arguments.seeds)]
        tables[name] = summarize(name, [result["scores"] for result in results])
        first[name] = results[0]
    draw(first).savefig(arguments.output, dpi=110)
    arguments.output.with_suffix(".json").write_text(json.dumps(tables, indent=2) + "\n")
    print(f"Wrote {arguments.output} and {arguments.output.with_suffix('.json')}")


if __name__ == "__main__":
    main()
