"""Columns in very small or very large units: the density is that of other units, rescaled."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.bijectors.images import normalization

X = np.random.default_rng(0).normal(size=[200, 2]) @ [[1.0, 0.5], [0.0, 1.0]]


def flow_of(x, **arguments):
    arguments = {"num_couplings": 2, "hidden_units": (8,), "seed": 0, **arguments}
    return gmnvp.gaussian_mixture_flow(2, 2, **arguments, standardize=x)


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_standardisation_has_no_unit_of_its_own(scale, offset):
    units = np.array([scale, 1.0])
    x = (X + offset) * units
    flow, other = flow_of(x), flow_of(X + offset)
    np.testing.assert_allclose(
        flow.log_prob(x) + np.log(scale), other.log_prob(X + offset), rtol=1e-4, atol=1e-3
    )
    samples = flow.sample(50, seed=[0, 1]).numpy() / units
    np.testing.assert_allclose(samples, other.sample(50, seed=[0, 1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-20, -1e20])
def test_a_constant_column_keeps_its_scale(value):
    bijector = gmnvp.standardization(np.full([50, 1], value))
    assert bijector.std.numpy() == 1.0
    np.testing.assert_allclose(bijector.mean.numpy(), [value], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e8])
def test_act_norm_has_no_unit_of_its_own(scale):
    x = tf.constant(X * scale, tf.float32)
    norm = gmnvp.ActNorm(2)
    norm.initialize(x)
    np.testing.assert_allclose(np.std(norm.inverse(x), axis=0), 1.0, rtol=1e-4)
    images = tf.reshape(x, [50, 2, 2, 2])
    of_channels = normalization.ChannelActNorm([2, 2, 2])
    latents = of_channels.initialize(images).numpy()
    np.testing.assert_allclose(latents.std(axis=(0, 1, 2)), 1.0, rtol=1e-4)


def test_act_norm_of_a_constant_column_keeps_its_scale():
    norm = gmnvp.ActNorm(2)
    norm.initialize(tf.constant([[1e3, 0.0]] * 7))
    np.testing.assert_array_equal(norm.log_scale, [0.0, 0.0])
