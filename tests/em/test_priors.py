"""Maximum a posteriori EM against numerical optimisation, and its monotonicity."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from support import COVARIANCE_TYPES, full_covariances, points, random_parameters
from test_em import assert_same_parameters, blobs, statistics_of

from tfp_gmnvp.em import expectation, maximization, sufficient_statistics, total_variance
from tfp_gmnvp.mixtures import MixtureParameters, Prior, as_mixture, component_log_joint

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
PRIORS = (Prior(), Prior(3.0, 6.0, 0.2), Prior(concentration=1.5, scale=2.0))


def sizes(num_components, event_size, covariance_type):
    """How many numbers make up the log-scales, and those below the diagonal."""
    matrices = {"full": num_components, "tied": 1}.get(covariance_type, 0)
    num_scales = {"tied": event_size, "spherical": num_components}.get(
        covariance_type, num_components * event_size
    )
    return num_scales, matrices * event_size * (event_size - 1) // 2


def unpack(vector, num_components, event_size, covariance_type):
    """Any vector as the parameters of a mixture."""
    num_scales, num_below = sizes(num_components, event_size, covariance_type)
    logits, loc, log_scale, below = tf.split(
        vector, [num_components, num_components * event_size, num_scales, num_below]
    )
    probs, loc = tf.nn.softmax(logits), tf.reshape(loc, [num_components, event_size])
    if covariance_type in ("full", "tied"):
        diagonal = tf.linalg.diag(tf.reshape(tf.exp(log_scale), [-1, event_size]))
        rows, columns = np.tril_indices(event_size, -1)
        lower = np.zeros([rows.size, event_size, event_size])
        lower[np.arange(rows.size), rows, columns] = 1.0
        scale_tril = diagonal + tf.einsum(
            "kb,bij->kij", tf.reshape(below, [-1, rows.size]), tf.constant(lower)
        )
        covariance = scale_tril @ tf.linalg.matrix_transpose(scale_tril)
        covariance = covariance[0] if covariance_type == "tied" else covariance
    else:
        covariance = tf.exp(2 * log_scale)
        if covariance_type == "diag":
            covariance = tf.reshape(covariance, [num_components, event_size])
    return MixtureParameters(probs, loc, covariance)


@pytest.mark.slow
@each_covariance_type
@pytest.mark.parametrize("prior", PRIORS, ids=["vague", "strong", "of weights"])
def test_the_m_step_is_the_numerical_maximum(covariance_type, prior):
    num_components, event_size = 3, 2
    z, responsibilities = blobs(40, event_size), tf.nn.softmax(2 * points(40, 3, seed=2))
    weight = np.linspace(0.5, 1.5, 40)
    statistics = sufficient_statistics(
        z, responsibilities, points(3, 2, seed=3), covariance_type, sample_weight=weight
    )
    mode = maximization(statistics, covariance_type, prior=prior)
    variance = np.cov(z.numpy().T, aweights=weight, bias=True).diagonal()

    @tf.function
    def value_and_gradient(vector):
        with tf.GradientTape() as tape:
            tape.watch(vector)
            parameters = unpack(vector, num_components, event_size, covariance_type)
            joint = component_log_joint(as_mixture(parameters, covariance_type), z)
            expected = tf.reduce_sum(weight[:, np.newaxis] * responsibilities * joint)
            loss = -expected - prior.log_density(parameters, variance, covariance_type)
        return loss, tape.gradient(loss, vector)

    size = num_components * (1 + event_size) + sum(sizes(3, event_size, covariance_type))
    found = optimize.minimize(
        lambda v: [np.asarray(t) for t in value_and_gradient(tf.constant(v))],
        np.zeros(size),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-7, "maxiter": 2000},
    )
    numerical = unpack(tf.constant(found.x), num_components, event_size, covariance_type)
    assert_same_parameters(mode, numerical, rtol=1e-5, atol=1e-5)


@each_covariance_type
def test_log_density_is_scipys(covariance_type):
    """Differences of the log-density between two mixtures, as a constant is left out."""
    prior, variance = Prior(2.5, 4.0, 0.7), tf.constant([1.0, 3.0], tf.float64)

    def scipys(parameters):
        log_density = stats.dirichlet(np.full(3, 2.5)).logpdf(
            parameters.probs / np.sum(parameters.probs)
        )
        covariances = full_covariances(parameters, covariance_type)
        if covariance_type == "tied":
            covariances = covariances[:1]
        wishart = stats.invwishart(4.0, np.diag(0.7 * variance.numpy()))
        return log_density + sum(wishart.logpdf(covariance) for covariance in covariances)

    a, b = (random_parameters(3, 2, covariance_type, seed=seed) for seed in (0, 1))
    actual = [prior.log_density(p, variance, covariance_type) for p in (a, b)]
    np.testing.assert_allclose(actual[0] - actual[1], scipys(a) - scipys(b), rtol=1e-9)


@given(
    seed=st.integers(0, 1000),
    num_components=st.integers(1, 6),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    floor=st.sampled_from([0.0, 0.3]),
    prior=st.sampled_from(PRIORS),
)
def test_em_never_lowers_the_posterior(seed, num_components, covariance_type, floor, prior):
    z = blobs(60, seed=seed)
    variance = tf.constant(np.var(z, axis=0))
    parameters = random_parameters(num_components, 3, covariance_type, seed=seed)
    objectives = []
    for _ in range(8):
        statistics, _ = statistics_of(z, parameters, covariance_type)
        parameters = maximization(statistics, covariance_type, covariance_floor=floor, prior=prior)
        log_prob = expectation(component_log_joint(as_mixture(parameters, covariance_type), z))[1]
        log_prior = prior.log_density(parameters, variance, covariance_type)
        objectives.append(tf.reduce_sum(log_prob) + log_prior)
    assert np.all(np.isfinite(objectives))
    assert np.min(np.diff(objectives)) > -1e-9


@each_covariance_type
def test_total_variance_is_that_of_the_points(covariance_type):
    z = blobs()
    statistics, _ = statistics_of(z, random_parameters(3, 3, covariance_type), covariance_type)
    parameters = maximization(statistics, covariance_type)
    expected = np.var(z, axis=0)
    if covariance_type == "spherical":  # whose components know of no coordinate
        np.testing.assert_allclose(
            np.sum(total_variance(parameters, covariance_type)), expected.sum(), rtol=1e-10
        )
    else:
        np.testing.assert_allclose(
            total_variance(parameters, covariance_type), expected, rtol=1e-10
        )


@each_covariance_type
def test_a_component_without_mass_gets_the_mode_of_the_prior(covariance_type):
    z, prior = blobs(), Prior(2.0, 4.0, 0.5)
    responsibilities = tf.one_hot(tf.zeros(120, tf.int32), 2, dtype=z.dtype)
    statistics = sufficient_statistics(z, responsibilities, z[:2], covariance_type)
    parameters = maximization(statistics, covariance_type, prior=prior)
    np.testing.assert_allclose(parameters.probs, [121 / 122, 1 / 122])
    if covariance_type != "tied":
        variance = 0.5 * np.var(z, axis=0) / (4 + 3 + 1)
        if covariance_type == "spherical":
            variance = np.full(3, variance.mean())
        np.testing.assert_allclose(
            full_covariances(parameters, covariance_type)[1],
            np.diag(variance),
            rtol=1e-9,
            atol=1e-12,
        )


def test_priors_say_what_is_wrong():
    for arguments in ({"concentration": 0.5}, {"degrees_of_freedom": 0.0}, {"scale": -1.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
            Prior(**arguments)
