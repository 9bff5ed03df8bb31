"""`fit_mixture` with k-means++ starts, compared with scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import datasets
from sklearn import mixture as sklearn_mixture
from support import COVARIANCE_TYPES

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

IRIS = datasets.load_iris().data


def make_flow(seed, covariance_type="full", dtype=tf.float64):
    """A flow with an identity bijector and an untrained mixture."""
    return gmnvp.gaussian_mixture_flow(
        4, 3, covariance_type=covariance_type, num_couplings=1, hidden_units=(), dtype=dtype,
        seed=seed,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "covariance_type, dtype",
    [*((each, tf.float64) for each in COVARIANCE_TYPES), ("full", tf.float32)],
)
def test_an_untrained_mixture_is_no_worse_than_scikit_learns(covariance_type, dtype):
    oracle = sklearn_mixture.GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    expected = oracle.fit(IRIS).score(IRIS)
    for seed in (0, 3) if covariance_type == "full" else (0,):
        flow = make_flow(seed, covariance_type, dtype)
        fit = gmnvp.fit_mixture(flow, IRIS, covariance_floor=1e-6)
        assert fit.objective[-1] > expected - 2e-3, (seed, fit.objective[-1], expected)


@pytest.mark.slow
def test_a_trained_mixture_starts_from_its_parameters():
    flow = make_flow(0)
    gmnvp.fit_mixture(flow, IRIS)
    before = gmnvp.fit_mixture(flow, IRIS).objective
    assert len(before) == 2
    moved = mixtures.mixture_parameters(flow.distribution)
    moved = moved._replace(loc=moved.loc + 50.0)
    mixtures.assign_parameters(flow.distribution, moved)
    fit = gmnvp.fit_mixture(flow, IRIS, max_iterations=1, tolerance=1e9)
    assert fit.objective[0] < before[0] - 100
    mixtures.assign_parameters(flow.distribution, moved)
    fit = gmnvp.fit_mixture(flow, IRIS, n_init=10, seed=1)
    np.testing.assert_allclose(fit.objective[-1], before[-1], atol=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.ConvergenceWarning")
def test_a_mixture_whose_means_were_set_starts_from_them():
    flow = make_flow(0)
    loc = flow.distribution.components_distribution.loc
    loc.assign(IRIS[[0, 75, 140]])
    start = flow.log_prob(IRIS)
    fit = gmnvp.fit_mixture(flow, IRIS, max_iterations=1)
    np.testing.assert_allclose(fit.objective[0], np.mean(start), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.ConvergenceWarning")
def test_n_init_zero_starts_from_the_current_mixture():
    flow, start = make_flow(0), make_flow(0).log_prob(IRIS)
    fit = gmnvp.fit_mixture(flow, IRIS, n_init=0, max_iterations=1)
    np.testing.assert_allclose(fit.objective[0], np.mean(start), rtol=1e-6)


@pytest.mark.slow
def test_starts_depend_on_weights_labels_and_seed():
    sample_weight = np.repeat([1.0, 0.0], [100, 50])
    results = []
    for data in ({"x": IRIS, "sample_weight": sample_weight}, {"x": IRIS[:100]}):
        flow = make_flow(0)
        results.append(gmnvp.fit_mixture(flow, **data, seed=2).objective)
    np.testing.assert_allclose(*results, rtol=1e-6)
    flow, y = make_flow(0), np.repeat([2, 0, 1], 50)
    gmnvp.fit_mixture(flow, IRIS, y, seed=0)
    loc = mixtures.mixture_parameters(flow.distribution).loc
    for k in range(3):
        np.testing.assert_allclose(loc[k], IRIS[y == k].mean(axis=0), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("n_init", [-1, 1.5])
def test_n_init_is_checked(n_init):
    with pytest.raises(ValueError, match="`n_init` must be"):
        gmnvp.fit_mixture(make_flow(0), IRIS, n_init=n_init)
