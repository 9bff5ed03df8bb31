"""Steps that XLA compiles: one trace, one size of batch, and the numbers of the plain steps."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.compiled_steps import BatchSize, filled_up, split

keras = tf.keras
X = np.random.default_rng(0).normal(size=(95, 3)).astype(np.float32)


def make_model(jit_compile, update=None, event_size=3):
    flow = gmnvp.gaussian_mixture_flow(event_size, 2, num_couplings=2, hidden_units=(8,), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    update = gmnvp.StepwiseEM() if update is None else update
    model.compile(keras.optimizers.SGD(0.05), mixture_update=update, jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(
    "update", [gmnvp.StepwiseEM, gmnvp.FullBatchEM, gmnvp.GradientUpdate], ids=lambda u: u.__name__
)
def test_compiled_steps_train_as_plain_ones_the_last_batch_too(update):
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


def test_one_trace_for_all_sizes_of_batch_and_one_size_for_xla():
    model = make_model(True)
    model.fit(X, batch_size=40, epochs=2, verbose=0)
    model.evaluate(X, batch_size=40, verbose=0)
    model.fit(X, batch_size=30, verbose=0)
    model.evaluate(X[:50], batch_size=32, verbose=0)
    for step in (model._differentiate, model._finish, model._test):
        assert step.experimental_get_tracing_count() == 1
    assert [size.largest.numpy() for size in (model._train_size, model._test_size)] == [40, 40]


def test_larger_events_leave_the_mixture_to_the_graph():
    x = np.random.default_rng(1).normal(size=(60, 20)).astype(np.float32)
    models = [make_model(jit_compile, event_size=20) for jit_compile in (True, False)]
    assert [m._updates_within_finish for m in models] == [False, True]
    for model in models:
        model.fit(x, batch_size=40, verbose=0)
    for a, b in zip(*(m.distribution.variables for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_points_filled_up_count_for_nothing():
    x, y, weights = filled_up(tf.constant(X[:3]), tf.constant([0, -1, 1]), None, 5)
    np.testing.assert_array_equal(x, X[[0, 1, 2, 0, 0]])
    assert y.numpy().tolist() == [0, -1, 1, -1, -1]
    assert weights.numpy().tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    x, y, weights = filled_up(tf.constant(X[:3]), None, tf.constant([2.0, 1.0, 0.0]), 3)
    assert (x.shape[0], y, weights.numpy().tolist()) == (3, None, [2.0, 1.0, 0.0])


@pytest.mark.parametrize(("number", "sizes"), [(4, [4, 4]), (3, [4, 3])])
def test_a_batch_of_known_size_is_filled_up_to_equal_parts_alone(number, sizes):
    for multiple, size in zip((2, 1), sizes, strict=True):
        batch_size = BatchSize(multiple)
        x, y, weights = batch_size.fill_up(tf.constant(X[:number]), None, None)
        assert (x.shape[0], y, weights.numpy().tolist()) == (
            size,
            None,
            [1.0] * number + [0.0] * (size - number),
        )
        assert batch_size.largest.numpy() == 0


def test_parts_of_a_batch_come_one_after_another():
    parts = split(2, tf.constant(X[:4]), None, tf.range(4))
    for part, rows in zip(parts, (slice(0, 2), slice(2, 4)), strict=True):
        np.testing.assert_array_equal(part[0], X[rows])
        assert part[1] is None
        np.testing.assert_array_equal(part[2], np.arange(4)[rows])


def test_no_compilation_under_a_strategy_even_of_one_replica():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = make_model("auto", gmnvp.StepwiseEM())
    model.fit(X, batch_size=40, verbose=0)
    assert not hasattr(model._differentiate, "experimental_get_tracing_count")
