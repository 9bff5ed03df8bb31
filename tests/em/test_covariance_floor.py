"""The floor under the covariances: optimal, relative, and enough for collapsed data."""

import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES, full_covariances, mixture_with, points
from test_em import assert_same_parameters, blobs, em_step

from tfp_gmnvp.em import initial_parameters, maximization, sufficient_statistics
from tfp_gmnvp.mixtures import MixtureParameters, as_mixture

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def floor_of(z, floor):
    """The bound on the covariances, a matrix."""
    return np.diag(floor * np.var(z, axis=0))


def expected_log_likelihood(covariance, scatter):
    """Of a Gaussian at the mean of points with this covariance, but for constants."""
    return -0.5 * (
        np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.solve(covariance, scatter))
    )


def feasible_matrix(rng, lower, covariance_type):
    size = len(lower)
    extra = 10.0 ** rng.uniform(-4, 1)
    if covariance_type == "spherical":
        return np.eye(size) * (np.trace(lower) / size + extra)
    if covariance_type == "diag":
        return lower + np.diag(extra * rng.exponential(size=size))
    root = rng.standard_normal([size, rng.integers(1, size + 1)])
    return lower + extra * root @ root.T


@each_covariance_type
@pytest.mark.parametrize("floor", [0.05, 0.5, 2.0])
def test_the_lifted_covariance_is_the_best_above_the_floor(covariance_type, floor):
    """Anisotropic points, far apart in units and nearly flat in a slanted direction."""
    rng = np.random.default_rng(0)
    z = (
        rng.standard_normal([60, 3])
        * [1.0, 0.1, 0.3]
        @ np.linalg.qr(rng.standard_normal([3, 3]))[0]
    )
    z *= [1.0, 10.0, 3.0]
    ones = np.ones([60, 1])
    statistics = sufficient_statistics(tf.constant(z), ones, np.zeros([1, 3]), covariance_type)
    parameters = maximization(statistics, covariance_type, covariance_floor=floor)
    best = full_covariances(parameters, covariance_type)[0]
    lower, scatter = floor_of(z, floor), np.cov(z.T, bias=True)
    if covariance_type == "spherical":
        assert best[0, 0] >= np.trace(lower) / 3 - 1e-12
    else:
        assert np.linalg.eigvalsh(best - lower).min() > -1e-10
    highest = expected_log_likelihood(best, scatter)
    for _ in range(300):
        other = feasible_matrix(rng, lower, covariance_type)
        for share in (1.0, 0.1, 1e-3):  # the feasible set is convex
            mixed = share * other + (1 - share) * best
            assert expected_log_likelihood(mixed, scatter) <= highest + 1e-10
    unbound = maximization(statistics, covariance_type)
    if floor == 2.0:
        assert np.abs(best - full_covariances(unbound, covariance_type)[0]).max() > 0.1


@each_covariance_type
def test_a_floor_that_is_met_changes_nothing(covariance_type):
    z, responsibilities = blobs(), tf.nn.softmax(points(120, 3, seed=2))
    statistics = sufficient_statistics(
        z, responsibilities, tf.zeros([3, 3], z.dtype), covariance_type
    )
    assert_same_parameters(
        maximization(statistics, covariance_type, covariance_floor=1e-6),
        maximization(statistics, covariance_type),
        atol=1e-12,
    )


@each_covariance_type
@pytest.mark.parametrize("factor", [1e-5, 1e3])
def test_the_floor_is_relative_to_the_latents(covariance_type, factor):
    z, responsibilities = blobs(), tf.nn.softmax(points(120, 3, seed=2))
    small, large = (
        maximization(
            sufficient_statistics(a * z, responsibilities, a * z[:3], covariance_type),
            covariance_type,
            covariance_floor=0.9,
        )
        for a in (1.0, factor)
    )
    scaled = MixtureParameters(small.probs, factor * small.loc, factor**2 * small.covariance)
    assert_same_parameters(large, scaled, rtol=1e-9)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])  # a sphere has one unit
def test_the_floor_goes_by_each_latents_own_unit(covariance_type):
    z, responsibilities = blobs(), tf.nn.softmax(points(120, 3, seed=2))
    units = np.array([1.0, 30.0, 0.2])
    plain, scaled = (
        full_covariances(
            maximization(
                sufficient_statistics(a * z, responsibilities, a * z[:3], covariance_type),
                covariance_type,
                covariance_floor=0.9,
            ),
            covariance_type,
        )
        for a in (np.ones(3), units)
    )
    np.testing.assert_allclose(scaled / np.outer(units, units), plain, rtol=1e-8, atol=1e-8)


COLLAPSED = {
    "all equal": np.tile([[0.3, -7.0]], [20, 1]),
    "all equal and far": np.tile([[1e3 + 0.1, 1e3]], [20, 1]),
    "all zero": np.zeros([20, 2]),
    "two places": np.repeat([[0.0, 1.0], [5.0, -2.0]], 10, axis=0),
    "constant column": np.stack([np.linspace(-1, 1, 20), np.full(20, 3.3)], axis=1),
    "on a line": np.outer(np.linspace(-1, 1, 20), [1.0, 2.0]),
    "one point": np.array([[1.0, 2.0], [1.0, 2.0]]),
}


@pytest.mark.slow
@each_covariance_type
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("data", COLLAPSED)
def test_collapsed_data_stays_finite(covariance_type, dtype, data):
    z = tf.constant(COLLAPSED[data], dtype)
    parameters = initial_parameters(z, 2, covariance_type, seed=0, num_iterations=3)
    for _ in range(3):
        parameters, log_likelihood = em_step(z, parameters, covariance_type, 1e-4)
        for value in (*parameters, log_likelihood):
            assert np.all(np.isfinite(value))
        for covariance in full_covariances(parameters, covariance_type):
            assert np.all(np.isfinite(np.linalg.cholesky(covariance.astype(np.float64))))
    mixture = mixture_with(parameters, covariance_type)
    assert np.all(np.isfinite(mixture.log_prob(z)))
    np.testing.assert_allclose(mixture.mean(), z.numpy().mean(axis=0), rtol=1e-5, atol=1e-5)


@each_covariance_type
def test_a_component_without_mass_stays_where_it_is(covariance_type):
    z = blobs()
    responsibilities = tf.one_hot(tf.zeros(120, tf.int32), 2, dtype=tf.float64)
    reference = tf.constant([[0.0, 0.0, 0.0], [7.0, 8.0, 9.0]], tf.float64)
    statistics = sufficient_statistics(z, responsibilities, reference, covariance_type)
    parameters = maximization(statistics, covariance_type, covariance_floor=1e-2)
    np.testing.assert_allclose(parameters.probs, [1.0, 0.0], atol=1e-100)
    np.testing.assert_array_equal(parameters.loc[1], reference[1])
    mixture = as_mixture(parameters, covariance_type)
    assert np.all(np.isfinite(mixture.log_prob(z)))
    if covariance_type != "tied":
        smallest = full_covariances(parameters, covariance_type)[1]
        lower = floor_of(z, 1e-2)
        lower = np.eye(3) * np.trace(lower) / 3 if covariance_type == "spherical" else lower
        np.testing.assert_allclose(smallest, lower, atol=1e-12)
