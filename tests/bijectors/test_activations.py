"""Our silu and sine, and how networks of sines start."""

import numpy as np
import pytest
import tensorflow as tf
from support import count_ops

from tfp_gmnvp.bijectors import MLP, ResidualMLP
from tfp_gmnvp.bijectors.networks.activations import Sine, as_activation, silu, sine

pytestmark = pytest.mark.by_xla
compiled_sine = tf.function(sine, jit_compile=True)


def numbers(bound, dtype=np.float32):
    return np.linspace(-bound, bound, 20_001).astype(dtype)


def derivatives(function, x, jit_compile):
    """The values, first and second derivatives of a function of one number."""

    @tf.function(jit_compile=jit_compile)
    def value_first_second(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = function(x)
            first = inner.gradient(y, x)
        return y, first, outer.gradient(first, x)

    return value_first_second(tf.constant(x))


def test_compiled_sine_is_the_sine():
    x = numbers(100.0)
    np.testing.assert_allclose(compiled_sine(x), np.sin(x.astype(np.float64)), atol=2e-7)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_compiled_sine(order):
    x = numbers(20.0)
    oracle = np.cos if order == 1 else lambda x: -np.sin(x)
    gradient = derivatives(sine, x, jit_compile=True)[order]
    np.testing.assert_allclose(gradient, oracle(x.astype(np.float64)), atol=1e-6)


def test_compiled_sine_is_bounded_where_no_digits_are_left():
    x = tf.constant([1e6, -1e12, 3e38])
    assert np.abs(compiled_sine(x)).max() <= 1 + 1e-6
    assert not np.isfinite(compiled_sine([np.inf, np.nan])).any()


def test_only_xla_gets_the_polynomial():
    assert count_ops(sine, tf.zeros([3]))["Sin"] == 1
    np.testing.assert_array_equal(sine(numbers(9.0)), tf.sin(numbers(9.0)))
    within = count_ops(lambda x: compiled_sine(x), tf.zeros([3]))
    assert "Sin" not in within and within["Round"] == 1
    wide = numbers(9.0, np.float64)
    np.testing.assert_allclose(compiled_sine(wide), np.sin(wide), atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_silu_and_its_gradients_are_those_of_autodiff(jit_compile, dtype):
    x, tolerance = numbers(90.0, dtype), 4 * np.finfo(dtype).eps
    plain = derivatives(lambda x: x * tf.sigmoid(x), x, jit_compile)
    for ours, oracle in zip(derivatives(silu, x, jit_compile), plain, strict=True):
        np.testing.assert_allclose(ours, oracle, rtol=0, atol=tolerance)


def test_the_gradient_of_silu_reads_what_is_there_anyway():
    @tf.function
    def backward(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = silu(x)
        return tape.gradient(y, x)

    [x] = backward.get_concrete_function(tf.zeros([3])).graph.inputs
    assert as_activation("silu") is silu
    consumers = [op.type for op in x.consumers() if op.type != "IdentityN"]  # custom_gradient's own
    assert sorted(consumers) == ["Mul", "Sigmoid"]  # the value's


def test_a_gain_that_is_no_gain_is_refused():
    for gain in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="`gain` must be positive"):
            Sine(gain)


def test_names():
    assert as_activation("sine") == Sine()
    assert as_activation("sin") is tf.math.sin
    assert as_activation(tf.nn.relu) is tf.nn.relu


@pytest.mark.parametrize("network", [MLP, ResidualMLP])
def test_networks_of_sines_start_as_random_fourier_features(network):
    of_sines = network(3, 2, hidden_units=(500, 500), activation=Sine(gain=1.5), seed=0)
    of_tanh = network(3, 2, hidden_units=(500, 500), activation="tanh", seed=0)
    for kernel, plain in zip(of_sines.kernels, of_tanh.kernels, strict=True):
        np.testing.assert_array_equal(kernel, 1.5 * plain)
    phases, *others = of_sines.biases
    assert np.abs(phases).max() <= np.pi
    assert abs(np.mean(phases)) < 0.3 and abs(np.std(phases) - np.pi / np.sqrt(3)) < 0.1
    assert not np.any(np.concatenate(others)) and not np.any(np.concatenate(of_tanh.biases))
    np.testing.assert_array_equal(of_sines(tf.ones([4, 3])), np.zeros([4, 2]))


def test_a_network_of_one_layer_has_no_phases():
    mlp = MLP(3, 2, hidden_units=(), activation="sine", seed=0)
    assert not np.any(mlp.parameters)
