"""Plain mixtures of standardised data, which have no parameters of a flow."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.mixture import GaussianMixture

import tfp_gmnvp as gmnvp

SMALL = {"num_couplings": 1, "hidden_units": ()}
X = np.random.default_rng(0).normal(size=[80, 3]) * [3.0, 0.1, 1.0] + [50.0, -1.0, 0.0]


@pytest.fixture(name="fit", scope="module")
def a_fit():
    few = {"num_components": [1], "covariance_types": ["diag"], "steps": 4, **SMALL}
    return gmnvp.fit_density(X, seed=0, mixing="lu", normalization="act_norm", **few)


@pytest.mark.slow
def test_parameters_and_criteria_are_those_of_the_mixture(fit):
    assert not fit.keeps_flow
    flow, oracle = fit.model.distribution, GaussianMixture(1, covariance_type="diag").fit(X)
    assert flow.bijector.trainable_variables == ()
    assert gmnvp.num_parameters(flow) == oracle._n_parameters() == 6
    np.testing.assert_allclose(gmnvp.bic(flow, X), oracle.bic(X), rtol=1e-4)
    np.testing.assert_allclose(gmnvp.aic(flow, X), oracle.aic(X), rtol=1e-4)
    np.testing.assert_allclose(gmnvp.icl(flow, X), oracle.bic(X), rtol=1e-4)
    z = flow.bijector.inverse(X.astype(np.float32))
    np.testing.assert_allclose(z, (X - X.mean(axis=0)) / X.std(axis=0), atol=1e-3)


@pytest.mark.slow
def test_saved_copied_and_exported(fit, tmp_path):
    flow, x = fit.model.distribution, X[:5].astype(np.float32)
    expected = flow.log_prob(x).numpy()
    fit.model.save(tmp_path / "mixture.keras")
    loaded = tf.keras.models.load_model(tmp_path / "mixture.keras")
    assert gmnvp.num_parameters(loaded.distribution) == 6
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), expected)
    np.testing.assert_array_equal(gmnvp.copy_flow(flow).log_prob(x), expected)
    gmnvp.export_flow(flow, str(tmp_path / "exported"))
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.log_prob(x), expected, rtol=1e-6)
    assert flow.sample(4, seed=[0, 1]).shape == (4, 3)
    fit.model.summary(print_fn=lambda text: None)


@pytest.mark.slow
def test_the_arguments_of_the_mixture_are_kept():
    few = {"num_components": [1], "covariance_types": ["diag"], "steps": 2, **SMALL}
    settings = {"dtype": "float64", "reparameterize": True, "name": "density"}
    flow = gmnvp.fit_density(X, seed=0, **few, **settings).model.distribution
    assert flow.dtype == tf.float64
    assert flow.name == "density"
    assert (
        flow.reparameterization_type
        == gmnvp.gaussian_mixture_flow(3, reparameterize=True, seed=0).reparameterization_type
    )
