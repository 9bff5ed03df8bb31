"""Training on several replicas equals training on one device with the same global batches.

TensorFlow's devices cannot change after its start, so every test starts its own processes.
"""

import json
import os
import pathlib
import subprocess
import sys

import multi_worker
import pytest

pytestmark = pytest.mark.slow
SCRIPT = pathlib.Path(__file__).parents[1] / "distributed_training.py"


def assert_same(distances, cases):
    assert sorted(distances) == sorted(cases)
    for case, distance in distances.items():
        assert distance["variables"] < 1e-5, case
        assert distance["losses"] < 1e-4, case
        assert distance["replicas"] == 0.0, case


@pytest.mark.parametrize(
    ("legacy", "cases"),
    [
        ("0", ["full_batch", "stepwise", "gradient", "clipnorm", "data set", "collapsed"]),
        ("1", ["stepwise", "data set"]),
    ],
    ids=["keras_3", "tf_keras"],
)
def test_two_devices_train_as_one(legacy, cases):
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "mirrored", *cases],
        env={**os.environ, "TF_USE_LEGACY_KERAS": legacy},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    results = json.loads(run.stdout.splitlines()[-1])
    assert_same(results["distances"], cases)
    assert "`distribution` must be built in the same `strategy.scope()`" in results["refusal"]


@pytest.mark.parametrize(
    ("legacy", "cases"),
    [("0", ["stepwise", "clipnorm", "data set"]), ("1", ["data set"])],
    ids=["keras_3", "tf_keras"],
)
def test_two_workers_train_as_one(legacy, cases, tmp_path):
    command = [SCRIPT, "workers", tmp_path, *cases]
    workers = multi_worker.start(command, tmp_path, TF_USE_LEGACY_KERAS=legacy)
    try:
        assert [worker.wait(timeout=200) for worker in workers] == [0, 0], multi_worker.logs(
            tmp_path
        )
    finally:
        for worker in workers:
            worker.kill()
    for index in range(2):
        assert_same(json.loads((tmp_path / f"worker_{index}.json").read_text()), cases)
