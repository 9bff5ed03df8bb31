"""Every example runs, small, prints its numbers and draws its figure."""

import importlib.util
import json
import math
import pathlib
import sys

import numpy as np
import pytest

from tfp_gmnvp import datasets

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # scripts run as they do for users
]


@pytest.mark.parametrize(
    ("script", "arguments", "printed"),
    [
        ("surrogate_posterior.py", ["--steps", "30"], "KL"),
        ("mcmc.py", ["--steps", "250", "--fit-steps", "30"], "effective samples"),
        ("vae.py", ["--epochs", "1"], "ELBO"),
        ("conditional_density.py", ["--epochs", "1", "--num-points", "500"], "coverage"),
        ("few_labels.py", ["--epochs", "2", "--seeds", "1", "--num-points", "200"], "circles"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(".py") else "",
)
def test_runs(script, arguments, printed, tmp_path, run_example):
    figure = tmp_path / "figure.png"
    assert printed.lower() in run_example(script, *arguments, "--output", figure).lower()
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_gallery(tmp_path, run_example):
    arguments = ["--epochs", 1, "--most-components", 2, "--output", tmp_path]
    printed = run_example("gallery.py", *arguments)
    assert "chosen by icl" in printed
    assert "known moons: 5.0 % are outliers" in printed
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert pictures == ["components.png", "interpolation.png", "outliers.png", "selection.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


@pytest.fixture
def data_size(monkeypatch):
    """The script as a module, which gives only the first case a process of its own."""
    path = EXAMPLES / "benchmarks" / "data_size.py"
    spec = importlib.util.spec_from_file_location("data_size", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    first, in_a_process = [], module.in_a_process

    def in_the_first_process(**case):
        if first:
            return module.one_case(**case)
        first.append(case)
        return in_a_process(**case)

    monkeypatch.setattr(module, "in_a_process", in_the_first_process)
    return module


def test_data_size_benchmark(tmp_path, data_size, monkeypatch, capsys):
    output = tmp_path / "data_size.json"
    arguments = ["--sizes", "200", "600", "--components", "2", "3", "--batch-size", "100"]
    arguments += ["--kinds", "memmap", "tf.data", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["data_size.py", *arguments])
    data_size.main()
    printed = capsys.readouterr().out
    results = json.loads(output.read_text())
    cases = [(case["kind"], case["rows"], case["components"]) for case in results["cases"]]
    assert cases == [
        ("memmap", 200, 2),
        ("memmap", 600, 2),
        ("tf.data", 200, 2),
        ("tf.data", 600, 2),
        ("array", 600, 2),
        ("array", 600, 3),
    ]
    for case in results["cases"]:
        assert case["rows per second"] > 0
        assert case["peak megabytes"] > case["data megabytes"]
    assert set(results["exponent of the rows"]) == {"memmap", "tf.data"}
    assert all(math.isfinite(exponent) for exponent in results["exponent of the rows"].values())
    assert math.isfinite(results["exponent of the components"])
    assert "seconds ~ N^" in printed
    assert "seconds ~ K^" in printed


@pytest.mark.parametrize(
    ("script", "more", "printed"),
    [
        (
            "training_step.py",
            ["--jit", "no"],
            ["ours / limit", "share of the update", "plain TFP / ours"],
        ),
        ("evaluation.py", [], ["TFP / ours", "XLA / graph", "sample / log_prob"]),
    ],
)
def test_timing_benchmarks(script, more, printed, tmp_path, run_example):
    output = tmp_path / "times.json"
    arguments = ["--sizes", 2, "--rounds", 1, "--steps", 2, "--output", output, *more]
    text = run_example(f"benchmarks/{script}", *arguments)
    [row] = json.loads(output.read_text())
    assert all(row[name] > 0 for name in printed if name != "share of the update")
    assert all(name in text for name in printed)


def test_density_benchmark(tmp_path, run_example):
    output, table = tmp_path / "density.json", tmp_path / "table.csv"
    table.write_text("a,b\n" + "".join(f"{i % 7},{i % 11}.5\n" for i in range(77)))
    arguments = ["--seeds", "0", "1", "--steps", "4", "--components", "2", "--couplings", "affine"]
    arguments += ["--num-couplings", "2", "--hidden-units", "4", "--learning-rates", "1e-3"]
    arguments += ["--activations", "sine:1", "--rows", "600"]
    arguments += ["--sklearn-components", "2", "--sklearn-rows", "500", "--output", str(output)]

    def run(*more):
        return run_example("benchmarks/density.py", *arguments, *more)

    run("--targets", "eight_gaussians", str(table), "--methods", "sklearn")
    printed = run("--targets", str(table), "--methods", "sklearn", "stepwise", "--resume")
    assert '"method": "sklearn"' not in printed  # they were there
    results = json.loads(output.read_text())
    assert len(results["runs"]) == 6
    rows = {(row["score"], row["method"]): row for row in results["table"]}
    assert rows["KL", "sklearn"]["mean"] > 0
    flow, plain = (rows["log-likelihood", method] for method in ("stepwise", "sklearn"))
    gains = [flow["runs"][seed] - plain["runs"][seed] for seed in "01"]
    assert abs(flow["gain"] - sum(gains) / 2) < 1e-9
    assert "gain over sklearn" in printed
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_rotated_pairs_are_a_density(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "benchmarks"))
    import density_data

    first, second = datasets.eight_gaussians(), datasets.two_moons()
    pairs = density_data.RotatedPairs(first, second)
    x = pairs.sample(20_000, seed=0)
    assert x.shape == (20_000, 4)
    loss = -pairs.log_prob(x)
    error = loss.std() / np.sqrt(len(loss))
    assert abs(loss.mean() - first.entropy() - second.entropy()) < 4 * error
    assert np.abs(np.corrcoef(x.T) - np.eye(4)).max() > 0.1  # no column is by itself


def test_density_benchmark_reports_the_rate_with_the_best_validation_loss(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "benchmarks"))
    import density

    kind = {**dict.fromkeys(density.KIND), "target": "t", "method": "full"}
    # validation loss and KL by rate and seed: the second rate is best but for one divergence
    runs = {0.1: [(2.0, 0.5), (2.2, 0.7)], 0.2: [(1.0, 0.1), (None, None)], 0.3: [(3.0, 0.2)] * 2}
    rows = [
        {**kind, "learning_rate": rate, "seed": seed, "score": "KL", "value": kl,
         "validation_nll": loss}
        for rate, pairs in runs.items()
        for seed, (loss, kl) in enumerate(pairs)
    ]  # fmt: skip
    (row,) = density.summarize(rows)
    assert row["learning_rate"] == 0.1
    assert row["runs"] == {0: 0.5, 1: 0.7}
    assert abs(row["mean"] - 0.6) < 1e-12
