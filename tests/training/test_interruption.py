"""Training that was killed resumes from its backup; damaged files are refused."""

import base64
import itertools
import json
import marshal
import os
import pathlib
import subprocess
import sys
import time

import interrupted_fit
import numpy as np
import pytest
import tensorflow as tf
from keras_models import (
    assert_same,
    make_flow,
    make_model,
    next_losses,
    points,
    rewrite,
    weights_of,
)

import tfp_gmnvp as gmnvp

keras = tf.keras


def start(directory):
    script = pathlib.Path(interrupted_fit.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    directory.mkdir(exist_ok=True)
    command = [sys.executable, str(script), str(directory)]
    with open(directory / "log", "a") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def finish(process, directory):
    assert process.wait() == 0, (directory / "log").read_text()[-3000:]
    with np.load(directory / "final.npz") as file:
        return [file[name] for name in file.files]


def epochs(directory):
    path = directory / "epochs"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_training_that_is_killed_ends_with_the_same_weights(tmp_path):
    """Each run is killed after its first epochs; the last one may finish."""
    rng = np.random.default_rng(0)
    expected = start(tmp_path / "whole")
    killed = tmp_path / "killed"
    kills = 0
    while kills < interrupted_fit.KILLS:
        process, before = start(killed), len(epochs(killed))
        while len(epochs(killed)) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.2))
        if process.poll() is not None:
            break  # it ended before it was killed again
        process.kill()
        process.wait()
        kills += 1
    actual = finish(start(killed), killed)
    for a, b in zip(actual, finish(expected, tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(a, b)
    begun = [int(epoch) for epoch in epochs(killed)]
    assert kills >= 1
    assert len(begun) <= interrupted_fit.EPOCHS + kills
    assert sorted(set(begun)) == list(range(interrupted_fit.EPOCHS))
    assert all(after - before in (0, 1) for before, after in itertools.pairwise(begun))


def truncate(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def flip_bytes(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - b for b in content[middle : middle + 64])
    path.write_bytes(bytes(content))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, flip_bytes])
def test_a_damaged_keras_file_is_refused(damage, tmp_path):
    path = tmp_path / "model.keras"
    make_model().save(str(path))
    damage(path)
    with pytest.raises(
        Exception, match=r"(?i)zip|crc|magic|truncated|corrupt|header|decompress|signature|unable"
    ):
        keras.models.load_model(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, "other components", "other layers"])
def test_weights_of_another_model_are_refused_and_none_is_loaded(damage, tmp_path):
    path = tmp_path / "model.weights.h5"
    arguments = {"other components": (3, 3), "other layers": (3, 2)}
    if damage in arguments:
        units = (16,) if damage == "other layers" else (8,)
        flow = gmnvp.gaussian_mixture_flow(
            *arguments[damage], num_couplings=3, hidden_units=units, standardize=points(), seed=1
        )
        other = gmnvp.FlowModel(flow, seed=0)
        other.compile("adam", mixture_update=gmnvp.StepwiseEM())
        other.initialize_mixture(points())
        other.save_weights(str(path))
    else:
        other = make_model(seed=1)
        other.initialize_mixture(points())
        other.save_weights(str(path))
        damage(path)
    model = make_model()
    before = weights_of(model)
    with pytest.raises((ValueError, OSError), match=r"`filepath` .*; the model is unchanged"):
        model.load_weights(str(path))
    assert_same(weights_of(model), before)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused_and_nothing_is_loaded(tmp_path):
    other = make_model(seed=1)
    other.initialize_mixture(points())
    path = tf.train.Checkpoint(model=other).write(str(tmp_path / "ckpt"))
    truncate(tmp_path / "ckpt.data-00000-of-00001", 0.3)
    model = make_model()
    before = weights_of(model)
    with pytest.raises((tf.errors.OpError, ValueError, IndexError), match="Read less bytes"):
        tf.train.Checkpoint(model=model).read(path)
    assert_same(weights_of(model), before)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "weights.h5"])
def test_an_old_file_is_kept_if_writing_fails(form, tmp_path, monkeypatch):
    path, model = tmp_path / f"model.{form}", make_model()
    write = model.save if form == "keras" else model.save_weights
    write(str(path))
    content = path.read_bytes()

    def save(filepath, *args, **kwargs):
        pathlib.Path(filepath).write_bytes(b"half")
        raise OSError("the disk is full")

    for name in ("save", "save_weights"):
        monkeypatch.setattr(keras.Model, name, lambda self, *args, **kwargs: save(*args, **kwargs))
    with pytest.raises(OSError, match="disk is full"):
        write(str(path))
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
def test_killed_between_a_backup_and_its_number_no_epoch_is_trained_twice(tmp_path):
    def losses(epochs, **arguments):
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), **arguments)
        return next_losses(make_model("stepwise"), epochs=epochs, callbacks=[backup])

    expected = next_losses(make_model("stepwise"), epochs=6)
    losses(3, delete_checkpoint=False)
    number = tmp_path / "backup" / "training_metadata.json"
    if not number.exists():
        pytest.skip("tf_keras keeps both in one checkpoint")
    number.write_text(json.dumps({"epoch": 2, "batch": 0}))
    np.testing.assert_array_equal(losses(6), expected[3:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_damaged_export_is_refused(name, tmp_path):
    path = tmp_path / "flow"
    gmnvp.export_flow(make_flow(), path)
    truncate(path / name, 0.5)
    with pytest.raises((OSError, tf.errors.OpError, IndexError), match=r"(?i)less bytes|parse"):
        tf.saved_model.load(str(path))


@pytest.mark.slow
def test_an_old_export_is_kept_if_exporting_fails(tmp_path, monkeypatch):
    path = tmp_path / "flow"
    gmnvp.export_flow(make_flow(), path)
    loaded = tf.saved_model.load(str(path))
    expected = loaded.log_prob(points())

    def save(module, directory, **arguments):
        pathlib.Path(directory).mkdir()
        (pathlib.Path(directory) / "saved_model.pb").write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError, match="disk is full"):
        gmnvp.export_flow(make_flow(seed=1), path, overwrite=True)
    loaded = tf.saved_model.load(str(path))
    np.testing.assert_array_equal(loaded.log_prob(points()), expected)
    assert [entry.name for entry in tmp_path.iterdir()] == ["flow"]


def hostile(marker):
    """A fake callable for a configuration, which runs code if it is deserialised."""
    code = compile(f"__import__('pathlib').Path({str(marker)!r}).touch()", "x", "eval")
    payload = base64.b64encode(marshal.dumps(code))
    lambda_ = {
        "class_name": "__lambda__",
        "config": {"value": payload.decode(), "defaults": None, "closure": None},
    }
    system = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }
    popen = {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(marker)]},
        "registered_name": None,
    }
    evaluated = {
        "module": "builtins",
        "class_name": "function",
        "config": "eval",
        "registered_name": "eval",
    }
    return {"lambda": lambda_, "system": system, "popen": popen, "eval": evaluated}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["activation", "conditioner_fn", "mixture_update"])
@pytest.mark.parametrize("what", ["lambda", "system", "popen", "eval"])
def test_a_hostile_file_runs_no_code(place, what, tmp_path):
    path, marker = tmp_path / "model.keras", tmp_path / "it_ran"
    make_model(run_eagerly=True).save(str(path))

    def change(content):
        config = json.loads(content)
        where = config["compile_config" if place == "mixture_update" else "config"]
        where = where if place == "mixture_update" else where["distribution"]
        assert place in where
        where[place] = hostile(marker)[what]
        return json.dumps(config)

    rewrite(path, "config.json", change)
    with pytest.raises((ValueError, TypeError, ImportError)):
        keras.models.load_model(str(path))
    assert not marker.exists()
