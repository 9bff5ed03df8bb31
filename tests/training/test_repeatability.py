"""A seed determines all random numbers in any process; global states are not used."""

import os
import pathlib
import subprocess
import sys

import pytest
import repeated_run


@pytest.fixture(scope="module")
def elsewhere():
    """Output of another process for seed 7: a digest, and whether global states are unchanged."""
    script = pathlib.Path(repeated_run.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    command = [sys.executable, str(script), "7", "1"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
def test_the_same_seed_alone_gives_the_same_bits_in_another_process(elsewhere, seed):
    digest = repeated_run.digest(repeated_run.run(seed))
    assert (digest == elsewhere[0]) == (seed == 7)


@pytest.mark.slow
def test_global_random_states_are_not_touched(elsewhere):
    assert elsewhere[1] == "True"
