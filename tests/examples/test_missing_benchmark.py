"""The benchmark of missing entries runs, small, and removes entries as it says."""

import json
import pathlib
import sys

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import missing

    return missing


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_prints_a_table(missing, monkeypatch, capsys, tmp_path):
    output = tmp_path / "missing.json"
    arguments = ["--targets", "circles", "--shares", "0.3", "--mechanisms", "mcar", "mar"]
    arguments += ["--methods", "complete cases", "mean", "iterative", "mixture", "flow"]
    arguments += ["--rows", "70", "--steps", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["missing.py", *arguments])
    missing.main()
    printed = capsys.readouterr().out
    assert "| circles | 30% mcar |" in printed and "| circles | 30% mar |" in printed
    rows = json.loads(output.read_text())
    assert len(rows) == 10
    assert all(np.isfinite(row["excess"]) for row in rows)


def test_entries_go_missing_as_it_says(missing):
    x = np.random.default_rng(0).normal(size=[4000, 3])
    at_random = missing.remove(x, 0.3, "mcar", seed=0)
    np.testing.assert_allclose(np.isnan(at_random).mean(axis=0), 0.3, atol=0.03)
    by_first = np.isnan(missing.remove(x, 0.3, "mar", seed=0))
    np.testing.assert_allclose(by_first.mean(axis=0), [0.0, 0.3, 0.3], atol=0.03)
    is_high = x[:, 0] > np.median(x[:, 0])
    assert by_first[is_high].mean() > 2.5 * by_first[~is_high].mean()
