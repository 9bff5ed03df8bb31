"""Splines of large parameters are finite and invertible up to, on and beyond their knots."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_gmnvp.bijectors import RationalQuadratic

NUM_SPLINES = 150


def splines(dtype, num_bins, scale, bound, seed=0):
    """Splines side by side, of random parameters."""
    rng = np.random.default_rng(seed)
    size = NUM_SPLINES * (3 * num_bins - 1)
    raw = rng.standard_normal([size])
    return RationalQuadratic(num_bins, bound), tf.constant(scale * raw, dtype)


def about_knots(bijector, bound, *, on_x):
    """Knots, their neighbours up to three units in the last place away, and points between."""
    splines = bijector._splines
    edges = splines._edges(splines._widths if on_x else splines._heights).numpy()
    knots = np.concatenate([edges, np.full_like(edges[:, :1], bound)], axis=1)
    below = above = knots
    found = [knots, np.random.default_rng(1).uniform(-bound, bound, knots.shape)]
    for _ in range(3):
        below, above = np.nextafter(below, -np.inf), np.nextafter(above, np.inf)
        found += [below, above]
    return np.concatenate(found, axis=1).astype(knots.dtype).T  # [P, NUM_SPLINES]


def value_and_log_det(bijector, direction, points):
    """Both, and the log-det spline by spline."""
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")
    return getattr(bijector, direction)(points), log_det(points, event_ndims=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_bins", [2, 8, 50])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4, 1e18])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_finite_about_knots(dtype, num_bins, scale, direction):
    for bound in (1.0, 5.0):
        transform, raw = splines(dtype, num_bins, scale, bound)
        points = tf.constant(about_knots(transform(raw), bound, on_x=direction == "inverse"))
        with tf.GradientTape() as tape:
            tape.watch([raw, points])
            value, log_det = value_and_log_det(transform(raw), direction, points)
            total = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        assert np.isfinite(value).all()
        assert np.isfinite(log_det).all()
        assert all(np.isfinite(g).all() for g in tape.gradient(total, [raw, points]))
        rounding = 8 * num_bins * np.finfo(dtype).eps
        inside = np.abs(points) <= bound
        assert np.abs(value)[inside].max() <= bound * (1 + rounding)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_never_decreases_about_knots(dtype, scale):
    """To rounding, whose effect is as large as the slope."""
    bound = 3.0
    transform, raw = splines(dtype, 6, scale, bound, seed=2)
    for direction in ("forward", "inverse"):
        points = about_knots(transform(raw), bound, on_x=direction == "inverse")
        points = np.sort(points, axis=0)
        value = getattr(transform(raw), direction)(tf.constant(points)).numpy()
        assert np.diff(value, axis=0).min() >= -100 * bound * np.finfo(dtype).eps


@pytest.mark.parametrize("num_bins", [3, 40])
def test_comes_back_from_about_knots(num_bins):
    bound = 2.0
    transform, raw = splines(np.float64, num_bins, 2.0, bound, seed=3)
    bijector = transform(raw)
    x = tf.constant(about_knots(bijector, bound, on_x=True))
    z = bijector.inverse(x)
    np.testing.assert_allclose(bijector.forward(tf.identity(z)), x, atol=1e-9)
    there = bijector.inverse_log_det_jacobian(x, event_ndims=1)
    back = bijector.forward_log_det_jacobian(tf.identity(z), event_ndims=1)
    np.testing.assert_allclose(back, -there, atol=1e-6 * NUM_SPLINES)
