"""Matrices by their LU factors, against NumPy and autodiff."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import perturb, points
from tensorflow_probability import bijectors as tfb
from test_real_nvp import normal_over, slogdet_of_jacobian

from tfp_gmnvp.bijectors import Coupling, LULinear, real_nvp


def perturbed(event_size, seed=0, dtype=tf.float64):
    permutation = np.random.default_rng(seed).permutation(event_size)
    linear = LULinear(event_size, permutation=permutation, dtype=dtype)
    return perturb(linear, seed=seed), permutation


def oracle(linear, permutation):
    """NumPy's product, solution and determinant of the whole matrix."""
    raw, size = linear.lower_upper.numpy(), len(permutation)
    lower = np.tril(raw, -1) + np.eye(size)
    upper = np.triu(raw, 1) + np.diag(np.exp(np.diag(raw)))
    matrix = lower @ upper @ np.eye(size)[np.argsort(permutation)]
    return {
        "forward": lambda z: z @ np.linalg.inv(matrix).T,
        "inverse": lambda x: x @ matrix.T,
        "inverse_log_det_jacobian": np.linalg.slogdet(matrix).logabsdet,
    }


@pytest.mark.slow
@given(
    event_size=st.integers(1, 7),
    batch=st.lists(st.integers(1, 3), max_size=2),
    seed=st.integers(0, 100),
    compiled=st.booleans(),
)
def test_agrees_with_numpy_and_autodiff(event_size, batch, seed, compiled):
    linear, permutation = perturbed(event_size, seed)
    other, x = oracle(linear, permutation), points(*batch, event_size, seed=seed)
    for value in ("forward", "inverse"):
        run = tf.function(getattr(linear, value)) if compiled else getattr(linear, value)
        y = run(x)
        assert y.shape == x.shape
        np.testing.assert_allclose(y, other[value](x.numpy()), atol=1e-10)
        log_det = getattr(linear, f"{value}_log_det_jacobian")(tf.identity(x))
        sign = 1 if value == "inverse" else -1
        np.testing.assert_allclose(log_det, sign * other["inverse_log_det_jacobian"], atol=1e-10)
    jacobian = slogdet_of_jacobian(linear.inverse, x)
    log_det = linear.inverse_log_det_jacobian(tf.identity(x))
    np.testing.assert_allclose(tf.zeros_like(jacobian) + log_det, jacobian, atol=1e-9)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_starts_as_the_permutation(dtype):
    x = points(5, 4, dtype=dtype.as_numpy_dtype)
    for permutation in (None, [2, 0, 3, 1]):
        linear = LULinear(4, permutation=permutation, dtype=dtype)
        permute = tfb.Permute(permutation or range(4))
        for method in ("forward", "inverse"):
            np.testing.assert_array_equal(getattr(linear, method)(x), getattr(permute, method)(x))
        np.testing.assert_array_equal(linear.inverse_log_det_jacobian(x), 0.0)


def test_is_never_stale():
    linear, x = LULinear(3, dtype=tf.float64), points(4, 3)
    for method in ("forward", "inverse", "forward_log_det_jacobian", "inverse_log_det_jacobian"):
        call = getattr(linear, method)
        before = call(x)
        perturb(linear)
        after = call(tf.identity(x))
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_array_equal(call(x), after)


@pytest.mark.parametrize("shape", [[None, 3], [None, None], [None, 2, 3]])
def test_unknown_sizes(shape):
    linear, _ = perturbed(3)
    x = points(4, 2, 3) if len(shape) == 3 else points(4, 3)
    for method in (linear.forward, linear.inverse):
        compiled = tf.function(method, input_signature=[tf.TensorSpec(shape, tf.float64)])
        np.testing.assert_allclose(compiled(x), method(x), atol=1e-12)


@pytest.mark.parametrize("permutation", [[0, 1], [0, 0, 1], [1, 2, 3], [0.5, 1, 2]])
def test_what_is_no_permutation(permutation):
    with pytest.raises(ValueError, match=r"`permutation` must hold each of 0 .. 2 once"):
        LULinear(3, permutation=permutation)


@pytest.mark.parametrize("event_size", [2, 3, 6])
@pytest.mark.parametrize("num_couplings", [1, 3, 6])
def test_flow_starts_as_the_one_that_shuffles(event_size, num_couplings):
    """The identity, and every variable has a gradient once it moves."""
    sizes = (event_size, num_couplings, (5,))
    bijector = real_nvp(*sizes, mixing="lu", dtype=tf.float64)
    x = points(20, event_size)
    np.testing.assert_array_equal(bijector.inverse(x), x)
    np.testing.assert_array_equal(bijector.forward(x), x)
    linears = [part for part in bijector.bijectors if isinstance(part, LULinear)]
    assert len(linears) == (num_couplings + 1) // 2
    assert isinstance(bijector.bijectors[1], Coupling)
    perturb(bijector)
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, atol=1e-9)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(y), slogdet_of_jacobian(bijector.inverse, y), atol=1e-8
    )
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(normal_over(bijector, event_size).log_prob(x))
    variables = bijector.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).max() > 1e-7, variable.name
