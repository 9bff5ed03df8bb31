"""Marginals and conditionals of mixtures against scipy, quadrature and Bayes' rule."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats
from support import full_covariances, random_parameters

from tfp_gmnvp import mixtures

TYPES = mixtures.COVARIANCE_TYPES
SIZE = 4


def joint(parameters, covariance_type, columns=slice(None)):
    """The log-density of points' columns by scipy."""
    matrices = full_covariances(parameters, covariance_type)
    parts = [
        (float(p), stats.multivariate_normal(m[columns], c[columns][:, columns]))
        for p, m, c in zip(parameters.probs, parameters.loc.numpy(), matrices, strict=True)
    ]
    return lambda z: np.log(sum(p * part.pdf(z) for p, part in parts))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_marginal_is_scipys(covariance_type):
    parameters = random_parameters(3, SIZE, covariance_type)
    z = np.random.default_rng(1).normal(size=[7, 2])
    marginal = mixtures.marginal_parameters(parameters, covariance_type, [3, 1])
    found = mixtures.as_mixture(marginal, covariance_type).log_prob(z)
    np.testing.assert_allclose(found, joint(parameters, covariance_type, [3, 1])(z), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_conditional_is_joint_less_marginal(covariance_type):
    parameters = random_parameters(3, SIZE, covariance_type)
    z = np.random.default_rng(2).normal(size=[6, SIZE])
    given = mixtures.conditional_mixture(parameters, covariance_type, [2, 0], z[:, [2, 0]])
    assert given.batch_shape == [6]
    expected = joint(parameters, covariance_type)(z)
    expected -= joint(parameters, covariance_type, [2, 0])(z[:, [2, 0]])
    np.testing.assert_allclose(given.log_prob(z[:, [1, 3]]), expected, rtol=1e-8)


def test_the_mean_of_a_conditional_is_that_by_quadrature():
    parameters = random_parameters(2, 2, "full")
    density = joint(parameters, "full")
    given = mixtures.conditional_mixture(parameters, "full", [1], [0.3])
    assert given.batch_shape == []

    def moment(power):
        return integrate.quad(lambda u: u**power * np.exp(density([u, 0.3])), -15, 15)[0]

    np.testing.assert_allclose(given.mean()[0], moment(1) / moment(0), rtol=1e-7)


def test_samples_follow_the_conditional():
    parameters = random_parameters(3, 3, "full")
    given = mixtures.conditional_mixture(parameters, "full", [1], [[0.0], [2.0]])
    z = given.sample(20_000, seed=1).numpy()
    error = z.std(axis=0) / np.sqrt(len(z))
    assert (np.abs(z.mean(axis=0) - given.mean()) < 5 * error).all()


def test_weights_are_right_where_all_densities_underflow():
    loc, covariance = [[0.0, 0.0], [0.0, 5.0]], np.stack([np.eye(2), 4.0 * np.eye(2)])
    parameters = mixtures.MixtureParameters(*map(tf.constant, ([0.5, 0.5], loc, covariance)))
    parameters = tf.nest.map_structure(lambda t: tf.cast(t, tf.float64), parameters)
    given = mixtures.conditional_mixture(parameters, "full", [0], [[1e200], [-1e3]])
    probs = given.mixture_distribution.probs_parameter().numpy()
    np.testing.assert_allclose(probs, [[0.0, 1.0], [0.0, 1.0]], atol=1e-12)
    assert np.isfinite(given.log_prob([[5.0], [5.0]])).all()


@pytest.mark.parametrize(
    ("columns", "known", "said"),
    [
        ([], [[]], "known_columns"),
        ([0, 0], [[1.0, 1.0]], "known_columns"),
        ([0, 1, 2, 3], [[1.0] * 4], "must leave a column"),
        ([4], [[1.0]], "from 0 to 3"),
        ([0], [[1.0, 2.0]], "`known` must have shape"),
    ],
)
def test_errors_name_the_argument(columns, known, said):
    with pytest.raises(ValueError, match=said):
        mixtures.conditional_mixture(random_parameters(2, SIZE, "full"), "full", columns, known)
