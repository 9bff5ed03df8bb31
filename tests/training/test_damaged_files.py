"""Damaged files, and files of another configuration, raise errors and change nothing."""

import re

import numpy as np
import pytest
import tensorflow as tf
from keras_models import assert_same, make_flow, make_model, points, rewrite, weights_of

import tfp_gmnvp as gmnvp

keras = tf.keras


def other_model(num_components=2, num_couplings=3, hidden_units=(8,)):
    flow = gmnvp.gaussian_mixture_flow(
        3, num_components, num_couplings=num_couplings, hidden_units=hidden_units, seed=1
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    return model


DAMAGE = {
    "weights truncated": ("model.weights.h5", lambda content: content[: len(content) // 2]),
    "weights missing": ("model.weights.h5", lambda content: None),
    "weights no file of weights": ("model.weights.h5", lambda content: b"weights"),
    "configuration truncated": ("config.json", lambda content: content[: len(content) // 2]),
    "configuration missing": ("config.json", lambda content: None),
    "no flow in it": ("config.json", lambda c: c.replace(b'"event_size"', b'"size_of_event"')),
    "impossible number": (
        "config.json",
        lambda content: re.sub(rb'("num_couplings": )\d+', rb"\1-3", content),
    ),
    "more components": (
        "config.json",
        lambda content: re.sub(rb'("num_components": )\d+', rb"\g<1>5", content),
    ),
    "more couplings": (
        "config.json",
        lambda content: re.sub(rb'("num_couplings": )\d+', rb"\g<1>5", content),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_keras_file_with_mismatched_parts_is_refused(damage, tmp_path):
    path = tmp_path / "model.keras"
    make_model(run_eagerly=True).save(str(path))
    rewrite(path, *DAMAGE[damage])
    with pytest.raises((ValueError, TypeError, OSError, KeyError)) as caught:
        keras.models.load_model(str(path))
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize(
    "arguments",
    [{"num_components": 3}, {"num_couplings": 2}, {"num_couplings": 4}, {"hidden_units": (16,)}],
    ids=str,
)
def test_weights_of_another_configuration_are_refused_and_none_is_loaded(arguments, tmp_path):
    path = str(tmp_path / "model.weights.h5")
    other_model(**arguments).save_weights(path)
    model = other_model()
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"`filepath` .* does not fit this model"):
        model.load_weights(path)
    assert_same(model.get_weights(), before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["variables/variables.index", "saved_model.pb"])
def test_an_export_without_a_part_is_refused(name, tmp_path):
    path = tmp_path / "flow"
    gmnvp.export_flow(make_flow(num_couplings=1), path)
    (path / name).unlink()
    with pytest.raises((OSError, tf.errors.OpError), match=re.escape(str(path))):
        tf.saved_model.load(str(path))


def test_a_checkpoint_with_flipped_bytes_is_refused(tmp_path):
    model = other_model()
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    data = tmp_path / "ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    position = content.find(model.distribution.bijector.trainable_variables[0].numpy().tobytes())
    assert position >= 0
    content[position] ^= 255
    data.write_bytes(bytes(content))
    with pytest.raises(tf.errors.OpError, match=r"(?i)checksum|corrupt|crc"):
        tf.train.Checkpoint(model=other_model()).read(path)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    path = tf.train.Checkpoint(model=other_model(num_components=3)).write(str(tmp_path / "ckpt"))
    model = other_model()
    with pytest.raises((ValueError, tf.errors.OpError), match=r"(?i)shape"):
        tf.train.Checkpoint(model=model).read(path)
    assert np.isfinite(model.distribution.log_prob(points())).all()
