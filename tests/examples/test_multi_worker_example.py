"""The example's workers: one is killed, all are restarted, and training resumes."""

import json
import pathlib
import time

import multi_worker
import numpy as np
import pytest
import tensorflow as tf

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "multi_worker.py"


def start(directory, *, epochs):
    arguments = ["--epochs", epochs, "--size", 600, "--batch-size", 200]
    command = [EXAMPLE, *arguments, "--directory", directory / "out"]
    return multi_worker.start(command, directory, TF_USE_LEGACY_KERAS="0")


def epochs_of(metadata):
    """How many epochs the backup has seen; zero while there is none."""
    try:
        return json.loads(metadata.read_text())["epoch"]
    except (OSError, ValueError):
        return 0


def stop(workers):
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.mark.slow
def test_killed_worker_goes_on_from_the_backup(tmp_path):
    metadata = tmp_path / "out" / "backup" / "worker_0" / "training_metadata.json"
    workers = start(tmp_path, epochs=10_000)
    try:
        deadline = time.monotonic() + 200
        while epochs_of(metadata) < 3:
            assert time.monotonic() < deadline, multi_worker.logs(tmp_path)
            assert [worker.poll() for worker in workers] == [None, None], multi_worker.logs(
                tmp_path
            )
            time.sleep(0.05)
        workers[1].kill()
        assert workers[0].wait(timeout=100) != 0  # it says so rather than wait for ever
    finally:
        stop(workers)
    seen = epochs_of(metadata)
    assert seen >= 3

    workers = start(tmp_path, epochs=seen + 2)
    try:
        codes = [worker.wait(timeout=200) for worker in workers]
    finally:
        stop(workers)
    assert codes == [0, 0], multi_worker.logs(tmp_path)
    logs = [(tmp_path / f"worker_{i}.log").read_text().splitlines() for i in range(2)]
    results = [[line for line in log if "losses" in line] for log in logs]
    assert results[0] == results[1]
    assert results[0][0].startswith(f"epochs [{seen}, {seen + 1}] losses")
    served = tf.saved_model.load(str(tmp_path / "out" / "flow"))
    assert np.isfinite(served.log_prob(tf.zeros([3, 2]))).all()
