"""Saved models are loaded unchanged and can be trained; most tests also run under tf_keras."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import keras_models
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras_models import (
    AS_USERS_DO,
    FORMATS,
    HOW_TO_RUN,
    UPDATES,
    UPDATES_HERE,
    make_flow,
    make_model,
    next_losses,
    points,
)

import tfp_gmnvp as gmnvp

keras, tfb = tf.keras, tfp.bijectors
registered = keras.utils.register_keras_serializable(package="tests")


@registered
def double_softsign(x):
    return 2 * tf.nn.softsign(x)


@registered
class Dense:
    """A conditioner function that Keras can serialise by `get_config`."""

    def __init__(self, activation):
        self.activation = activation

    def __call__(self, input_size, output_size):
        hidden = keras.layers.Dense(5, activation=self.activation)
        return keras.Sequential([hidden, keras.layers.Dense(output_size)])

    def get_config(self):
        return {"activation": self.activation}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The next ten losses for every update, uninterrupted, and by format in another process."""
    directory = tmp_path_factory.mktemp("saved")
    expected = {}
    for update in UPDATES_HERE:
        model = make_model(update)
        model.fit(points(), epochs=2, batch_size=40, shuffle=False, verbose=0)
        for form in FORMATS:
            keras_models.save(model, directory, update, form)
        expected[update] = next_losses(model)
    script = pathlib.Path(keras_models.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    run = subprocess.run(
        [sys.executable, str(script), str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return expected, json.loads((directory / "losses.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("update", UPDATES_HERE)
def test_loaded_models_train_as_without_interruption(resumed, update, form):
    uninterrupted, in_another_process = resumed
    np.testing.assert_array_equal(in_another_process[f"{update}.{form}"], uninterrupted[update])


def reloaded(model, tmp_path, **arguments):
    path = str(tmp_path / "model.keras")
    model.save(path)
    return keras.models.load_model(path, **arguments)


@pytest.mark.parametrize("update", UPDATES)
def test_settings_of_update_and_optimizer_are_loaded(update, tmp_path):
    model = make_model(update, run_eagerly=True)
    other = reloaded(model, tmp_path)
    assert type(other.mixture_update) is type(model.mixture_update)
    assert other.mixture_update.get_config() == model.mixture_update.get_config()
    assert other.optimizer.get_config() == model.optimizer.get_config()
    assert other.get_config() == model.get_config()
    assert other.run_eagerly


@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_every_argument_of_the_flow_is_loaded(covariance_type, dtype, tmp_path):
    flow = make_flow(
        seed=None,  # drawn, and saved
        num_couplings=np.int64(5),
        activation=tf.nn.elu,
        max_log_scale=2,
        covariance_type=covariance_type,
        reparameterize=True,
        dtype=dtype,
        name="density",
    )
    for i, variable in enumerate(flow.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [0, i], dtype=variable.dtype)
        variable.assign_add(0.1 * noise)
    other = reloaded(gmnvp.FlowModel(flow), tmp_path).distribution
    x = points().astype(dtype.as_numpy_dtype)
    np.testing.assert_array_equal(other.log_prob(x), flow.log_prob(x))
    np.testing.assert_array_equal(other.sample(3, seed=[1, 2]), flow.sample(3, seed=[1, 2]))
    assert (other.name, other.dtype, other.reparameterization_type) == (
        flow.name,
        flow.dtype,
        flow.reparameterization_type,
    )


BIJECTORS = {
    "spline": {"coupling": gmnvp.RationalQuadratic(num_bins=5, bound=4.0), "mixing": "lu"},
    "affine": {
        "coupling": gmnvp.Affine(max_log_scale=0.7),
        "activation": gmnvp.Sine(gain=2.0),
        "normalization": "act_norm",
    },
    "by_name": {"coupling": "spline", "conditioner": "residual", "dropout": 0.2, "l2": 1e-3},
}


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("arguments", BIJECTORS.values(), ids=BIJECTORS)
def test_bijectors_of_every_kind_are_loaded_and_train(arguments, tmp_path):
    model = gmnvp.FlowModel(make_flow(**arguments), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), mixture_update=UPDATES["stepwise"](), **HOW_TO_RUN)
    model.fit(points(), epochs=1, batch_size=40, verbose=0)
    other = reloaded(model, tmp_path)
    flows = other.distribution, model.distribution
    np.testing.assert_array_equal(*(flow.log_prob(points()) for flow in flows))
    assert other.get_config() == model.get_config()
    losses = [next_losses(m, epochs=1) for m in (other, model)]
    np.testing.assert_array_equal(*losses)


@registered
@dataclasses.dataclass(frozen=True)
class Shift(gmnvp.CouplingTransform):
    """A custom coupling."""

    factor: float = 1.0
    num_parameters = 1

    def __call__(self, parameters):
        return tfb.Shift(self.factor * parameters)


@pytest.mark.one_keras
def test_a_custom_coupling_is_loaded(tmp_path):
    model = gmnvp.FlowModel(make_flow(coupling=Shift(0.5)))
    for variable in model.distribution.bijector.trainable_variables:
        variable.assign_add(tf.ones_like(variable) / 10)
    other = reloaded(model, tmp_path)
    flows = other.distribution, model.distribution
    np.testing.assert_array_equal(*(flow.log_prob(points()) for flow in flows))
    assert np.abs(model.distribution.bijector.inverse(points()) - points()).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": double_softsign},
        {"activation": keras.activations.gelu},
        {"conditioner_fn": Dense("tanh")},
    ],
    ids=["registered", "of Keras", "conditioner"],
)
def test_callables_registered_with_keras_are_loaded(arguments, tmp_path):
    model = gmnvp.FlowModel(make_flow(**arguments))
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    model.fit(points(), epochs=2, verbose=0)
    other = reloaded(model, tmp_path)
    np.testing.assert_array_equal(
        other.distribution.log_prob(points()), model.distribution.log_prob(points())
    )


class Unknown(gmnvp.MixtureUpdate):
    def get_config(self):
        return {"trace": lambda: None}


def without_record():
    flow = make_flow()
    return flow.copy(name="built otherwise")


@pytest.mark.parametrize(
    ("flow_fn", "update", "message"),
    [
        (without_record, None, "not built by `gaussian_mixture_flow`.*`save_weights`"),
        (lambda: make_flow(activation=lambda x: x), None, "`activation`.*`export_flow`"),
        (
            lambda: make_flow(conditioner_fn=lambda _, size: keras.layers.Dense(size)),
            None,
            "`conditioner_fn`.*register_keras_serializable",
        ),
        (make_flow, Unknown(), "`mixture_update`"),
    ],
    ids=["built otherwise", "lambda", "closure", "update"],
)
def test_unsupported_saving_is_refused_and_keeps_old_files(flow_fn, update, message, tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("precious")
    model = gmnvp.FlowModel(flow_fn())
    model.compile("adam", mixture_update=update)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        model.save(str(path))
    assert path.read_text() == "precious"
    model.save_weights(str(tmp_path / "model.weights.h5"))
    model.load_weights(str(tmp_path / "model.weights.h5"))


def test_loaded_without_compiling(tmp_path):
    model = make_model()
    other = reloaded(model, tmp_path, compile=False)
    np.testing.assert_array_equal(other.predict(points(), verbose=0), model(points()))
    with pytest.raises(ValueError, match="`compile` must be called before `fit`"):
        other.fit(points())


@pytest.mark.slow
def test_saved_before_it_is_compiled(tmp_path):
    other = reloaded(gmnvp.FlowModel(make_flow(), seed=3), tmp_path)
    other.compile("adam", run_eagerly=True)
    assert np.isfinite(other.fit(points(), verbose=0).history["loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["weights.h5", "set_weights", "keras"])
def test_fit_after_loading_does_not_reinitialise_the_mixture(way, tmp_path):
    model = make_model("gradient", keras.optimizers.SGD(0.0))
    model.fit(points(), verbose=0)
    model.distribution.distribution.components_distribution.loc.assign_add(tf.ones([2, 3]))
    expected = model.evaluate(points(), verbose=0)
    if way == "keras":
        other = reloaded(model, tmp_path)
    else:
        other = make_model("gradient", keras.optimizers.SGD(0.0))
        if way == "set_weights":
            other.set_weights(model.get_weights())
        else:
            model.save_weights(str(tmp_path / "model.weights.h5"))
            other.load_weights(str(tmp_path / "model.weights.h5"))
    other.compile(keras.optimizers.SGD(0.0), mixture_update=UPDATES["gradient"](), **HOW_TO_RUN)
    other.fit(points() + 7, verbose=0)
    assert other.evaluate(points(), verbose=0) == pytest.approx(expected, abs=1e-4)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 5:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("update", ["full_batch", "stepwise"])
def test_backup_and_restore_resumes_training(update, tmp_path):
    make = functools.partial(make_model, update, **AS_USERS_DO)
    expected = next_losses(make())
    backup = str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        callbacks = [keras.callbacks.BackupAndRestore(backup), Interrupt()]
        next_losses(make(), callbacks=callbacks)
    losses = next_losses(make(), callbacks=[keras.callbacks.BackupAndRestore(backup)])
    np.testing.assert_array_equal(losses, expected[5:])
