"""A plain `TransformedDistribution` over a single-pass bijector."""

import numpy as np
import pytest
import tensorflow as tf
from support import points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from test_single_pass import Scaling


def scaled_normal(bijector):
    zeros = np.zeros(3)
    return tfd.TransformedDistribution(tfd.MultivariateNormalDiag(zeros), bijector)


def scaled_normal_log_prob(factor, x):
    return tfd.MultivariateNormalDiag(np.zeros(3), factor * np.ones(3)).log_prob(x).numpy()


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: tfb.Invert(tfb.Invert(b))])
def test_a_transformed_distribution_is_never_stale(wrap):
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(wrap(bijector))
    for factor in (2.0, 5.0, 0.5):
        bijector.factor.assign(factor)
        np.testing.assert_allclose(distribution.log_prob(x), scaled_normal_log_prob(factor, x))
        np.testing.assert_allclose(distribution.bijector.inverse(x), x / factor)
        np.testing.assert_allclose(distribution.bijector.forward(x), x * factor)


def test_a_transformed_distribution_is_never_stale_within_one_function():
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(bijector)

    @tf.function
    def update(x):
        before = distribution.log_prob(x)
        bijector.factor.assign(5.0)
        return before, distribution.log_prob(x), bijector.inverse(x)

    before, after, z = update(x)
    np.testing.assert_allclose(before, scaled_normal_log_prob(2.0, x))
    np.testing.assert_allclose(after, scaled_normal_log_prob(5.0, x))
    np.testing.assert_allclose(z, x / 5.0)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_after_an_update_are_those_of_a_fresh_tensor(compiled):
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(bijector)

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_sum(distribution.log_prob(x))
        return tape.gradient(loss, bijector.factor)

    gradient = tf.function(gradient) if compiled else gradient
    for factor in (2.0, 0.7):
        bijector.factor.assign(factor)
        closed_form = 3 * 4 / factor - np.sum(x.numpy() ** 2) / factor**3
        np.testing.assert_allclose(gradient(x), closed_form)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda distribution: distribution.log_prob(points(4, 3)),
        lambda distribution: distribution.sample(4, seed=[0, 1]),
        lambda distribution: distribution.experimental_sample_and_log_prob(4, seed=[0, 1]),
    ],
    ids=["log_prob", "sample", "sample_and_log_prob"],
)
def test_a_distribution_evaluates_its_bijector_once(use, compiled):
    bijector = Scaling()
    distribution = scaled_normal(bijector)
    call = tf.function(lambda: use(distribution)) if compiled else lambda: use(distribution)
    call()
    assert bijector.evaluations == 1


def test_sample_and_log_prob_agree():
    distribution = scaled_normal(Scaling(5.0))
    x, log_prob = distribution.experimental_sample_and_log_prob(6, seed=[0, 1])
    np.testing.assert_allclose(log_prob, scaled_normal_log_prob(5.0, x))
