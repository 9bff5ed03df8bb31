"""The data of a `fit` is checked once."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_model, points

import tfp_gmnvp as gmnvp
from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.training.data.fit_arguments import num_steps
from tfp_gmnvp.training.data.training_data import TrainingData

keras = tf.keras


@pytest.fixture
def checked(monkeypatch):
    """The names of all checked points, in order."""
    names, check = [], array_checks.check_points

    def counting(x, *args, **kwargs):
        names.append(kwargs.get("name", "x"))
        return check(x, *args, **kwargs)

    monkeypatch.setattr(array_checks, "check_points", counting)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_is_checked_once_for_all_epochs(checked, dtype):
    model, x = make_model("stepwise", "sgd"), points().astype(dtype)
    validation = points(50, seed=1).astype(dtype)
    checked.clear()
    model.fit(x, epochs=4, validation_data=(validation,), verbose=0)
    assert checked == ["x", "x of validation_data"]


@pytest.mark.slow
def test_rows_that_are_split_off_are_checked_with_the_others(checked):
    model = make_model("full_batch", "sgd")
    checked.clear()
    model.fit(points(), epochs=3, validation_split=0.2, verbose=0)
    assert checked == ["x"]


@pytest.mark.slow
def test_data_that_a_callback_evaluates_is_checked(checked):
    model = make_model("gradient", "sgd")
    bad = np.full([4, 3], np.nan, np.float32)
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: model.evaluate(bad, verbose=0)
    )
    with pytest.raises(ValueError, match="finite numbers"):
        model.fit(points(), validation_data=points(), callbacks=[callback], verbose=0)


@pytest.mark.slow
def test_after_fit_its_validation_data_is_checked_again(checked):
    model, validation = make_model("gradient", "sgd"), points(30, seed=1)
    model.fit(points(), validation_data=validation, verbose=0)
    validation[0] = np.nan
    with pytest.raises(ValueError, match="finite numbers"):
        model.evaluate(validation, verbose=0)


@pytest.mark.one_keras
def test_signatures_are_those_of_keras():
    for name in ("fit", "evaluate", "predict"):
        ours, theirs = (
            inspect.signature(getattr(kind, name)).parameters
            for kind in (gmnvp.FlowModel, keras.Model)
        )
        shared = [p for p in theirs if p not in ("args", "kwargs")]
        assert list(ours)[: len(shared)] == shared
        for parameter in shared:
            assert ours[parameter].default == theirs[parameter].default


@pytest.mark.slow
@pytest.mark.one_keras
def test_the_sample_is_drawn_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "tfp_gmnvp.training.data.samples.sample_of_arrays",
        lambda *data, **_: calls.append(data) or data,
    )
    flow = make_model("gradient", "sgd").flow
    data = TrainingData(flow, points(), seed=0)
    data.warn_if_degenerate()
    assert data.rows().shape == (120, 3)
    assert len(calls) == 1


@pytest.mark.one_keras
@pytest.mark.parametrize(
    ("x", "arguments", "expected"),
    [
        (np.zeros([100, 2]), {"epochs": 3}, 12),
        (np.zeros([100, 2]), {"epochs": 3, "batch_size": 10, "initial_epoch": 2}, 30),
        (np.zeros([100, 2]), {"epochs": 3, "steps_per_epoch": 7}, 21),
        (tf.data.Dataset.range(6).batch(2), {"epochs": 2}, 6),
        (tf.data.Dataset.range(6).repeat(), {"epochs": 2}, None),
        (iter([]), {"epochs": 2}, None),
    ],
)
def test_number_of_steps(x, arguments, expected):
    assert num_steps(x, arguments) == expected


@pytest.mark.slow
@pytest.mark.one_keras
def test_only_a_long_training_is_compiled(monkeypatch):
    model = make_model("stepwise", "sgd", jit_compile="auto")
    model.fit(points(), epochs=1, verbose=0)
    assert not model._steps.compiles
    monkeypatch.setattr("tfp_gmnvp.training.compiled_step._FEWEST_STEPS", 12)
    model.fit(points(), epochs=3, verbose=0)
    assert model._steps.compiles
    steps = model._steps
    model.fit(points(), epochs=1, verbose=0)  # compiled steps are also used by short calls
    assert model._steps is steps
