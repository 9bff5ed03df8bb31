"""Bijectors onto half lines and intervals, and by column, against TFP's own and autodiff."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp.bijectors import Above, Between, ByColumn

Z = np.array([-30.0, -3.0, -0.5, 0.0, 1e-3, 2.0, 9.0])


def pairs(dtype):
    """Our bijectors, with TFP's for the same map."""
    number = lambda value: tf.constant(value, dtype)  # noqa: E731
    return {
        "log": (Above(2.0, dtype=dtype), tfb.Chain([tfb.Shift(number(2.0)), tfb.Exp()])),
        "softplus": (
            Above(-1.0, transform="softplus", scale=3.0, dtype=dtype),
            tfb.Chain([tfb.Shift(number(-1.0)), tfb.Softplus(hinge_softness=number(3.0))]),
        ),
        "sigmoid": (Between(-2.0, 5.0, dtype=dtype), tfb.Sigmoid(number(-2.0), number(5.0))),
    }


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("name", ["log", "softplus", "sigmoid"])
def test_agree_with_tfp(name, dtype):
    ours, theirs = pairs(dtype)[name]
    z = tf.constant(Z, dtype)
    tolerance = 1e-5 if dtype == tf.float32 else 1e-12
    x = ours.forward(z)
    assert x.dtype == dtype
    np.testing.assert_allclose(x, theirs.forward(tf.identity(z)), rtol=tolerance)
    log_det = theirs.forward_log_det_jacobian(tf.identity(z), event_ndims=0)
    np.testing.assert_allclose(
        ours.forward_log_det_jacobian(z, event_ndims=0), log_det, rtol=tolerance, atol=tolerance
    )
    middle = tf.constant([-2.0, 0.0, 1.5], dtype)
    np.testing.assert_allclose(
        ours.inverse(ours.forward(middle)), middle, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("name", ["log", "softplus", "sigmoid"])
def test_log_dets_are_those_of_autodiff_in_both_directions(name):
    bijector, _ = pairs(tf.float64)[name]
    z = tf.constant(Z[1:-1])
    x, slope = tfp.math.value_and_gradient(bijector.forward, z)
    _, inverse_slope = tfp.math.value_and_gradient(bijector.inverse, x)
    log_det = bijector.forward_log_det_jacobian(tf.identity(z), event_ndims=0)
    np.testing.assert_allclose(log_det, np.log(slope), atol=1e-10)
    log_det = bijector.inverse_log_det_jacobian(tf.identity(x), event_ndims=0)
    np.testing.assert_allclose(log_det, np.log(inverse_slope), atol=1e-10)


def test_values_near_bounds_keep_their_digits():
    near = tf.constant([1e-300, 1e-12], tf.float64)
    for bijector in (Above(dtype=tf.float64), Between(0.0, 1.0, dtype=tf.float64)):
        np.testing.assert_allclose(bijector.forward(bijector.inverse(near)), near, rtol=1e-12)
    softplus = Above(transform="softplus", dtype=tf.float64)
    np.testing.assert_allclose(softplus.forward(softplus.inverse(near)), near, rtol=1e-10)


def by_column(dtype=tf.float64):
    log = Above(dtype=dtype)
    return ByColumn([log, tfb.Identity(), Between(0.0, 1.0, dtype=dtype), log], dtype=dtype)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("shape", [[4], [7, 4], [2, 3, 4]])
def test_by_column_agrees_with_blockwise(dtype, shape):
    z = tf.random.stateless_normal(shape, [0, 1], dtype=dtype)
    ours = by_column(dtype)
    one = tf.constant(1.0, dtype)
    theirs = tfb.Blockwise(
        [tfb.Exp(), tfb.Identity(), tfb.Sigmoid(0 * one, one), tfb.Exp()], block_sizes=[1] * 4
    )
    x = ours.forward(z)
    assert x.dtype == dtype and x.shape == z.shape
    np.testing.assert_allclose(x, theirs.forward(tf.identity(z)), rtol=1e-5)
    log_det = ours.forward_log_det_jacobian(z, event_ndims=1)
    np.testing.assert_allclose(
        log_det, theirs.forward_log_det_jacobian(tf.identity(z), event_ndims=1), rtol=1e-5
    )
    np.testing.assert_allclose(ours.inverse(x), z, atol=1e-4)
    inverse = ours.inverse_log_det_jacobian(tf.identity(x), event_ndims=1)
    np.testing.assert_allclose(inverse, -log_det, atol=1e-4)


def test_by_column_works_in_graphs_of_unknown_size():
    bijector = by_column()
    graph = tf.function(
        bijector.inverse, input_signature=[tf.TensorSpec([None, 4], tf.float64)], autograph=False
    )
    x = tf.constant([[1.0, 2.0, 0.5, np.e]], tf.float64)
    np.testing.assert_allclose(graph(x), [[0.0, 2.0, 0.0, 1.0]], atol=1e-12)


def test_a_transformed_distribution_is_the_lognormal():
    normal = tfd.MultivariateNormalDiag(tf.constant([0.3, -1.0], tf.float64), [0.5, 2.0])
    bijector = ByColumn([Above(dtype=tf.float64)] * 2, dtype=tf.float64)
    flow = tfd.TransformedDistribution(normal, bijector)
    x = tf.constant([[0.1, 3.0], [2.0, 1e-5]], tf.float64)
    theirs = tfd.LogNormal(tf.constant([0.3, -1.0], tf.float64), [0.5, 2.0])
    expected, gradient = tfp.math.value_and_gradient(
        lambda x: tf.reduce_sum(theirs.log_prob(x), axis=-1), x
    )
    found, found_gradient = tfp.math.value_and_gradient(flow.log_prob, x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Above(transform="exp"), "`transform`"),
        (lambda: Above(scale=0.0), "`scale`"),
        (lambda: Between(1.0, 1.0), "`high`"),
        (lambda: ByColumn([]), "at least one"),
        (lambda: ByColumn([tfb.FillTriangular()]), "elementwise"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_by_column_refuses_what_is_no_bijector():
    with pytest.raises(TypeError, match=r"tfb\.Bijector"):
        ByColumn([tf.exp])
