"""Runs tests again in processes with other settings.

Under tf_keras, tests marked `one_keras` are left out: they test EM, bijectors or arrays, not
Keras. Tests marked `by_xla` run with XLA's default settings, as for users. Otherwise tests turn off
XLA's optimization to save time.
"""

import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent


def run_again(modules, *arguments, **environment):
    """Runs the tests of modules in a new process."""
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *arguments]
    run = subprocess.run(
        [*command, *(str(path) for module in modules for path in TESTS.rglob(f"{module}.py"))],
        env={**os.environ, **environment},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


@pytest.mark.parametrize(
    "modules",
    [
        ["test_training", "test_keras_callbacks", "test_keras_context", "test_keras_layers"],
        ["test_keras_fit", "test_ctrl_c", "test_finite_steps"],
        ["test_keras_saving", "test_keras_updates", "test_keras_labels", "test_row_batches"],
    ],
    ids=" ".join,
)
def test_under_tf_keras(modules):
    run_again(modules, "-m", "not one_keras", TF_USE_LEGACY_KERAS="1")


def test_as_users_compile():
    steps = ["test_compiled_steps", "test_finite_steps", "test_keras_fit", "test_training"]
    run_again(["test_activations", "test_conditioners", *steps], "-m", "by_xla", XLA_FLAGS="")
