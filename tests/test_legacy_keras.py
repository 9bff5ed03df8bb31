"""The Keras model under tf_keras, in a process of its own: the choice is made at import.

What is marked `one_keras` is not run again: it is about EM, bijectors or arrays, not about Keras.
"""

import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent


@pytest.mark.parametrize(
    "modules",
    [
        ["test_training", "test_ctrl_c", "test_finite_steps"],
        ["test_keras_callbacks", "test_keras_context", "test_keras_layers"],
        ["test_keras_fit", "test_keras_labels"],
        ["test_keras_saving", "test_keras_updates", "test_row_batches"],
    ],
    ids=" ".join,
)
def test_under_tf_keras(modules):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-m",
        "not one_keras",
        "-p",
        "no:cacheprovider",
        *(str(TESTS / f"{module}.py") for module in modules),
    ]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    run = subprocess.run(
        command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
