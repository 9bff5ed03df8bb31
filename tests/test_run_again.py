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


def run_again(names, *arguments, **environment):
    """Runs the tests of `test_NAME.py` for all names in a new process."""
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *arguments]
    run = subprocess.run(
        [*command, *(str(path) for name in names for path in TESTS.rglob(f"test_{name}.py"))],
        env={**os.environ, **environment},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "names",
    [
        ["training", "keras_callbacks", "keras_context", "keras_layers", "ctrl_c", "row_batches"],
        ["keras_fit", "finite_steps", "keras_saving", "keras_updates", "keras_labels"],
    ],
    ids=" ".join,
)
def test_under_tf_keras(names):
    run_again(names, "-m", "not one_keras", TF_USE_LEGACY_KERAS="1")


def test_as_users_compile():
    names = ["compiled_steps", "finite_steps", "keras_fit", "training"]
    run_again(["activations", "conditioners", *names], "-m", "by_xla", XLA_FLAGS="")
