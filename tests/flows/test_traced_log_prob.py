"""Repeated eager calls of `log_prob` are traced, and stay what they were."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.flows import traced_log_prob

NUM_CALLS = 6
SMALL = {"num_couplings": 2, "hidden_units": (4,), "seed": 0}


def make_flow(**arguments):
    flow = gmnvp.gaussian_mixture_flow(2, 3, **{**SMALL, **arguments})
    for i, variable in enumerate(flow.bijector.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [0, i], dtype=variable.dtype)
        variable.assign_add(noise / 10)
    return flow


@pytest.fixture
def traces(monkeypatch):
    """The number of calls in which the log-density was computed in a graph."""
    counted, log_prob = [], gmnvp.bijectors.SinglePassChain._inverse_and_log_det

    def counting(self, *args, **kwargs):
        if not tf.executing_eagerly():
            counted.append(1)
        return log_prob(self, *args, **kwargs)

    monkeypatch.setattr(gmnvp.bijectors.SinglePassChain, "_inverse_and_log_det", counting)
    return counted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_repeated_calls_give_the_same_for_all_ranks(dtype, traces):
    flow = make_flow(dtype=dtype)
    for rank in (1, 2, 3):
        shapes = [(*range(2, n + 2), 2)[-rank:] for n in range(rank, rank + NUM_CALLS)]
        for i, shape in enumerate(shapes):
            x = tf.random.stateless_normal(shape, [rank, i], dtype=dtype)
            with tf.GradientTape():  # which is not traced
                expected = flow.log_prob(x)
            np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-5)
            assert expected.shape == shape[:-1]
    assert len(traces) == 3


def test_assigned_variables_are_read():
    flow, x = make_flow(), tf.constant([[0.3, -0.2]])
    before = [flow.log_prob(x).numpy() for _ in range(NUM_CALLS)][-1]
    flow.distribution.components_distribution.loc.assign_add(tf.ones([3, 2]))
    after = flow.log_prob(x)
    with tf.GradientTape():
        np.testing.assert_allclose(after, flow.log_prob(x), rtol=1e-5)
    assert abs(after - before) > 0.1


def test_gradients_and_their_jacobians_are_those_of_the_first_call():
    flow = make_flow()

    def derivatives():
        x = tf.constant([[0.3, -0.2]])
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                log_prob = flow.log_prob(x)
            gradients = tape.gradient(log_prob, [x, *flow.trainable_variables])
        return [*gradients, outer.jacobian(gradients[0], x)]

    first = derivatives()
    for _ in range(NUM_CALLS):
        flow.log_prob(tf.zeros([1, 2]))
    for a, b in zip(first, derivatives(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_functions_of_users_are_called_each_time(traces):
    num_calls = []

    def activation(x):
        num_calls.append(1)
        return tf.nn.relu(x)

    flow = make_flow(activation=activation)
    num_calls.clear()
    for _ in range(NUM_CALLS):
        flow.log_prob(tf.zeros([1, 2]))
    assert not traces
    assert len(num_calls) >= NUM_CALLS


def test_a_traced_flow_is_freed():
    flow = make_flow()
    for _ in range(NUM_CALLS):
        flow.log_prob(tf.zeros([1, 2]))
    reference, num_functions = weakref.ref(flow), len(traced_log_prob._FUNCTIONS)
    del flow
    gc.collect()
    assert reference() is None
    assert len(traced_log_prob._FUNCTIONS) < num_functions
