"""Conditioners: the MLP, activations, and networks of the user's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from support import count_ops, perturb, points
from test_real_nvp import normal_over, perturbed

from tfp_gmnvp.bijectors import MLP, real_nvp
from tfp_gmnvp.bijectors.networks.mlp import TrackedConditioner


def test_hidden_kernels_have_he_variance_and_the_last_is_zero():
    *hidden, last = MLP(200, 3, hidden_units=(300, 400), seed=0).kernels
    for kernel in hidden:
        np.testing.assert_allclose(np.var(kernel), 2 / kernel.shape[0], rtol=0.02)
    np.testing.assert_array_equal(last, np.zeros([400, 3]))


def test_mlp_is_the_formula():
    mlp = perturb(MLP(3, 2, hidden_units=(5,), activation=tf.sin, dtype=tf.float64, seed=0))
    x = points(2, 4, 3)
    (a, b), (c, d) = (tuple(v.numpy() for v in vs) for vs in (mlp.kernels, mlp.biases))
    np.testing.assert_allclose(mlp(x), np.sin(x.numpy() @ a + c) @ b + d, atol=1e-12)
    linear = perturb(MLP(3, 2, hidden_units=(), dtype=tf.float64))
    np.testing.assert_allclose(linear(x[0]), x[0] @ linear.kernels[0] + linear.biases[0])
    assert mlp.dtype == tf.float64
    assert real_nvp(4, 2, (3,)).bijectors[0].conditioner.dtype == tf.float32


@pytest.mark.parametrize("activation", ["tanh", "sin", tf.tanh, lambda x: tf.sin(x)])
def test_activation_by_name_or_callable(activation):
    x = points(4, 3)
    oracle = tf.sin if activation == "sin" or "lambda" in repr(activation) else tf.tanh
    actual = perturbed(3, activation=activation).forward(x)
    np.testing.assert_array_equal(actual, perturbed(3, activation=oracle).forward(x))
    assert np.abs(actual - perturbed(3, activation="relu").forward(x)).max() > 1e-3


@pytest.mark.parametrize("activation", ["rellu", "experimental", 3, None])
def test_activation_that_is_none(activation):
    with pytest.raises(ValueError, match=f"`activation` .*got {activation!r}"):
        real_nvp(2, activation=activation)


def closure(input_size, output_size):
    kernel = tf.Variable(0.1 * points(input_size, output_size, dtype=np.float32))
    return lambda x: tf.tanh(x) @ kernel


def compiled_closure(input_size, output_size):
    return tf.function(closure(input_size, output_size))


def module(input_size, output_size):
    mlp = MLP(input_size, output_size, hidden_units=(4,), activation="tanh", seed=0)
    return perturb(mlp)


def keras_layer(input_size, output_size):
    return keras.layers.Dense(output_size, activation="tanh")


def keras_sequential(input_size, output_size):
    return keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(output_size)])


def tf_keras_layer(input_size, output_size):
    return tf_keras.layers.Dense(output_size, activation="tanh")


def tf_keras_sequential(input_size, output_size):
    return tf_keras.Sequential(
        [tf_keras.layers.Dense(4, "tanh"), tf_keras.layers.Dense(output_size)]
    )


CONDITIONERS = {
    closure: 1,
    compiled_closure: 1,
    module: 1,
    keras_layer: 2,
    keras_sequential: 4,
    tf_keras_layer: 2,
    tf_keras_sequential: 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("conditioner_fn", CONDITIONERS)
@pytest.mark.parametrize("event_size", [2, 5])
def test_custom_conditioners_are_seen_and_trained(conditioner_fn, event_size):
    bijector = real_nvp(event_size, 3, conditioner_fn=conditioner_fn)
    variables = bijector.trainable_variables
    assert len(variables) == len({v.ref() for v in variables}) == 3 * CONDITIONERS[conditioner_fn]
    distribution = normal_over(bijector, event_size, tf.float32)
    x = 1.0 + 2.0 * points(30, event_size, dtype=np.float32)
    np.testing.assert_allclose(
        bijector.forward(tf.identity(bijector.inverse(x))), x, rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(bijector.inverse(x[0]), bijector.inverse(x)[0], rtol=1e-4, atol=1e-5)
    losses = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            losses.append(-tf.reduce_mean(distribution.log_prob(x)))
        gradients = tape.gradient(losses[-1], variables)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(1e-3 * gradient)
    assert np.all(np.diff(losses) < 0)


def test_conditioner_fn_is_told_the_sizes():
    sizes = []

    def conditioner_fn(input_size, output_size):
        sizes.append((input_size, output_size))
        return lambda x: tf.zeros([tf.shape(x)[0], output_size])

    bijector = real_nvp(5, 3, conditioner_fn=conditioner_fn)
    assert sizes == [(2, 6), (3, 4), (2, 6)]
    x = points(3, 5, dtype=np.float32)
    np.testing.assert_array_equal(bijector.forward(x), x)


def test_variables_that_do_not_train_are_seen_as_such():
    frozen = tf.Variable(tf.ones([3, 4]), trainable=False)
    conditioner = TrackedConditioner(lambda x: x @ frozen, 3, 4)
    assert [v.ref() for v in conditioner.variables] == [frozen.ref()]
    assert conditioner.trainable_variables == ()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("a network", TypeError, "callable, got 'a network'"),
        (lambda x: x, ValueError, r"\[1, 2\] to \[1, 4\].*returned \[1, 2\]"),
        (lambda x: tf.zeros([4]), ValueError, r"returned \[4\]"),
        (lambda x: tf.zeros([1, 4], tf.float64), TypeError, "return float32, got float64"),
    ],
)
def test_conditioner_with_a_wrong_output(function, error, message):
    with pytest.raises(error, match=message):
        TrackedConditioner(function, 2, 4)
    with pytest.raises(error, match=message):
        real_nvp(4, conditioner_fn=lambda *sizes: function)


def test_float32_keras_layer_in_a_float64_flow():
    with pytest.raises(TypeError, match="return float64, got float32"):
        real_nvp(3, conditioner_fn=keras_layer, dtype=tf.float64)


@pytest.mark.slow
@pytest.mark.by_xla
def test_xla_multiplies_narrow_kernels_column_by_column():
    inputs = points(5, 3, dtype=np.float32)
    for output_size, num_products in [(2, 3), (3, 2)]:
        mlp = perturb(MLP(3, output_size, hidden_units=(4,), seed=0))
        compiled = tf.function(mlp.__call__, jit_compile=True)
        assert count_ops(lambda x, f=compiled: f(x), inputs)["MatMul"] == num_products
        assert count_ops(mlp.__call__, inputs)["MatMul"] == 2
        np.testing.assert_allclose(compiled(inputs), mlp(inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.by_xla
@pytest.mark.parametrize("sizes", [(3, 1), (3, 5), (6, 2), (6, 4)], ids=str)
def test_gradients_of_what_xla_compiles_are_those_of_the_graph(sizes):
    mlp = perturb(MLP(*sizes, hidden_units=(7, 4), dtype=tf.float64, seed=0))

    def gradients(x):
        """Of the outputs by the inputs, and of that by the parameters."""
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = tf.reduce_sum(tf.square(mlp(x)))
            of_inputs = inner.gradient(total, x)
            total = tf.reduce_sum(tf.square(of_inputs))
        return of_inputs, outer.gradient(total, mlp.parameters)

    x = points(5, sizes[0])
    compiled = tf.function(gradients, jit_compile=True)(x)
    for actual, expected in zip(compiled, gradients(x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)
