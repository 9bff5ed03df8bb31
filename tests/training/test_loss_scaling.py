"""Optimizers with and without loss scaling train alike; all tests also run under tf_keras."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, UPDATES, assert_same, make_flow, make_model, points, weights_of

import tfp_gmnvp as gmnvp

keras = tf.keras
BY_XLA_TOO = pytest.param("stepwise", *BY_XLA.values, marks=BY_XLA.marks)
IS_KERAS_3 = hasattr(keras, "Variable")


def scaling(inner, **arguments):
    """Keras' `LossScaleOptimizer`, wherever it is."""
    is_here = hasattr(keras.optimizers, "LossScaleOptimizer")
    module = keras.optimizers if is_here else keras.mixed_precision
    return module.LossScaleOptimizer(inner, **arguments)


def sgd(**arguments):
    return keras.optimizers.SGD(0.02, momentum=0.9, **arguments)


def trained(optimizer, update="stepwise", model=None, **arguments):
    """The weights after three steps."""
    model = model or make_model(update, optimizer, **arguments)
    model.initialize_mixture(points())
    model.fit(points(), batch_size=40, shuffle=False, verbose=0)
    return weights_of(model)


@functools.cache
def trained_plainly(update, **arguments):
    return trained(sgd(), update, **arguments)


def assert_close(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update", "arguments"),
    [*((u, {}) for u in UPDATES), ("gradient", {"run_eagerly": True}), BY_XLA_TOO],
)
def test_a_dynamic_scale_changes_nothing(update, arguments):
    assert_close(trained(scaling(sgd()), update, **arguments), trained_plainly(update, **arguments))


@pytest.mark.slow
@pytest.mark.parametrize("clipping", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_the_inner_optimizer_clips_the_unscaled_gradient(clipping):
    clipped = trained(scaling(sgd(**{clipping: 0.05})), run_eagerly=True)
    assert_close(clipped, trained(sgd(**{clipping: 0.05}), run_eagerly=True))
    pairs = zip(trained_plainly("stepwise"), clipped, strict=True)
    assert not all(np.allclose(a, b, atol=1e-4) for a, b in pairs)


def float64_model(optimizer):
    model = gmnvp.FlowModel(make_flow(dtype=tf.float64), seed=0)
    model.compile(optimizer, mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    return model


@pytest.mark.slow
@pytest.mark.one_keras
def test_float64():
    plain, scaled = (
        trained(None, model=float64_model(optimizer)) for optimizer in (sgd(), scaling(sgd()))
    )
    assert_close(scaled, plain)


@pytest.mark.slow
@pytest.mark.skipif(not IS_KERAS_3, reason="an argument of Keras 3")
def test_a_constant_scale_changes_nothing():
    assert_close(trained(sgd(loss_scale_factor=1024.0)), trained_plainly("stepwise"))


@pytest.mark.skipif(IS_KERAS_3, reason="an argument of tf_keras")
def test_a_constant_scale_of_tf_keras_changes_nothing():
    scaled = trained(scaling(sgd(), dynamic=False, initial_scale=1024.0))
    assert_close(scaled, trained_plainly("stepwise"))


@pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 has none")
def test_a_legacy_optimizer_of_tf_keras():
    legacy = keras.optimizers.legacy.SGD
    assert_close(trained(scaling(legacy(0.02))), trained(legacy(0.02)))


@pytest.mark.slow
@pytest.mark.skipif(not IS_KERAS_3, reason="an argument of Keras 3")
def test_accumulated_gradients_equal_those_of_one_large_batch():
    """The accumulated gradients of three batches of 40 equal those of one batch of 120."""
    whole = of_one_batch(make_model("gradient", keras.optimizers.SGD(0.02)))
    parts = keras.optimizers.SGD(0.02, gradient_accumulation_steps=3)
    for optimizer in (parts, scaling(keras.optimizers.SGD.from_config(parts.get_config()))):
        assert_close(trained(optimizer, "gradient"), whole)


def of_one_batch(model):
    model.initialize_mixture(points())
    model.fit(points(), batch_size=120, shuffle=False, verbose=0)
    return weights_of(model)


def scale_of(optimizer):
    return float(getattr(optimizer, "dynamic_scale", getattr(optimizer, "loss_scale", None)))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"run_eagerly": True}, BY_XLA])
def test_a_skipped_step_lowers_the_scale(arguments):
    model = make_model("stepwise", scaling(sgd(), initial_scale=2.0**10), **arguments)
    model.train_on_batch(points(40))
    before = weights_of(model)
    far = points(40)
    far[7] = 1e30
    model.train_on_batch(far)
    assert_same(weights_of(model), before)
    assert scale_of(model.optimizer) == 2.0**9
    model.train_on_batch(points(40))
    assert int(model._finite_steps.skipped) == 1
    assert not all(np.array_equal(a, b) for a, b in zip(weights_of(model), before, strict=True))


@pytest.mark.slow
def test_a_scale_that_is_too_high_decreases_until_steps_are_finite():
    optimizer = keras.optimizers.SGD(1e-6)
    model = make_model("stepwise", scaling(optimizer, initial_scale=2.0**126))
    model.initialize_mixture(points())
    before = weights_of(model)
    steep = points() + 5.0  # far from zero, so that the gradient of a factor is large
    history = model.fit(steep, batch_size=40, epochs=4, verbose=0).history
    assert 0 < sum(history["skipped_steps"]) < 10
    assert scale_of(model.optimizer) < 2.0**126
    assert not all(np.array_equal(a, b) for a, b in zip(weights_of(model), before, strict=True))


@pytest.mark.slow
def test_the_scale_is_compiled_once_and_saved(tmp_path):
    model = make_model("stepwise", scaling(sgd(), dynamic_growth_steps=2))
    model.fit(points(), batch_size=40, verbose=0)
    assert scale_of(model.optimizer) == 2.0**16
    number = len(weights_of_optimizer(model))
    model.compile(model.optimizer, mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    assert len(weights_of_optimizer(model)) == number
    if IS_KERAS_3:
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert scale_of(again.optimizer) == 2.0**16


def weights_of_optimizer(model):
    variables = model.optimizer.variables
    return list(variables() if callable(variables) else variables)
