"""Paths are straight in the latent space, and end where they are to end."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from support import perturb, points

import tfp_gmnvp as gmnvp

tfd = tfp.distributions
tfb = tfp.bijectors


def a_flow(dtype=np.float64):
    flow = gmnvp.gaussian_mixture_flow(
        3, 2, num_couplings=3, hidden_units=(6,), dtype=dtype, seed=0
    )
    return perturb(flow)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (4,), (2, 4)])
def test_straight_in_the_latents(shape, dtype):
    flow = a_flow(dtype)
    a, b = points(*shape, 3, seed=1, dtype=dtype), points(*shape, 3, seed=2, dtype=dtype)
    path = gmnvp.interpolate(flow, a, b, 5)
    assert path.dtype == dtype
    assert path.shape == (5, *shape, 3)
    atol = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(path[0], a, atol=atol)
    np.testing.assert_allclose(path[-1], b, atol=atol)
    z = flow.bijector.inverse(tf.identity(path)).numpy()
    np.testing.assert_allclose(np.diff(z, axis=0), [(z[-1] - z[0]) / 4] * 4, atol=10 * atol)
    straight = np.linspace(a, b, 5)
    assert np.abs(path - straight).max() > 0.05  # though not in the data


def test_broadcasts_and_traces_with_unknown_batch_sizes():
    flow = a_flow()
    a, b = points(3, seed=1), points(4, 3, seed=2)
    path = gmnvp.interpolate(flow, a, b, 7)
    for j in range(4):
        np.testing.assert_allclose(path[:, j], gmnvp.interpolate(flow, a, b[j], 7))
    signature = [tf.TensorSpec([None, 3], tf.float64)] * 2
    traced = tf.function(lambda a, b: gmnvp.interpolate(flow, a, b, 7), input_signature=signature)
    np.testing.assert_allclose(traced(a[tf.newaxis], b), path)


def test_geometric_mean_under_exp():
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(np.zeros(2)), tfb.Exp())
    path = gmnvp.interpolate(flow, [1.0, 9.0], [4.0, 1.0], 3)
    np.testing.assert_allclose(path, [[1.0, 9.0], [2.0, 3.0], [4.0, 1.0]])


def test_within_a_component_the_latents_stay_as_likely_as_the_less_likely_end():
    flow = a_flow()
    x = gmnvp.sample_component(flow, 1, 40, seed=0)
    path = gmnvp.interpolate(flow, x[:20], x[20:], 9)
    components = flow.distribution.components_distribution
    log_prob = components.log_prob(flow.bijector.inverse(path)[..., tf.newaxis, :])[..., 1].numpy()
    assert np.all(log_prob.min(axis=0) >= np.minimum(log_prob[0], log_prob[-1]) - 1e-9)


def test_errors():
    flow = a_flow()
    a = np.zeros(3)
    for num in (1, 2.5, "3"):
        with pytest.raises(ValueError, match="`num` must be a whole number >= 2"):
            gmnvp.interpolate(flow, a, a, num)
    with pytest.raises(ValueError, match=r"`b` must have shape \[..., 3\], got \(4, 2\)"):
        gmnvp.interpolate(flow, a, np.zeros([4, 2]), 3)
    with pytest.raises(ValueError, match=r"`a` must have shape \[..., 3\], got \(\)"):
        gmnvp.interpolate(flow, 1.0, a, 3)
