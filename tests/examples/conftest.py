"""Scripts of `examples/` run within the test's process, which has imported TensorFlow already."""

import pathlib
import runpy
import sys

import pytest

import tfp_gmnvp

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Runs a script with arguments, and returns what it prints.

    Flows have two couplings, which are traced in a third of the time of the examples' six or eight;
    those of benchmarks have as many as they choose.
    """
    make_flow = tfp_gmnvp.gaussian_mixture_flow

    def make_small_flow(*args, **kwargs):
        return make_flow(*args, **{**kwargs, "num_couplings": 2})

    def run(script, *arguments):
        path = EXAMPLES / script
        if path.parent == EXAMPLES:
            monkeypatch.setattr(tfp_gmnvp, "gaussian_mixture_flow", make_small_flow)
        monkeypatch.syspath_prepend(path.parent)
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out

    return run
