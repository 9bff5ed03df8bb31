"""Weights in criteria, outlier detection and selection: whole ones are repeated rows."""

import numpy as np
import pytest
import tensorflow_probability as tfp

import tfp_gmnvp as gmnvp

tfd, tfb = tfp.distributions, tfp.bijectors
X = np.random.default_rng(0).normal(size=[80, 2]) + np.repeat([[-4.0], [4.0]], 40, axis=0)
COUNTS = np.random.default_rng(1).integers(0, 4, 80)
REPEATED = np.repeat(X, COUNTS, axis=0)


@pytest.fixture(scope="module")
def flow():
    mixture = gmnvp.gaussian_mixture(2, 2, dtype="float64", seed=0)
    flow = tfd.TransformedDistribution(mixture, tfb.Identity())
    gmnvp.fit_mixture(flow, X)
    return flow


@pytest.mark.parametrize("criterion", [gmnvp.bic, gmnvp.aic, gmnvp.icl])
def test_criteria(criterion, flow):
    found = criterion(flow, X, COUNTS)
    np.testing.assert_allclose(found, criterion(flow, REPEATED), rtol=1e-12)
    half = criterion(flow, X, np.full(80, 0.5))  # 80 rows of one weight are 80 rows
    np.testing.assert_allclose(half, criterion(flow, X), rtol=1e-12)
    with pytest.raises(ValueError, match="`sample_weight` must hold finite weights"):
        criterion(flow, X, np.full(80, -1.0))


def test_held_out_log_likelihood(flow):
    found = gmnvp.held_out_log_likelihood(flow, X, COUNTS)
    np.testing.assert_allclose(found, gmnvp.held_out_log_likelihood(flow, REPEATED), rtol=1e-12)


@pytest.mark.parametrize("contamination", [0.0, 0.05, 0.3])
def test_outliers(contamination, flow):
    weighted = gmnvp.OutlierDetector(flow, X, contamination=contamination, sample_weight=COUNTS)
    repeated = gmnvp.OutlierDetector(flow, REPEATED, contamination=contamination)
    fresh = np.random.default_rng(2).normal(scale=6.0, size=[300, 2])
    np.testing.assert_allclose(weighted.score(fresh), repeated.score(fresh), atol=1e-12)
    share = COUNTS[weighted.is_outlier(X)].sum() / COUNTS.sum()
    assert contamination - 4 / COUNTS.sum() <= share <= contamination


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_selection_weighs_rows(criterion):
    """All of the weight lies on one of two clusters."""

    def make_model(num_components, x, seed):
        flow = gmnvp.gaussian_mixture_flow(2, num_components, num_couplings=1, hidden_units=())
        model = gmnvp.FlowModel(flow, seed=seed)
        model.compile("adam")
        return model

    settings = {"make_model": make_model, "epochs": 8, "num_folds": 2, "seed": 0}
    settings["criterion"] = criterion
    weight = np.repeat([1.0, 1e-9], 40)
    found = gmnvp.select_components(X, [1, 2], sample_weight=weight, **settings)
    assert found.num_components == 1
    assert gmnvp.select_components(X, [1, 2], **settings).num_components == 2
    mean = found.models[1].flow.sample(500, seed=0).numpy().mean(axis=0)
    np.testing.assert_allclose(mean, X[:40].mean(axis=0), atol=0.5)
