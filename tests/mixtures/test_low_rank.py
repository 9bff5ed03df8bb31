"""Mixtures of factor analysers against dense covariances and scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import FactorAnalysis
from support import (
    assert_samples_agree_with_log_prob,
    full_covariances,
    mixture_with,
    points,
    random_parameters,
    tfp_mixture,
)

import tfp_gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.mixtures import factor_analysis

TYPE = "low_rank"
Parameters = mixtures.MixtureParameters


def factor_data(num_points=400, event_size=6, rank=2, seed=0):
    """Points of a factor analyser."""
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal([event_size, rank])
    noise = rng.uniform(0.2, 1.0, event_size) * rng.standard_normal([num_points, event_size])
    x = 3.0 + rng.standard_normal([num_points, rank]) @ loadings.T + noise
    return tf.constant(x)


def statistics_of(z, parameters, sample_weight=None):
    log_joint = mixtures.component_log_joint(mixtures.as_mixture(parameters, TYPE), z)
    responsibilities, log_prob = em.expectation(log_joint)
    reference = mixtures.covariance_structure(TYPE).reference(*parameters[1:])
    statistics = em.sufficient_statistics(
        z, responsibilities, reference, TYPE, sample_weight=sample_weight
    )
    return statistics, tf.reduce_mean(log_prob)


def em_step(z, parameters, floor=0.0):
    statistics, log_likelihood = statistics_of(z, parameters)
    return em.maximization(statistics, TYPE, covariance_floor=floor), log_likelihood


@pytest.mark.slow
@given(num_components=st.integers(1, 4), event_size=st.integers(2, 6), seed=st.integers(0, 99))
def test_density_and_moments_are_those_of_dense_covariances(num_components, event_size, seed):
    parameters = random_parameters(num_components, event_size, TYPE, seed=seed)
    oracle = tfp_mixture(parameters, TYPE)
    mixture = mixture_with(parameters, TYPE)
    for batch in ((), (5,), (2, 3)):
        z = points(*batch, event_size, seed=seed)
        np.testing.assert_allclose(mixture.log_prob(z), oracle.log_prob(z), rtol=1e-10)
    components, dense = mixture.components_distribution, oracle.components_distribution
    inverse_scale = np.linalg.inv(np.linalg.cholesky(components.covariance()))
    np.testing.assert_allclose(components.inverse_scale(), inverse_scale, rtol=1e-8, atol=1e-10)
    for name in ("mean", "covariance", "variance", "stddev", "entropy"):
        actual, desired = getattr(components, name)(), getattr(dense, name)()
        np.testing.assert_allclose(actual, desired, rtol=1e-10, atol=1e-12, err_msg=name)


def test_float32_is_accurate_far_from_the_origin_and_with_strong_loadings():
    parameters = random_parameters(3, 5, TYPE)
    far = parameters._replace(
        loc=parameters.loc + 1000.0, covariance=parameters.covariance * [1.0, 100.0, 100.0]
    )
    z = points(50, 5) + 1000.0
    actual = mixture_with(far, TYPE, dtype=tf.float32).log_prob(tf.cast(z, tf.float32))
    np.testing.assert_allclose(actual, tfp_mixture(far, TYPE).log_prob(z), rtol=1e-3, atol=0.02)


def test_samples_agree_with_the_density():
    parameters = random_parameters(3, 2, TYPE, dtype=np.float32)
    mixture = mixture_with(parameters, TYPE)
    assert_samples_agree_with_log_prob(mixture, radius=2.0, center=parameters.loc[0], rtol=0.03)
    components = mixture.components_distribution.sample(100_000, seed=[0, 1]).numpy()
    for k, covariance in enumerate(full_covariances(parameters, TYPE)):
        np.testing.assert_allclose(np.cov(components[:, k].T), covariance, rtol=0.03, atol=0.03)


def test_every_variable_has_a_gradient_and_no_matrix_is_of_the_event_s_size():
    size = 300
    mixture = mixtures.gaussian_mixture(2, size, TYPE, rank=3, seed=0)
    log_prob = tf.function(lambda z: mixture.log_prob(z))
    graph = log_prob.get_concrete_function(tf.TensorSpec([None, size])).graph
    shapes = [tensor.shape for op in graph.get_operations() for tensor in op.outputs]
    assert not any(shape.rank and list(shape).count(size) > 1 for shape in shapes)
    z = points(20, size, dtype=np.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(mixture.log_prob(z))
    assert len(mixture.trainable_variables) == 4
    for gradient in tape.gradient(value, mixture.trainable_variables):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_parameters_come_back_as_assigned():
    parameters = random_parameters(3, 4, TYPE)
    actual = mixtures.mixture_parameters(mixture_with(parameters, TYPE))
    for value, desired in zip(actual, parameters, strict=True):
        np.testing.assert_allclose(value, desired, rtol=1e-12)
    mixture = mixtures.gaussian_mixture(3, 4, TYPE, rank=1, dtype=tf.float64)
    with pytest.raises(ValueError, match=r"`covariance` must have shape \[3, 4, 2\]"):
        mixtures.assign_parameters(mixture, parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariance_type": "low_rank"}, "`rank` must be a whole number"),
        ({"covariance_type": "low_rank", "rank": 0}, "`rank` must be a whole number"),
        ({"covariance_type": "diag", "rank": 2}, "`rank` requires"),
        ({"covariance_type": "lowrank"}, "Did you mean 'low_rank'"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        mixtures.gaussian_mixture(2, 3, **arguments)


@given(
    seed=st.integers(0, 1000),
    num_components=st.integers(1, 4),
    floor=st.sampled_from([0.0, 1e-4, 0.3]),
)
def test_em_never_lowers_the_likelihood(seed, num_components, floor):
    z = tf.concat([factor_data(60, 4, seed=seed), points(40, 4, seed=seed)], axis=0)
    start = random_parameters(num_components, 4, TYPE, seed=seed)
    parameters, _ = em_step(z, start, floor)
    log_likelihoods = []
    for _ in range(10):
        parameters, log_likelihood = em_step(z, parameters, floor)
        log_likelihoods.append(log_likelihood)
    assert np.min(np.diff(log_likelihoods)) > -1e-12
    assert log_likelihoods[-1] > log_likelihoods[0] + 1e-6


@given(seed=st.integers(0, 1000), num_components=st.integers(1, 4))
def test_em_under_a_prior_never_lowers_the_posterior(seed, num_components):
    z = factor_data(60, 4, seed=seed)
    prior = mixtures.Prior(concentration=2.0, scale=3.0)
    variance = tf.math.reduce_variance(z, axis=0)
    parameters = random_parameters(num_components, 4, TYPE, seed=seed)
    objective = []
    for _ in range(10):
        statistics, log_likelihood = statistics_of(z, parameters)
        log_prior = prior.log_density(parameters, variance, TYPE)
        objective.append(log_likelihood * len(z) + log_prior)
        np.testing.assert_allclose(em.points_variance(statistics, TYPE), variance, rtol=1e-9)
        parameters = em.maximization(statistics, TYPE, prior=prior)
    assert np.min(np.diff(objective)) > -1e-10


def test_a_sample_of_each_component_is_drawn_with_its_own_loadings():
    mixture = mixture_with(random_parameters(3, 4, TYPE), TYPE)
    components = mixture.components_distribution
    component = tf.constant([2, 0, 1, 2])
    noise = points(4, 4 + components.rank)
    of_all = components._scale_matvec(tf.repeat(noise[:, tf.newaxis], 3, axis=1))
    desired = tf.gather(of_all, component, batch_dims=1)
    np.testing.assert_allclose(components._scale_matvec_at(component, noise), desired, rtol=1e-12)
    assert components.sample_at(component, [0, 1]).shape == (4, 4)


@pytest.mark.slow
def test_one_component_is_factor_analysis():
    """At convergence, from a random start: scikit-learn's likelihood and covariance."""
    z = 1000.0 * factor_data()
    oracle = FactorAnalysis(2, tol=1e-10, max_iter=5000, svd_method="lapack").fit(z)
    step = tf.function(lambda *p: em.maximization(statistics_of(z, Parameters(*p))[0], TYPE))
    parameters = em.initial_parameters(z, 1, TYPE, rank=2, seed=0, covariance_floor=0.0)
    for _ in range(300):
        parameters = step(*parameters)
    _, log_likelihood = em_step(z, parameters)
    np.testing.assert_allclose(log_likelihood, oracle.score(z), rtol=1e-6)
    (covariance,) = full_covariances(parameters, TYPE)
    tolerance = 1e-3 * np.abs(oracle.get_covariance()).max()
    np.testing.assert_allclose(covariance, oracle.get_covariance(), atol=tolerance)


def test_statistics_of_batches_add_up_and_stay_at_the_parameters_they_describe():
    z, weight = points(30, 5), tf.abs(points(30, seed=1))
    parameters = random_parameters(3, 5, TYPE)
    whole, _ = statistics_of(z, parameters, weight)
    parts = [statistics_of(z[s], parameters, weight[s])[0] for s in (slice(0, 11), slice(11, 30))]
    for actual, desired in zip(em.add(*parts), whole, strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-10, atol=1e-12)
    again = em.maximization(em.as_statistics(parameters, TYPE), TYPE)
    for actual, desired in zip(again, parameters, strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-10, atol=1e-12)


def test_m_step_is_the_dense_one():
    """Against the formulas with the points' covariance S_k written out."""
    z, parameters = factor_data(50, 5), random_parameters(1, 5, TYPE)
    actual, _ = em_step(z, parameters)
    S = np.cov(z.numpy().T, bias=True)
    W, sigma = parameters.covariance.numpy()[0, :, 1:], full_covariances(parameters, TYPE)[0]
    B = W.T @ np.linalg.inv(sigma)
    W_new = S @ B.T @ np.linalg.inv(np.eye(2) - B @ W + B @ S @ B.T)
    np.testing.assert_allclose(actual.covariance[0, :, 1:], W_new, rtol=1e-9)
    np.testing.assert_allclose(actual.covariance[0, :, 0], np.diag(S - W_new @ B @ S), rtol=1e-9)
    np.testing.assert_allclose(factor_analysis.posterior_map(parameters.covariance)[0], B)


def test_a_collapsed_component_gets_the_covariance_of_the_heaviest():
    parameters = random_parameters(3, 4, TYPE)
    probs = tf.constant([0.4, 0.0, 0.6], tf.float64)
    mended = em.repair(parameters._replace(probs=probs), points(1, 4), TYPE)
    np.testing.assert_array_equal(mended.covariance[1], parameters.covariance[2])
    np.testing.assert_array_equal(mended.covariance[0], parameters.covariance[0])


@pytest.mark.slow
@pytest.mark.parametrize("update", [tfp_gmnvp.FullBatchEM(), tfp_gmnvp.StepwiseEM(step_size=0.2)])
def test_a_flow_learns_its_loadings(update):
    x = factor_data(600).numpy().astype(np.float32)
    flow = tfp_gmnvp.gaussian_mixture_flow(
        6, 1, num_couplings=2, hidden_units=(4,), covariance_type=TYPE, rank=2, seed=0
    )
    model = tfp_gmnvp.FlowModel(flow, initialize=False)
    model.compile(tf.keras.optimizers.SGD(0.0), mixture_update=update, jit_compile=False)
    history = model.fit(x, epochs=25, batch_size=200, verbose=0).history["loss"]
    oracle = FactorAnalysis(2, tol=1e-6).fit(x)
    assert history[0] > history[-1] + 1.0
    np.testing.assert_allclose(history[-1], -oracle.score(x), atol=0.05)
    assert "low_rank" in str(tfp_gmnvp.flows.configuration.flow_config(flow))
