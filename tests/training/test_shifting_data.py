"""No component dies while the data moves during training."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.training.mixture_updates.departure import departure, share_beyond_noise

STDDEV = 0.4


def clusters(radius):
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def draw(rng, centers, number=900):
    noise = STDDEV * rng.normal(size=[number, 2])
    return (centers[rng.integers(3, size=number)] + noise).astype(np.float32)


def trained(update, learning_rate, radius, num_moves=20):
    """Trains on data that moves by three standard deviations each epoch, and then stays."""
    rng, centers = np.random.default_rng(0), clusters(radius)
    flow = gmnvp.gaussian_mixture_flow(
        2, 3, num_couplings=4, hidden_units=(32, 32), standardize=draw(rng, centers), seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, mixture_update=update, jit_compile=False)
    for _ in range(num_moves):
        centers += [3 * STDDEV, 0.0]
        model.fit(draw(rng, centers), batch_size=100, verbose=0)
    model.fit(draw(rng, centers), batch_size=100, epochs=2, verbose=0)
    loss = -tf.reduce_mean(flow.log_prob(draw(rng, centers, 2000)))
    return float(loss), float(tf.reduce_min(mixtures.mixture_parameters(flow.distribution).probs))


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize(
    "learning_rate, radius, highest", [(0.0, 3.0, 2.3), (1e-3, 3.0, 2.7), (0.0, 2.0, 3.0)]
)
def test_every_component_keeps_a_tenth_of_its_share(learning_rate, radius, highest):
    loss, weight = trained(gmnvp.StepwiseEM(), learning_rate, radius)
    assert weight > 0.1 / 3
    assert loss < highest  # the entropy is 2.1


@pytest.mark.slow
@pytest.mark.one_keras
def test_without_larger_step_sizes_components_die():
    loss, _ = trained(gmnvp.StepwiseEM(largest_step_size=0.0), 0.0, 3.0)
    assert loss > 3.0


def parameters(covariance_type):
    covariance = {
        "full": np.stack([np.diag([1.0, 4.0]), [[2.0, 1.0], [1.0, 1.0]]]),
        "tied": np.array([[2.0, 1.0], [1.0, 1.0]]),
        "diag": np.array([[1.0, 4.0], [2.0, 1.0]]),
        "spherical": np.array([1.0, 9.0]),
        "low_rank": np.array([[[1.0, 0.5], [2.0, -1.0]], [[0.3, 2.0], [0.1, 0.2]]]),
    }[covariance_type]
    loc = np.array([[0.0, 0.0], [10.0, 5.0]])
    return mixtures.MixtureParameters(
        *(tf.constant(p, tf.float64) for p in ([0.3, 0.7], loc, covariance))
    )


def part(mixture, current, z, sample_weight=None):
    covariance_type = mixture.components_distribution.covariance_type
    responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, z))
    reference = mixtures.mixture_structure(mixture).reference(current.loc, current.covariance)
    statistics = em.sufficient_statistics(
        z, responsibilities, reference, covariance_type, sample_weight=sample_weight
    )
    return float(share_beyond_noise(departure(mixture, statistics, sample_weight)))


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "low_rank"])
def test_share_beyond_noise_is_zero_for_noise_and_near_one_for_a_shift(covariance_type):
    current = parameters(covariance_type)
    mixture = mixtures.as_mixture(current, covariance_type)
    drawn = [mixture.sample(200, seed=[0, i]) for i in range(40)]
    by_chance = [part(mixture, current, z) for z in drawn]
    assert np.mean(np.array(by_chance) > 0) <= 0.1
    shift = tf.constant([2.0, 2.0], tf.float64)
    assert min(part(mixture, current, z + shift) for z in drawn) > 0.5
    weight = tf.constant(np.random.default_rng(0).uniform(size=200))
    scaled = [part(mixture, current, drawn[0] + shift, a * weight) for a in (1e-3, 1.0, 1e3)]
    np.testing.assert_allclose(scaled, scaled[0], rtol=1e-6)
