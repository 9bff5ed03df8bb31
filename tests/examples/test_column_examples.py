"""The example and the benchmark of kinds of columns run, small."""

import json
import pathlib
import runpy
import sys

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def test_table(monkeypatch, tmp_path, capsys):
    figure = tmp_path / "table.png"
    run(monkeypatch, "table.py", "--num-rows", 150, "--steps", 2, "--output", figure)
    printed = capsys.readouterr().out
    assert "circular, period 24" in printed and "nats a row" in printed
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_benchmark(monkeypatch, tmp_path):
    output = tmp_path / "columns.json"
    small = ["--seeds", 1, "--num-train", 100, "--num-test", 50, "--output", output]
    run(monkeypatch, "benchmarks/columns.py", "--tables", "bounded", "categories", *small)
    results = json.loads(output.read_text())
    models = [result["model"] for result in results]
    assert models == ["real", "detected", "declared"] * 2 + ["frequency", "separate"]
    assert results[0]["gain"] == 0.0 and results[2]["gain"] > 0.0
