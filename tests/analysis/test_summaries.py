"""Entropy and divergence against closed forms of Gaussians and affine flows."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_gmnvp
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, entropy, kl_divergence

tfd = tfp.distributions
tfb = tfp.bijectors


def affine_flow(dtype=np.float64):
    """A Gaussian under an affine map, and the Gaussian that it is."""
    base = tfp_gmnvp.gaussian_mixture(1, 3, "full", reparameterize=True, dtype=dtype)
    base.components_distribution.loc.assign([[0.5, -1.0, 2.0]])
    shift = np.array([1.0, 2.0, 3.0], dtype)
    scale_tril = np.array([[1.5, 0.0, 0.0], [0.3, 0.7, 0.0], [-0.4, 0.2, 2.0]], dtype)
    bijector = tfb.Chain([tfb.Shift(shift), tfb.ScaleMatvecTriL(scale_tril)])
    loc = shift + scale_tril @ base.components_distribution.loc[0].numpy()
    return tfd.TransformedDistribution(base, bijector), tfd.MultivariateNormalTriL(loc, scale_tril)


def assert_within(result, expected, num_errors=4):
    assert isinstance(result, MonteCarloEstimate)
    assert result.estimate.shape == result.standard_error.shape == ()
    assert abs(result.estimate - expected) < num_errors * result.standard_error


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entropy_of_an_affine_flow(dtype):
    flow, gaussian = affine_flow(dtype)
    result = entropy(flow, num_samples=20_000, seed=0)
    assert result.estimate.dtype == dtype
    assert_within(result, gaussian.entropy())
    # Var[-log q] = D / 2 for a Gaussian.
    np.testing.assert_allclose(result.standard_error, np.sqrt(1.5 / 20_000), rtol=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_divergence_of_an_affine_flow_from_a_gaussian(dtype):
    flow, gaussian = affine_flow(dtype)
    other = tfd.MultivariateNormalDiag(
        np.array([1.0, 1.0, 6.0], dtype), np.array([2.0, 1.0, 3.0], dtype)
    )
    result = kl_divergence(flow, other, num_samples=20_000, seed=1)
    assert_within(result, gaussian.kl_divergence(other))
    assert result.standard_error < 0.05


def test_divergence_from_itself_is_zero():
    flow, gaussian = affine_flow()
    np.testing.assert_allclose(kl_divergence(flow, flow, num_samples=10, seed=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        kl_divergence(flow, gaussian, num_samples=10, seed=0), 0.0, atol=1e-12
    )


def test_divergence_from_an_unnormalised_density():
    flow, gaussian = affine_flow()
    result = kl_divergence(flow, lambda x: gaussian.log_prob(x) + 3.0, num_samples=10, seed=0)
    assert float(result.estimate) == pytest.approx(-3.0)


@pytest.mark.slow
def test_standard_error_is_the_spread_of_repeated_estimates():
    mixture = tfp_gmnvp.gaussian_mixture(3, 2, seed=0)
    estimate = tf.function(lambda seed: entropy(mixture, num_samples=500, seed=seed))
    results = [estimate(tf.constant([0, i])) for i in range(200)]
    spread = np.std([r.estimate for r in results], ddof=1)
    np.testing.assert_allclose(np.mean([r.standard_error for r in results]), spread, rtol=0.2)


def test_the_same_seed_gives_the_same_estimate():
    flow, _ = affine_flow()
    first, second, third = (entropy(flow, num_samples=100, seed=s) for s in (5, 5, 6))
    assert first.estimate == second.estimate
    assert first.estimate != third.estimate


@pytest.mark.slow
def test_gradient_of_the_divergence_is_that_of_the_closed_form():
    """With respect to mean and scale of the base; within 4 errors of 30 groups of samples."""
    flow, _ = affine_flow()
    components = flow.distribution.components_distribution
    bijector = flow.bijector
    other = tfd.MultivariateNormalDiag(np.array([1.0, 1.0, 6.0]), np.array([2.0, 1.0, 3.0]))
    variables = components.trainable_variables

    @tf.function
    def monte_carlo(seed):
        with tf.GradientTape() as tape:
            estimate = kl_divergence(flow, other, num_samples=300, seed=seed).estimate
        return tape.gradient(estimate, variables)

    with tf.GradientTape() as tape:
        affine = bijector.bijectors[1].scale.to_dense()
        loc = bijector.bijectors[0].shift + tf.linalg.matvec(affine, components.loc[0])
        scale_tril = affine @ tf.convert_to_tensor(components.scale_tril)[0]
        exact = tfd.MultivariateNormalTriL(loc, scale_tril).kl_divergence(other)
    expected = tape.gradient(exact, variables)
    groups = [monte_carlo(tf.constant([7, i])) for i in range(30)]
    for values, gradient in zip(zip(*groups, strict=True), expected, strict=True):
        error = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
        difference = np.abs(np.mean(values, axis=0) - gradient)
        np.testing.assert_array_less(difference, 4 * error + 1e-9)


@pytest.mark.parametrize("num_samples", [1, 0, -3, 2.5, None])
def test_num_samples_out_of_range(num_samples):
    flow, _ = affine_flow()
    with pytest.raises(ValueError, match="`num_samples` must be a whole number >= 2"):
        entropy(flow, num_samples=num_samples)


def test_other_without_log_prob():
    flow, _ = affine_flow()
    with pytest.raises(TypeError, match="`other` must be a distribution or a callable"):
        kl_divergence(flow, "gaussian")


def test_other_with_other_events():
    flow, _ = affine_flow()
    with pytest.raises(ValueError, match="log-density of `other` must be one number"):
        kl_divergence(flow, tfd.Normal(np.float64(0.0), np.float64(1.0)), num_samples=10)


def test_a_batch_of_distributions():
    with pytest.raises(ValueError, match=r"`flow` must have batch shape \[\]"):
        entropy(tfd.Normal([0.0, 1.0], 1.0), num_samples=10)
