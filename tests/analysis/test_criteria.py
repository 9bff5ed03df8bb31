"""Parameter counts and criteria against scikit-learn's mixtures, under bijectors that are known."""

import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy import stats
from sklearn.mixture import GaussianMixture
from support import COVARIANCE_TYPES, perturb, random_parameters, tfp_mixture

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

tfd = tfp.distributions
tfb = tfp.bijectors


def sklearn_mixture(x, num_components, covariance_type):
    oracle = GaussianMixture(num_components, covariance_type=covariance_type, random_state=0)
    return oracle.fit(x)


def flow_of(oracle, bijector, dtype=np.float64):
    """The flow that has the mixture of scikit-learn's."""
    num_components, event_size = oracle.means_.shape
    mixture = mixtures.gaussian_mixture(
        num_components, event_size, oracle.covariance_type, dtype=dtype
    )
    parameters = mixtures.MixtureParameters(oracle.weights_, oracle.means_, oracle.covariances_)
    mixtures.assign_parameters(mixture, parameters)
    return tfd.TransformedDistribution(mixture, bijector)


def sklearn_icl(oracle, x):
    return oracle.bic(x) - 2 * np.log(oracle.predict_proba(x).max(axis=1)).sum()


@pytest.fixture(name="x", scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=[300, 3]) + 2 * rng.integers(2, size=[300, 1])


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("num_components", [1, 3])
def test_identity_bijector_is_scikit_learn(x, num_components, covariance_type):
    oracle = sklearn_mixture(x, num_components, covariance_type)
    flow = flow_of(oracle, tfb.Identity())
    assert gmnvp.num_parameters(flow) == oracle._n_parameters()
    np.testing.assert_allclose(gmnvp.bic(flow, x), oracle.bic(x), rtol=1e-9)
    np.testing.assert_allclose(gmnvp.aic(flow, x), oracle.aic(x), rtol=1e-9)
    np.testing.assert_allclose(gmnvp.icl(flow, x), sklearn_icl(oracle, x), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_untrained_couplings_add_the_number_of_their_parameters_and_nothing_else(x, dtype):
    differences = []
    for num_components in (1, 2, 4):
        oracle = sklearn_mixture(x, num_components, "full")
        bijector = gmnvp.real_nvp(3, 2, (5,), dtype=dtype, seed=0)  # the identity
        flow = flow_of(oracle, bijector, dtype)
        more = sum(v.shape.num_elements() for v in bijector.trainable_variables)
        assert more > 20
        assert gmnvp.num_parameters(flow) == oracle._n_parameters() + more
        rtol = 1e-9 if dtype == np.float64 else 1e-5
        bic = oracle.bic(x) + more * np.log(len(x))
        np.testing.assert_allclose(gmnvp.bic(flow, x), bic, rtol=rtol)
        np.testing.assert_allclose(gmnvp.aic(flow, x), oracle.aic(x) + 2 * more, rtol=rtol)
        differences.append(gmnvp.bic(flow, x) - oracle.bic(x))
    np.testing.assert_allclose(differences, differences[0], rtol=1e-4)


def test_standardisation_is_no_parameter_and_the_data_keep_their_units(x):
    scaled = 100 * x + 7
    with_it = gmnvp.gaussian_mixture_flow(3, 2, standardize=scaled, seed=0)
    without = gmnvp.gaussian_mixture_flow(3, 2, seed=0)
    assert gmnvp.num_parameters(with_it) == gmnvp.num_parameters(without)
    standard = (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)
    log_scale = np.log(scaled.std(axis=0)).sum()
    expected = gmnvp.bic(without, standard) + 2 * len(x) * log_scale
    np.testing.assert_allclose(gmnvp.bic(with_it, scaled), expected, rtol=1e-5)


def test_icl_is_bic_of_points_with_their_components(x):
    flow = perturb(gmnvp.gaussian_mixture_flow(3, 3, num_couplings=2, dtype=np.float64, seed=0))
    components = gmnvp.predict_component(flow, x)
    z, log_det = flow.bijector.inverse(x), flow.bijector.inverse_log_det_jacobian(x, 1)
    joint = mixtures.component_log_joint(flow.distribution, z).numpy()
    complete = joint[np.arange(len(x)), components] + log_det
    expected = -2 * np.sum(complete) + gmnvp.num_parameters(flow) * np.log(len(x))
    np.testing.assert_allclose(gmnvp.icl(flow, x), expected)
    assert gmnvp.icl(flow, x) > gmnvp.bic(flow, x)


def test_held_out_log_likelihood_of_a_gaussian():
    oracle = stats.multivariate_normal(np.zeros(2))
    prior = mixtures.gaussian_mixture(1, 2, dtype=np.float64)  # starts as a standard normal
    flow = tfd.TransformedDistribution(prior, tfb.Identity())
    x = np.random.default_rng(1).normal(size=[5000, 2])
    held_out = gmnvp.held_out_log_likelihood(flow, x)
    assert held_out.estimate == pytest.approx(oracle.logpdf(x).mean(), abs=1e-9)
    assert abs(held_out.estimate + oracle.entropy()) < 4 * held_out.standard_error
    # Var[log p] = D / 2 for a Gaussian.
    assert held_out.standard_error == pytest.approx(1 / np.sqrt(5000), rel=0.05)


def test_errors(x):
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1, seed=0)
    for criterion in (gmnvp.bic, gmnvp.aic, gmnvp.icl, gmnvp.held_out_log_likelihood):
        with pytest.raises(ValueError, match=r"shape \[N, 3\] .*got shape \[300, 2\]"):
            criterion(flow, x[:, :2])
        with pytest.raises(ValueError, match=r"finite numbers.*first of them row 1"):
            criterion(flow, [[0.0, 0.0, 0.0], [0.0, np.inf, 0.0]])
    with pytest.raises(ValueError, match="at least 2 points"):
        gmnvp.held_out_log_likelihood(flow, x[:1])
    parameters = random_parameters(2, 3, "full")
    foreign = tfd.TransformedDistribution(tfp_mixture(parameters, "full"), tfb.Identity())
    with pytest.raises(TypeError, match=r"made by `gaussian_mixture`.*MultivariateNormalTriL"):
        gmnvp.num_parameters(foreign)
    with pytest.raises(TypeError, match=r"`flow` must be a flow, .* got .*Normal"):
        gmnvp.num_parameters(tfd.Normal(0.0, 1.0))
