"""Long calls show their progress with `verbose`, and print nothing otherwise."""

import importlib
import io
import logging
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.progress import Progress

SMALL = {"num_couplings": 1, "hidden_units": ()}
X = np.random.default_rng(0).normal(size=[60, 2])
FEW = {"num_components": [1, 2], "covariance_types": ["diag"], "steps": 4, **SMALL}


def make_model(num_components, x, seed):
    flow = gmnvp.gaussian_mixture_flow(2, num_components, num_couplings=1, hidden_units=())
    model = gmnvp.FlowModel(flow, seed=seed)
    model.compile("sgd", jit_compile=False)
    return model


def fit_density(verbose):
    gmnvp.fit_density(X, verbose=verbose, seed=0, **FEW)


def select_components(verbose):
    arguments = {"make_model": make_model, "epochs": 1, "num_folds": 2, "seed": 0}
    gmnvp.select_components(X, [1, 2], criterion="held_out", verbose=verbose, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("call", [fit_density, select_components])
def test_silent_by_default_and_with_zero(call, capsys):
    call(0)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_fit_density_shows_mixtures_and_epochs(capsys, monkeypatch):
    module = importlib.import_module("tfp_gmnvp.density.fit_density")
    monkeypatch.setattr(module, "may_pay_off", lambda *args, **kwargs: True)
    fit_density(2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mixtures 1/8 - diag, K = 1"
    assert any(line.startswith("mixtures") and line.endswith("K = 2") for line in lines)
    of_epochs = [line for line in lines if line.startswith("epochs of the flow 1/")]
    assert "val_loss" in of_epochs[0]


@pytest.mark.slow
def test_select_components_shows_numbers_and_folds(capsys):
    select_components(1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("] - ")[1] for line in lines] == [
        *("K = 1", "K = 2"),
        *("K = 1, fold 1 of 2", "K = 1, fold 2 of 2", "K = 2, fold 1 of 2", "K = 2, fold 2 of 2"),
    ]
    assert lines[2].startswith("trainings 3/6 [==========....")


def test_on_a_terminal_the_bar_stays_in_one_line(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    progress = Progress("trainings", 2, "auto")
    for what in ("a long description", "short"):
        progress.advance(what)
    progress.show("more")
    progress.close()
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.count("\r") == 3
    last = text.rstrip("\n").split("\r")[-1]
    assert last.startswith(f"trainings 2/2 [{'=' * 20}] - more")


@pytest.mark.slow
def test_no_warnings_of_retracing():
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    tf.get_logger().addHandler(handler)
    try:
        for _ in range(2):
            fit_density(0)
            select_components(0)
    finally:
        tf.get_logger().removeHandler(handler)
    assert [text for text in messages if "retracing" in text] == []
    assert tf.get_logger().filters == []
