"""Rational-quadratic splines against TFP's own and autodiff, and all the way out."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import count_ops, perturb, points
from tensorflow_probability import bijectors as tfb
from test_real_nvp import normal_over, perturbed, slogdet_of_jacobian

from tfp_gmnvp.bijectors import Affine, RationalQuadratic, real_nvp

ENDS = {
    "forward": ("forward", "forward_log_det_jacobian"),
    "inverse": ("inverse", "inverse_log_det_jacobian"),
}


def parameters_of(spline, *shape, size=3, scale=2.0, seed=0, dtype=np.float64):
    return scale * points(*shape, size * spline.num_parameters, seed=seed, dtype=dtype)


def tfp_spline(spline, parameters, size=3):
    """TFP's spline of the same parameters; its forward is our inverse."""
    num_bins = spline.num_bins
    raw = tf.reshape(parameters, [*parameters.shape[:-1], size, spline.num_parameters])
    widths, heights, slopes = tf.split(raw, [num_bins, num_bins, num_bins - 1], axis=-1)

    def lengths(raw):
        return 2 * spline.bound * (0.01 / num_bins + 0.99 * tf.nn.softmax(raw))

    return tfb.Invert(
        tfb.RationalQuadraticSpline(
            lengths(widths),
            lengths(heights),
            1e-3 + tf.nn.softplus(slopes + np.log(np.expm1(0.999))),
            range_min=-spline.bound,
        )
    )


def spread_out(bijector, *shape, bound, seed=0, dtype=np.float64):
    """Points in every bin and in both tails."""
    draws = np.random.default_rng(seed).uniform(-1.3 * bound, 1.3 * bound, shape)
    return tf.constant(draws, dtype)


@pytest.mark.slow
@given(
    num_bins=st.integers(2, 9),
    bound=st.floats(0.5, 20.0),
    batch=st.lists(st.integers(1, 3), max_size=2),
    end=st.sampled_from(sorted(ENDS)),
    seed=st.integers(0, 1000),
)
def test_agrees_with_tfp(num_bins, bound, batch, end, seed):
    spline = RationalQuadratic(num_bins, bound)
    parameters = parameters_of(spline, *batch, seed=seed)
    ours, oracle = spline(parameters), tfp_spline(spline, parameters)
    x = spread_out(ours, *batch, 3, bound=bound, seed=seed)
    value, log_det = ENDS[end]
    np.testing.assert_allclose(
        getattr(ours, value)(x), getattr(oracle, value)(x), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(
        getattr(ours, log_det)(tf.identity(x)),
        getattr(oracle, log_det)(tf.identity(x), event_ndims=1),
        rtol=1e-8,
        atol=1e-8,
    )


@pytest.mark.parametrize("end", ENDS)
def test_gradients_are_those_of_tfp(end):
    spline = RationalQuadratic(5, 3.0)
    parameters, x = parameters_of(spline, 40), spread_out(None, 40, 3, bound=3.0)
    gradients = []
    for make in (spline, functools.partial(tfp_spline, spline)):
        with tf.GradientTape() as tape:
            tape.watch((parameters, x))
            bijector = make(parameters)
            value, log_det = (getattr(bijector, name) for name in ENDS[end])
            loss = tf.reduce_sum(value(x) ** 2) + tf.reduce_sum(log_det(x, event_ndims=1))
        gradients.append(tape.gradient(loss, (parameters, x)))
    for ours, oracle in zip(*gradients, strict=True):
        assert np.abs(oracle).max() > 1
        np.testing.assert_allclose(ours, oracle, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("end", ENDS)
def test_log_det_is_that_of_the_jacobian(end):
    spline = RationalQuadratic(6, 2.0)
    bijector = spline(parameters_of(spline, 20))
    x = spread_out(None, 20, 3, bound=2.0)
    value, log_det = (getattr(bijector, name) for name in ENDS[end])
    oracle = slogdet_of_jacobian(value, x)
    np.testing.assert_allclose(log_det(tf.identity(x)), oracle, atol=1e-9)


@pytest.mark.slow
@given(
    num_bins=st.integers(2, 16),
    bound=st.floats(0.1, 100.0),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_zero_parameters_are_the_identity_to_rounding(num_bins, bound, dtype):
    spline = RationalQuadratic(num_bins, bound)
    bijector = spline(tf.zeros([3 * spline.num_parameters], dtype))
    x = spread_out(None, 100, 3, bound=bound, dtype=dtype)
    eps = np.finfo(dtype).eps
    for value, log_det in ENDS.values():
        np.testing.assert_allclose(getattr(bijector, value)(x), x, atol=8 * bound * eps)
        np.testing.assert_allclose(
            getattr(bijector, log_det)(tf.identity(x)), np.zeros(100), atol=100 * eps
        )


def knots(spline, parameters):
    """The knots at both ends, `[..., m, K + 1]`, in the parameters' dtype."""
    bijector = spline(parameters)
    top = tf.fill(
        [*bijector._splines._widths.shape[:-1], 1], tf.cast(spline.bound, parameters.dtype)
    )
    return {
        "inverse": tf.concat([bijector._splines._edges(bijector._splines._widths), top], axis=-1),
        "forward": tf.concat([bijector._splines._edges(bijector._splines._heights), top], axis=-1),
    }


@pytest.mark.slow
@given(
    num_bins=st.integers(2, 12),
    bound=st.floats(0.5, 20.0),
    scale=st.sampled_from([0.0, 1.0, 10.0, 100.0, 1e4]),
    seed=st.integers(0, 1000),
    compiled=st.sampled_from([None, False]),
)
def test_nothing_is_ever_nan_in_float32(num_bins, bound, scale, seed, compiled):
    """On and near the knots, far outside, and for extreme parameters."""
    spline = RationalQuadratic(num_bins, bound)
    parameters = parameters_of(spline, 1, size=1, scale=scale, seed=seed, dtype=np.float32)
    far = np.array([0.0, 1e3, -1e3, 1e30, -1e30], np.float32)
    for end, at in knots(spline, parameters).items():
        at = np.ravel(at)
        x = np.concatenate([at, np.nextafter(at, 1e9), np.nextafter(at, -1e9), far])
        x = tf.constant(x[:, np.newaxis], tf.float32)

        def gradients(x, end=end):
            with tf.GradientTape() as tape:
                tape.watch((x, parameters))
                value, log_det = (
                    getattr(
                        spline(tf.repeat(parameters, x.shape[0], axis=0)), f"_{end}_and_log_det"
                    )
                )(x)
                loss = tf.reduce_sum(tf.tanh(value)) + tf.reduce_sum(log_det)
            return value, log_det, *tape.gradient(loss, (x, parameters))

        run = gradients if compiled is None else tf.function(gradients)
        for result in run(x):
            assert np.isfinite(result).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_round_trip_in_float32(scale):
    spline = RationalQuadratic()
    parameters = parameters_of(spline, 300, scale=scale, dtype=np.float32)
    bijector, x = spline(parameters), spread_out(None, 300, 3, bound=5.0, dtype=np.float32)
    z, log_det = bijector._inverse_and_log_det(x)
    again, back = bijector._forward_and_log_det(z)
    np.testing.assert_allclose(bijector._inverse_and_log_det(again)[0], z, atol=2e-5)
    assert np.median(np.abs(again - x)) < 1e-6
    assert np.median(np.abs(back + log_det)) < 1e-3


def test_tails_are_the_identity():
    spline = RationalQuadratic(bound=2.0)
    bijector = spline(parameters_of(spline, size=3))
    x = tf.constant([-2.001, 3.0, 1e30], tf.float64)
    for value, log_det in ENDS.values():
        np.testing.assert_array_equal(getattr(bijector, value)(x), x)
        assert getattr(bijector, log_det)(tf.identity(x)) == 0.0


def test_slope_is_continuous_into_the_tails():
    spline = RationalQuadratic(bound=2.0)
    bijector = spline(parameters_of(spline, size=1))
    for bound in (-2.0, 2.0):
        x = tf.constant([[bound * (1 - 1e-9)]], tf.float64)
        np.testing.assert_allclose(bijector.inverse(x), x, atol=1e-7)
        np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), [0.0], atol=1e-4)


SPLINE_FLOW = {"coupling": RationalQuadratic(4, 3.0), "weights": 0.5}


@pytest.mark.slow
@given(
    event_size=st.integers(2, 6),
    num_couplings=st.integers(1, 4),
    batch=st.lists(st.integers(1, 3), max_size=2),
    compiled=st.booleans(),
)
def test_flow_round_trip_and_jacobian(event_size, num_couplings, batch, compiled):
    bijector, x = perturbed(event_size, num_couplings, **SPLINE_FLOW), points(*batch, event_size)
    forward, inverse = bijector.forward, bijector.inverse
    if compiled:
        forward, inverse = tf.function(forward), tf.function(inverse)
    y = forward(x)
    assert np.abs(y - x).max() > 1e-2
    np.testing.assert_allclose(inverse(tf.identity(y)), x, atol=1e-9)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(tf.identity(y)),
        slogdet_of_jacobian(bijector.inverse, y),
        atol=1e-8,
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("event_size", [2, 5])
def test_flow_starts_as_the_identity(event_size, dtype):
    bijector = real_nvp(event_size, 4, (4,), coupling="spline", dtype=dtype)
    x = 3 * points(50, event_size, dtype=dtype.as_numpy_dtype)
    eps = np.finfo(dtype.as_numpy_dtype).eps
    np.testing.assert_allclose(bijector.inverse(x), x, atol=200 * eps)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), np.zeros(50), atol=200 * eps)


def test_flow_is_never_stale_and_evaluates_each_conditioner_once():
    bijector = real_nvp(4, 3, (5,), activation="relu", coupling="spline", dtype=tf.float64)
    distribution, x = normal_over(bijector, 4), points(7, 4)
    assert count_ops(distribution.log_prob, x)["Relu"] == 3
    for seed in range(2):
        before = distribution.log_prob(x)
        perturb(bijector, seed=seed)
        after = distribution.log_prob(x)
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_array_equal(after, distribution.log_prob(tf.identity(x)))


@pytest.mark.parametrize("end", ENDS)
def test_every_variable_has_a_gradient(end):
    bijector, x = perturbed(5, 3, (6,), **SPLINE_FLOW), points(30, 5)
    value, log_det = (getattr(bijector, name) for name in ENDS[end])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(value(x) ** 2) + tf.reduce_sum(log_det(x))
    variables = bijector.trainable_variables
    assert len(variables) == 3
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).max() > 1e-6, variable.name


@pytest.mark.parametrize("shape", [[None, 3], [None, None], [None, 2, 3]])
def test_unknown_sizes(shape):
    distribution = normal_over(perturbed(3, **SPLINE_FLOW), 3)
    x = points(4, 2, 3) if len(shape) == 3 else points(4, 3)
    compiled = tf.function(
        distribution.log_prob, input_signature=[tf.TensorSpec(shape, tf.float64)]
    )
    np.testing.assert_allclose(compiled(x), distribution.log_prob(x), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RationalQuadratic(num_bins=1), "`num_bins` .*>= 2, got 1"),
        (lambda: RationalQuadratic(num_bins=2.5), "`num_bins` .*got 2.5"),
        (lambda: RationalQuadratic(bound=0.0), "`bound` .*got 0.0"),
        (lambda: RationalQuadratic(bound=float("nan")), "`bound` .*got nan"),
        (lambda: Affine(max_log_scale=-1.0), "`max_log_scale` .*got -1.0"),
        (lambda: real_nvp(3, coupling="cubic"), "`coupling` .*\"spline\".*got 'cubic'"),
        (lambda: real_nvp(3, coupling=None), "`coupling` .*got None"),
        (lambda: real_nvp(3, coupling="spline", max_log_scale=2.0), "`max_log_scale` requires"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_coupling_by_name_or_object():
    x = points(4, 3)
    for name, other in (("affine", Affine()), ("spline", RationalQuadratic())):
        by_name = perturbed(3, coupling=name).forward(x)
        np.testing.assert_array_equal(by_name, perturbed(3, coupling=other).forward(x))
    by_keyword = perturbed(3, max_log_scale=0.2).forward(x)
    np.testing.assert_array_equal(by_keyword, perturbed(3, coupling=Affine(0.2)).forward(x))
    assert np.abs(by_keyword - perturbed(3).forward(x)).max() > 1e-3
