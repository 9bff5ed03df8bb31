"""k-means++ and the first fit."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import COVARIANCE_TYPES, full_covariances, points

from tfp_gmnvp.em import initial_parameters, k_means_plus_plus

CENTERS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def blobs(num_points=90, *, dtype=np.float64, stddev=0.3, seed=0):
    """Points and the number of the blob that each belongs to."""
    which = np.arange(num_points) % 3
    noise = np.random.default_rng(seed).standard_normal([num_points, 2])
    return tf.constant(CENTERS[which] + stddev * noise, dtype), which


def rows(array):
    return {tuple(row) for row in np.asarray(array)}


@pytest.mark.slow
@given(
    num_clusters=st.integers(1, 8),
    event_size=st.integers(1, 4),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_centers_are_distinct_points(num_clusters, event_size, seed, dtype):
    x = points(8, event_size, dtype=dtype)
    centers = k_means_plus_plus(x, num_clusters, seed=seed)
    assert centers.dtype == dtype
    assert centers.shape == [num_clusters, event_size]
    assert rows(centers) <= rows(x)
    assert len(rows(centers)) == num_clusters


def test_centers_are_distinct_among_duplicates():
    x = tf.constant(np.repeat([[0.0], [1.0], [2.0]], 50, axis=0))
    for seed in range(5):
        assert rows(k_means_plus_plus(x, 3, seed=seed)) == {(0.0,), (1.0,), (2.0,)}


@pytest.mark.parametrize("seeds", [(3, 4), ([3, 0], [3, 1])])
def test_seeds(seeds):
    x = points(50, 2)
    first, again, other = (
        k_means_plus_plus(x, 5, seed=seed) for seed in (seeds[0], seeds[0], seeds[1])
    )
    np.testing.assert_array_equal(first, again)
    assert rows(first) != rows(other)


def test_one_center_in_each_blob():
    x, _ = blobs()
    for seed in range(10):
        centers = k_means_plus_plus(x, 3, seed=seed).numpy()
        nearest = np.linalg.norm(centers[:, np.newaxis] - CENTERS, axis=-1).argmin(axis=1)
        assert sorted(nearest) == [0, 1, 2]


@pytest.mark.slow
def test_centers_are_drawn_by_the_squared_distance():
    """Of two centers the first is drawn uniformly: closed form by enumeration of the trials."""
    x = np.array([[0.0], [1.0], [3.0]])
    distances = np.square(x - x.T)
    expected = np.zeros([3, 3])
    for first, a, b in np.ndindex(3, 3, 3):
        probs = distances[first] / distances[first].sum()
        left = np.minimum(distances[first], distances[[a, b]]).sum(axis=1)
        expected[first, (a, b)[left.argmin()]] += probs[a] * probs[b] / 3
    counts = np.zeros([3, 3])
    for seed in range(600):
        first, second = k_means_plus_plus(tf.constant(x), 2, seed=[0, seed]).numpy()[:, 0]
        counts[list(x[:, 0]).index(first), list(x[:, 0]).index(second)] += 1
    error = 4 * np.sqrt(600 * expected * (1 - expected)) + 1e-9
    assert np.all(np.abs(counts - 600 * expected) <= error)


def test_the_first_center_is_drawn_by_weight():
    x, weight = tf.constant([[0.0], [1.0]]), tf.constant([0.25, 0.75])
    draws = [
        k_means_plus_plus(x, 1, seed=[0, seed], sample_weight=weight).numpy().item()
        for seed in range(400)
    ]
    assert abs(np.mean(draws) - 0.75) < 4 * np.sqrt(0.25 * 0.75 / 400)


@pytest.mark.parametrize("num_clusters", [1, 3, 5])
def test_points_without_weight_are_never_chosen(num_clusters):
    x = tf.constant([[0.0], [1.0], [2.0], [100.0], [-100.0]])
    weight = [1.0, 2.0, 0.5, 0.0, 0.0]
    for seed in range(10):
        centers = k_means_plus_plus(x, num_clusters, seed=seed, sample_weight=weight)
        assert np.abs(centers).max() <= 2.0


@pytest.mark.slow
def test_weights_count_in_what_a_center_leaves_behind():
    """After 0 both others are as likely, but 1 leaves 4 behind, and 3 leaves 9."""
    x, weight = tf.constant([[0.0], [1.0], [3.0]]), [1e6, 9.0, 1.0]
    second = [
        k_means_plus_plus(x, 2, seed=[0, seed], sample_weight=weight)[1, 0] for seed in range(200)
    ]
    assert abs(np.mean(np.equal(second, 1.0)) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 200)


def test_fewer_points_than_clusters():
    with pytest.raises(ValueError, match="got 2 points for 3 clusters"):
        k_means_plus_plus(tf.zeros([2, 1]), 3, seed=0)
    with pytest.raises(ValueError, match="got 2 points for 3 clusters"):
        initial_parameters(tf.zeros([2, 1]), 3, "full", seed=0)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("num_iterations", [0, 1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_first_fit_finds_the_blobs(covariance_type, num_iterations, dtype):
    x, which = blobs(dtype=dtype)
    parameters = initial_parameters(x, 3, covariance_type, seed=1, num_iterations=num_iterations)
    assert {p.dtype for p in parameters} == {tf.as_dtype(dtype)}
    np.testing.assert_allclose(parameters.probs, np.full(3, 1 / 3), atol=1e-5)
    order = np.linalg.norm(CENTERS[:, np.newaxis] - parameters.loc, axis=-1).argmin(axis=1)
    covariances = full_covariances(parameters, covariance_type)
    members = [x.numpy()[which == k] for k in range(3)]
    scatter = np.array([np.cov(m.T, bias=True) for m in members])
    if covariance_type == "tied":
        scatter[:] = scatter.mean(axis=0)
    elif covariance_type == "diag":
        scatter *= np.eye(2)
    elif covariance_type == "spherical":
        scatter = np.trace(scatter, axis1=1, axis2=2)[:, None, None] / 2 * np.eye(2)
    np.testing.assert_allclose(
        parameters.loc.numpy()[order], [m.mean(axis=0) for m in members], atol=1e-4
    )
    np.testing.assert_allclose(covariances[order], scatter, atol=1e-4)


def test_first_fit_goes_on_by_em():
    x = blobs(stddev=4.0)[0]
    fits = [initial_parameters(x, 3, "full", seed=0, num_iterations=n) for n in range(3)]
    again = initial_parameters(x, 3, "full", seed=0, num_iterations=1)
    assert np.abs(fits[1].loc - fits[0].loc).max() > 1e-2
    assert np.abs(fits[2].loc - fits[1].loc).max() > 1e-2
    np.testing.assert_array_equal(fits[1].loc, again.loc)


def test_first_fit_respects_weights_and_floor():
    x, which = blobs()
    weight = np.array([1.0, 2.0, 3.0])[which]
    parameters = initial_parameters(
        x, 3, "diag", seed=1, sample_weight=weight, num_iterations=0, covariance_floor=0.5
    )
    np.testing.assert_allclose(np.sort(parameters.probs), [1 / 6, 2 / 6, 3 / 6], atol=1e-5)
    mean = np.average(x, axis=0, weights=weight)
    variance = np.average((x - mean) ** 2, axis=0, weights=weight)
    expected = np.broadcast_to(0.5 * variance, [3, 2])
    np.testing.assert_allclose(parameters.covariance, expected, rtol=1e-6)
