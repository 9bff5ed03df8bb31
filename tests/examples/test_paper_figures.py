"""The main job at a small budget: its output, and its errors."""

import json
import pathlib
import runpy
import sys

import numpy as np
import pytest

SCRIPT = str(pathlib.Path(__file__).parents[2] / "examples" / "paper_figures.py")


@pytest.fixture
def refusal(monkeypatch, capsys):
    """The last line of the script's error for invalid arguments, run within this process."""

    def run_and_read(*arguments):
        monkeypatch.setattr(sys, "argv", [SCRIPT, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(SCRIPT, run_name="__main__")
        assert exit_.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return run_and_read


@pytest.mark.slow
def test_writes_figures_and_metrics(tmp_path, run_example):
    printed = run_example(SCRIPT, "--epochs", 2, "--components", 1, 3, "--output", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"figure_1.png", "figure_2.png", "figure_3.png", "metrics.json"}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["entropy"] == pytest.approx(0.289, abs=1e-3)
    assert list(metrics["components"]) == ["1", "3"]
    for num_components, measured in metrics["components"].items():
        assert set(measured) == {"train_nll", "test_nll", "mixture_weights", "seconds"}
        assert len(measured["mixture_weights"]) == int(num_components)
        assert sum(measured["mixture_weights"]) == pytest.approx(1, abs=1e-5)
        assert metrics["entropy"] < measured["test_nll"] < 2
    assert "epoch" in printed


@pytest.mark.slow
def test_takes_a_table_of_three_columns(tmp_path, run_example):
    rng = np.random.default_rng(0)
    table = tmp_path / "table.csv"
    np.savetxt(table, rng.normal(size=[80, 3]), delimiter=",", header="a,b,c", comments="")
    arguments = ["--data", table, "--epochs", 1, "--components", 2]
    run_example(SCRIPT, *arguments, "--output", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["entropy"] is None
    assert np.isfinite(metrics["components"]["2"]["test_nll"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n" + "1,x\n" * 60, "b"),
        ("a,b\n" + "1,2\n" * 59 + "1,\n", "row 60"),
        ("a,b\n1,2\n3,4\n", "50"),
        ("a\n" + "1\n" * 60, "at least two"),
    ],
    ids=["not a number", "missing value", "too few rows", "one column"],
)
def test_says_what_is_wrong_with_a_table(tmp_path, refusal, content, message):
    table = tmp_path / "table.csv"
    table.write_text(content)
    said = refusal("--data", table, "--output", tmp_path / "out")
    assert "table.csv" in said
    assert message in said
    assert not (tmp_path / "out").exists()


def test_says_that_there_is_no_such_file(tmp_path, refusal):
    assert "nothing.csv" in refusal("--data", tmp_path / "nothing.csv")
