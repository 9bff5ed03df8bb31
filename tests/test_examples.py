"""Every example runs, small, prints its numbers and draws its figure."""

import pathlib
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("script", "arguments", "printed"),
    [
        ("surrogate_posterior.py", ["--steps", "30"], "KL"),
        ("mcmc.py", ["--steps", "250", "--fit-steps", "30"], "effective samples"),
        ("vae.py", ["--epochs", "1"], "ELBO"),
        ("few_labels.py", ["--epochs", "2", "--seeds", "1", "--num-points", "200"], "circles"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(".py") else "",
)
def test_runs(script, arguments, printed, tmp_path):
    figure = tmp_path / "figure.png"
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments, "--output", str(figure)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert printed.lower() in run.stdout.lower()
    assert figure.read_bytes().startswith(b"\x89PNG")
