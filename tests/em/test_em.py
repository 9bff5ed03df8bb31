"""EM against scikit-learn, closed forms, and the theorems that it is known by."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from sklearn import mixture as sklearn_mixture
from support import (
    COVARIANCE_TYPES,
    points,
    random_parameters,
    tfp_mixture,
)

from tfp_gmnvp.em import add, as_statistics, expectation, maximization, scale, sufficient_statistics
from tfp_gmnvp.mixtures import MixtureParameters, as_mixture, component_log_joint

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def blobs(num_points=120, event_size=3, num_blobs=3, *, seed=0):
    rng = np.random.default_rng(seed)
    centers = 2 * rng.standard_normal([num_blobs, event_size])
    shapes = rng.standard_normal([num_blobs, event_size, event_size])
    which = rng.integers(num_blobs, size=num_points)
    noise = rng.standard_normal([num_points, 1, event_size])
    return tf.constant(centers[which] + (noise @ shapes[which])[:, 0])


def statistics_of(z, parameters, covariance_type, sample_weight=None):
    mixture = as_mixture(parameters, covariance_type)
    responsibilities, log_prob = expectation(component_log_joint(mixture, z))
    statistics = sufficient_statistics(
        z, responsibilities, parameters.loc, covariance_type, sample_weight=sample_weight
    )
    return statistics, tf.reduce_mean(log_prob)


def em_step(z, parameters, covariance_type, floor=0.0):
    """The next parameters, and the mean log-likelihood of the current ones."""
    statistics, log_likelihood = statistics_of(z, parameters, covariance_type)
    return maximization(statistics, covariance_type, covariance_floor=floor), log_likelihood


def assert_same_parameters(actual, desired, **tolerances):
    for name, a, b in zip(MixtureParameters._fields, actual, desired, strict=True):
        assert np.shape(a) == np.shape(b), name
        np.testing.assert_allclose(a, b, err_msg=name, **tolerances)


def sklearn_step(z, parameters, covariance_type):
    """One iteration of scikit-learn from these parameters: E-step, then M-step."""
    covariance = parameters.covariance.numpy()
    is_matrix = covariance_type in ("full", "tied")
    oracle = sklearn_mixture.GaussianMixture(
        parameters.probs.shape[0],
        covariance_type=covariance_type,
        weights_init=parameters.probs.numpy(),
        means_init=parameters.loc.numpy(),
        precisions_init=np.linalg.inv(covariance) if is_matrix else 1 / covariance,
        reg_covar=0.0,
        tol=0.0,
        max_iter=1,
        init_params="random_from_data",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one iteration does not converge
        oracle.fit(z.numpy())
    parameters = MixtureParameters(oracle.weights_, oracle.means_, oracle.covariances_)
    return parameters, oracle.lower_bound_


@pytest.mark.slow
@each_covariance_type
@pytest.mark.parametrize("num_components", [1, 3])
def test_every_iteration_is_scikit_learns(covariance_type, num_components):
    z = blobs()
    parameters = random_parameters(num_components, 3, covariance_type, seed=4)
    for _ in range(5):
        desired, lower_bound = sklearn_step(z, parameters, covariance_type)
        parameters, log_likelihood = em_step(z, parameters, covariance_type)
        np.testing.assert_allclose(log_likelihood, lower_bound, rtol=1e-8)
        assert_same_parameters(parameters, desired, rtol=1e-8, atol=1e-8)


@each_covariance_type
def test_expectation_is_bayes_rule(covariance_type):
    parameters, z = random_parameters(3, 2, covariance_type), points(10, 2)
    components = tfp_mixture(parameters, covariance_type).components_distribution
    joint = parameters.probs * components.prob(z[:, tf.newaxis])
    log_joint = component_log_joint(as_mixture(parameters, covariance_type), z)
    responsibilities, log_prob = expectation(log_joint)
    total = tf.reduce_sum(joint, axis=-1)
    np.testing.assert_allclose(responsibilities, joint / total[:, tf.newaxis], rtol=1e-10)
    np.testing.assert_allclose(log_prob, tf.math.log(total), rtol=1e-10)


def test_expectation_far_from_all_components():
    responsibilities, log_prob = expectation(tf.constant([[-1e6, -1e6 - 1.0]], tf.float64))
    np.testing.assert_allclose(responsibilities, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)]])
    np.testing.assert_allclose(log_prob, [-1e6 + np.log1p(np.exp(-1))])


@each_covariance_type
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_the_sums(covariance_type, weighted):
    z, reference = points(6, 2), points(3, 2, seed=1)
    responsibilities = tf.nn.softmax(points(6, 3, seed=2))
    weight = np.arange(1.0, 7.0) if weighted else np.ones(6)
    actual = sufficient_statistics(
        z, responsibilities, reference, covariance_type, sample_weight=weight if weighted else None
    )
    mass, first, second = np.zeros(3), np.zeros([3, 2]), np.zeros([3, 2, 2])
    for n, k in np.ndindex(6, 3):
        share, deviation = weight[n] * responsibilities[n, k], (z[n] - reference[k]).numpy()
        mass[k] += share
        first[k] += share * deviation
        second[k] += share * np.outer(deviation, deviation)
    if covariance_type == "tied":
        second = second.sum(axis=0)
    elif covariance_type != "full":
        second = np.diagonal(second, axis1=1, axis2=2)
    for a, b in zip(actual, (reference, mass, first, second), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@each_covariance_type
def test_statistics_of_batches_add_up(covariance_type):
    z, parameters = blobs(), random_parameters(3, 3, covariance_type)
    weight = tf.constant(np.random.default_rng(0).uniform(size=120))
    whole, _ = statistics_of(z, parameters, covariance_type, weight)
    parts = [
        statistics_of(z[rows], parameters, covariance_type, weight[rows])[0]
        for rows in (slice(0, 50), slice(50, 51), slice(51, 120))
    ]
    together = add(add(parts[0], parts[1]), parts[2])
    for a, b in zip(together, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)
    np.testing.assert_allclose(tf.reduce_sum(whole.mass), tf.reduce_sum(weight))


@each_covariance_type
def test_scaled_statistics_are_those_of_scaled_weights(covariance_type):
    z, parameters = blobs(), random_parameters(3, 3, covariance_type)
    plain, _ = statistics_of(z, parameters, covariance_type)
    desired, _ = statistics_of(z, parameters, covariance_type, tf.fill([120], 0.25))
    for a, b in zip(scale(plain, 0.25), desired, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    assert_same_parameters(
        maximization(scale(plain, 0.25), covariance_type),
        maximization(plain, covariance_type),
        atol=1e-12,
    )


@each_covariance_type
def test_integer_weights_are_repeated_rows(covariance_type):
    z, parameters = blobs(), random_parameters(3, 3, covariance_type)
    repeats = np.random.default_rng(0).integers(0, 4, size=120)
    weighted, _ = statistics_of(z, parameters, covariance_type, repeats)
    repeated, _ = statistics_of(tf.repeat(z, repeats, axis=0), parameters, covariance_type)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@each_covariance_type
def test_any_reference_gives_the_same_parameters(covariance_type):
    z, responsibilities = blobs(), tf.nn.softmax(points(120, 3, seed=2))
    first, second = (
        maximization(
            sufficient_statistics(z, responsibilities, points(3, 3, seed=seed), covariance_type),
            covariance_type,
            covariance_floor=1e-3,
        )
        for seed in (0, 1)
    )
    assert_same_parameters(first, second, atol=1e-10)


@each_covariance_type
def test_maximization_is_exact_far_from_the_origin_in_float32(covariance_type):
    far = tf.cast(blobs(400) + 1e4, tf.float32)
    loc = tf.gather(far, [0, 100, 200])
    responsibilities = tf.nn.softmax(points(400, 3, seed=2))
    actual, desired = (
        maximization(
            sufficient_statistics(
                tf.cast(far, dtype),
                tf.cast(responsibilities, dtype),
                tf.cast(loc, dtype),
                covariance_type,
            ),
            covariance_type,
        )
        for dtype in (tf.float32, tf.float64)
    )
    assert actual.covariance.dtype == tf.float32
    assert_same_parameters(actual._replace(loc=desired.loc), desired, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(actual.loc - 1e4, desired.loc - 1e4, atol=2e-3)


@each_covariance_type
def test_statistics_of_parameters_give_them_back(covariance_type):
    parameters = random_parameters(3, 2, covariance_type)
    statistics = as_statistics(parameters, covariance_type)
    np.testing.assert_allclose(tf.reduce_sum(statistics.mass), 1.0)
    assert_same_parameters(
        maximization(statistics, covariance_type), parameters, rtol=1e-12, atol=1e-12
    )
    shapes = [s.shape for s in statistics_of(points(4, 2), parameters, covariance_type)[0]]
    assert [s.shape for s in statistics] == shapes


@each_covariance_type
def test_the_m_step_maximizes_the_expected_log_likelihood(covariance_type):
    z, responsibilities = blobs(), tf.nn.softmax(points(120, 3, seed=2))
    statistics = sufficient_statistics(
        z, responsibilities, tf.zeros([3, 3], z.dtype), covariance_type
    )
    best = maximization(statistics, covariance_type)

    def expected(parameters):
        joint = component_log_joint(as_mixture(parameters, covariance_type), z)
        return tf.reduce_sum(responsibilities * joint).numpy()

    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = 10.0 ** rng.uniform(-3, 0)
        probs = best.probs * np.exp(size * rng.standard_normal(3))
        factor = np.exp(size * rng.standard_normal())
        other = MixtureParameters(
            probs / tf.reduce_sum(probs),
            best.loc + size * rng.standard_normal([3, 3]),
            best.covariance * factor,
        )
        assert expected(other) < expected(best)


@pytest.mark.slow
@each_covariance_type
def test_em_step_runs_in_a_function(covariance_type):
    z, parameters = blobs(), random_parameters(3, 3, covariance_type)
    eager, _ = em_step(z, parameters, covariance_type, 1e-3)
    compiled, _ = tf.function(lambda z: em_step(z, parameters, covariance_type, 1e-3))(z)
    assert_same_parameters(compiled, eager, rtol=1e-10)
