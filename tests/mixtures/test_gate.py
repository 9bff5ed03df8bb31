"""The gating network: its mixture against TFP's, its gradient against the expected log-weights."""

import numpy as np
import pytest
import tensorflow as tf
from support import full_covariances, perturb, points, random_parameters
from tensorflow_probability import distributions as tfd

from tfp_gmnvp import mixtures
from tfp_gmnvp.bijectors import MLP


def make_mixture(covariance_type="full", dtype=np.float64):
    gate = perturb(MLP(2, 3, hidden_units=(5,), dtype=dtype, seed=0), scale=1.0)
    mixture = mixtures.gated_mixture(gate, 3, 2, covariance_type, dtype=dtype)
    parameters = random_parameters(3, 2, covariance_type, dtype=dtype)
    mixtures.assign_initial_parameters(mixture, parameters)
    return mixture, parameters


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_at_a_context_it_is_tfps_mixture(covariance_type, dtype):
    mixture, parameters = make_mixture(covariance_type, dtype)
    z, context = points(4, 2, dtype=dtype), points(4, 2, seed=1, dtype=dtype)
    logits = mixture.gate(context) + tf.math.log(parameters.probs)
    scale_tril = np.linalg.cholesky(full_covariances(parameters, covariance_type))
    oracle = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits),
        tfd.MultivariateNormalTriL(
            parameters.loc, np.broadcast_to(scale_tril, [4, 3, 2, 2]).astype(dtype)
        ),
    )
    bound = mixture.at(context)
    assert bound.batch_shape == [4]
    tolerance = {"rtol": 2e-4 if dtype == np.float32 else 1e-9}
    np.testing.assert_allclose(bound.log_prob(z), oracle.log_prob(z), **tolerance)
    np.testing.assert_allclose(
        mixture.log_prob(z, context=context), oracle.log_prob(z), **tolerance
    )
    np.testing.assert_allclose(bound.mean(), oracle.mean(), **tolerance)
    samples = bound.sample(20_000, seed=[0, 1])
    error = 5 * oracle.stddev() / np.sqrt(20_000)
    assert np.all(np.abs(tf.reduce_mean(samples, 0) - oracle.mean()) < error)


def test_the_gradient_is_that_of_the_expected_log_weights():
    """Jordan and Jacobs' gradient step on the gate is one up the likelihood."""
    mixture, _ = make_mixture()
    z, context = points(6, 2), points(6, 2, seed=1)
    variables = mixtures.gate_variables(mixture)
    assert [v.name for v in variables] == [v.name for v in mixture.gate.variables]
    with tf.GradientTape() as tape:
        log_prob = tf.reduce_sum(mixture.log_prob(z, context=context))
    expected = tape.gradient(log_prob, variables)
    log_joint = mixtures.component_log_joint(mixture.at(context), z)
    responsibilities = tf.nn.softmax(log_joint).numpy()
    with tf.GradientTape() as tape:
        logits = mixture.at(context).mixture_distribution.logits_parameter()
        objective = tf.reduce_sum(responsibilities * tf.nn.log_softmax(logits))
    for gradient, other in zip(tape.gradient(objective, variables), expected, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-12)


def test_em_leaves_the_gate_alone_and_keeps_the_average_weights():
    mixture, parameters = make_mixture()
    before = mixture.at([0.3, 0.1]).mixture_distribution.logits_parameter().numpy()
    changed = parameters._replace(probs=tf.constant([0.7, 0.2, 0.1], tf.float64))
    mixtures.assign_parameters(mixture, changed)
    after = mixture.at([0.3, 0.1]).mixture_distribution.logits_parameter()
    np.testing.assert_array_equal(after, before)
    np.testing.assert_allclose(mixtures.mixture_parameters(mixture).probs, [0.7, 0.2, 0.1])


def test_without_a_context_there_is_no_density():
    mixture, _ = make_mixture()
    for call in (lambda: mixture.log_prob(points(4, 2)), lambda: mixture.sample(3)):
        with pytest.raises(ValueError, match="weights of this mixture depend on a `context`"):
            call()
