"""Theorems about EM: it never lowers the likelihood, and Fisher's identity holds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import COVARIANCE_TYPES, mixture_with, perturb, random_parameters
from tensorflow_probability import distributions as tfd
from test_em import blobs, em_step

from tfp_gmnvp.bijectors import real_nvp
from tfp_gmnvp.em import expectation
from tfp_gmnvp.mixtures import component_log_joint

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


@pytest.mark.slow
@given(
    seed=st.integers(0, 1000),
    num_components=st.integers(1, 5),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    floor=st.sampled_from([0.0, 1e-4, 0.3]),
)
def test_full_batch_em_never_lowers_the_likelihood(seed, num_components, covariance_type, floor):
    """On latents of a frozen flow, from a first mixture that keeps to the floor."""
    bijector = perturb(real_nvp(3, 2, (4,), dtype=tf.float64, seed=seed), seed=seed)
    z = bijector.inverse(blobs(seed=seed))
    start = random_parameters(num_components, 3, covariance_type, seed=seed)
    parameters, _ = em_step(z, start, covariance_type, floor)
    log_likelihoods = []
    for _ in range(8):
        parameters, log_likelihood = em_step(z, parameters, covariance_type, floor)
        log_likelihoods.append(log_likelihood)
    assert np.all(np.isfinite(log_likelihoods))
    assert np.min(np.diff(log_likelihoods)) > -1e-12
    if num_components > 1:
        assert log_likelihoods[-1] > log_likelihoods[0] + 1e-6


@each_covariance_type
def test_fishers_identity(covariance_type):
    """With fresh responsibilities both gradients with respect to theta are the same."""
    bijector = perturb(real_nvp(3, 3, (5,), activation="tanh", dtype=tf.float64, seed=0), scale=0.5)
    mixture = mixture_with(random_parameters(3, 3, covariance_type), covariance_type)
    flow = tfd.TransformedDistribution(mixture, bijector)
    x = blobs()
    responsibilities, _ = expectation(component_log_joint(mixture, bijector.inverse(x)))
    variables = bijector.trainable_variables
    with tf.GradientTape() as tape:
        log_likelihood = tf.reduce_mean(flow.log_prob(x))
    desired = tape.gradient(log_likelihood, variables)
    with tf.GradientTape() as tape:
        joint = component_log_joint(mixture, bijector.inverse(x))
        log_det = bijector.inverse_log_det_jacobian(x)
        complete = tf.reduce_sum(responsibilities * joint, axis=-1) + log_det
        complete = tf.reduce_mean(complete)
    actual = tape.gradient(complete, variables)
    for a, b in zip(actual, desired, strict=True):
        assert np.abs(b).max() > 1e-6
        np.testing.assert_allclose(a, b, atol=1e-10)
