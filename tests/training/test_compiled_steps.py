"""Steps compiled by XLA: one trace, one batch size, and the same results as plain steps."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.compiled_step import CompiledStep, pad_batch

keras = tf.keras
X = np.random.default_rng(0).normal(size=(95, 3)).astype(np.float32)


def make_model(jit_compile, update=None, event_size=3):
    flow = gmnvp.gaussian_mixture_flow(event_size, 2, num_couplings=2, hidden_units=(8,), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    update = gmnvp.StepwiseEM() if update is None else update
    model.compile(keras.optimizers.SGD(0.05), mixture_update=update, jit_compile=jit_compile)
    return model


@pytest.mark.slow
@pytest.mark.by_xla
@pytest.mark.parametrize(
    "update", [gmnvp.StepwiseEM, gmnvp.FullBatchEM, gmnvp.GradientUpdate], ids=lambda u: u.__name__
)
def test_compiled_and_plain_steps_agree_even_for_the_smaller_last_batch(update):
    y = np.where(np.arange(95) % 9, -1, np.arange(95) % 2)
    weights = np.linspace(0.5, 2.0, 95)
    models = [make_model(jit_compile, update()) for jit_compile in (True, False)]
    histories = [
        m.fit(X, y, sample_weight=weights, batch_size=40, epochs=2, verbose=0).history
        for m in models
    ]
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[0][name], values, rtol=1e-5)
    for a, b in zip(*(m.distribution.variables for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_one_trace_for_all_batch_sizes_and_one_size_for_xla():
    model = make_model(True)
    model.fit(X, batch_size=40, epochs=2, verbose=0)
    model.evaluate(X, batch_size=40, verbose=0)
    model.fit(X, batch_size=30, verbose=0)
    model.evaluate(X[:50], batch_size=32, verbose=0)
    for step in (model._steps.train_function, model._steps.test_function):
        assert step._function.experimental_get_tracing_count() == 1
        assert step._size.numpy() == 40


@pytest.mark.slow
@pytest.mark.by_xla
def test_xla_does_not_compile_the_update_of_large_events():
    x = np.random.default_rng(1).normal(size=(60, 20)).astype(np.float32)
    models = [make_model(jit_compile, event_size=20) for jit_compile in (True, False)]
    assert [m._steps.updates_within_step for m in models] == [False, True]
    for model in models:
        model.fit(x, batch_size=40, verbose=0)
    for a, b in zip(*(m.distribution.variables for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_padding_points_have_no_effect():
    x, y, weights = pad_batch(tf.constant(X[:3]), tf.constant([0, -1, 1]), None, 5)
    np.testing.assert_array_equal(x, X[[0, 1, 2, 0, 0]])
    assert y.numpy().tolist() == [0, -1, 1, -1, -1]
    assert weights.numpy().tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    x, y, weights = pad_batch(tf.constant(X[:3]), None, tf.constant([2.0, 1.0, 0.0]), 3)
    assert (x.shape[0], y, weights.numpy().tolist()) == (3, None, [2.0, 1.0, 0.0])


def test_batches_of_static_size_are_not_padded():
    step = CompiledStep(lambda x, y, sample_weight: (tf.shape(x)[0], sample_weight))
    for size in (4, 2):
        results, y, weights = tf.function(lambda x: step(x, None, None))(tf.zeros([size, 1]))
        assert (int(results[0]), y, weights.shape.as_list()) == (size, None, [size])


@pytest.mark.slow
def test_no_compilation_under_a_strategy_even_of_one_replica():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = make_model("auto", gmnvp.StepwiseEM())
    model.fit(X, batch_size=40, verbose=0)
    assert not isinstance(model._steps.train_function, CompiledStep)
