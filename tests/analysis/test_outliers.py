"""Outlier scores: exact shares on known points, uniform on fresh ones."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy import stats

import tfp_gmnvp as gmnvp

tfd = tfp.distributions
tfb = tfp.bijectors


@pytest.fixture(name="flow", scope="module")
def random_flow():
    """An untrained flow that is far from the data: the calibration does not depend on the fit."""
    return gmnvp.gaussian_mixture_flow(2, 3, num_couplings=2, dtype=np.float64, seed=3)


def draws(num_points, seed):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, size=[num_points, 2])


@pytest.mark.parametrize("num_points", [1, 7, 100])
@pytest.mark.parametrize("contamination", [0.0, 0.05, 0.29, 0.3, 0.5, 0.7])
def test_exactly_its_share_of_the_known_points(flow, num_points, contamination):
    x = draws(num_points, seed=0)
    expected = math.floor(round(contamination * num_points, 6))
    too_few = contamination > 0 and not expected
    with pytest.warns(UserWarning, match="requires at least") if too_few else nullcontext():
        detector = gmnvp.OutlierDetector(flow, x, contamination=contamination)
    outliers = detector.is_outlier(x)
    assert outliers.dtype == bool
    assert outliers.sum() == expected
    np.testing.assert_array_equal(outliers, flow.log_prob(x).numpy() <= detector.threshold)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_the_quantiles_of_the_density(dtype):
    flow = gmnvp.gaussian_mixture_flow(2, 3, num_couplings=2, dtype=dtype, seed=3)
    x, fresh = draws(50, seed=0).astype(dtype), draws(20, seed=1).astype(dtype)
    detector = gmnvp.OutlierDetector(flow, x)
    np.testing.assert_allclose(np.sort(detector.score(x)), np.arange(1, 51) / 50)
    known, log_prob = flow.log_prob(x).numpy(), flow.log_prob(fresh).numpy()
    expected = [np.mean(known >= value) for value in log_prob]
    np.testing.assert_allclose(detector.score(fresh), expected, atol=1e-12)
    order = np.argsort(log_prob)
    assert np.all(np.diff(detector.score(fresh)[order]) <= 0)


def test_scores_of_fresh_draws_are_uniform(flow):
    x, fresh = draws(20_000, seed=0), draws(2_000, seed=1)
    detector = gmnvp.OutlierDetector(flow, x, contamination=0.1)
    assert stats.kstest(detector.score(fresh), "uniform").pvalue > 0.01
    share = detector.is_outlier(fresh).mean()
    assert abs(share - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 2_000)


def test_share_of_fresh_points_is_exact_on_average(flow):
    """P(outlier) = floor(c N) / (N + 1), N small: each of N + 1 points held out in turn."""
    x = draws(15, seed=2)
    found = [
        gmnvp.OutlierDetector(flow, np.delete(x, i, axis=0), contamination=0.21).is_outlier(x[[i]])
        for i in range(15)
    ]
    assert np.sum(found) == math.floor(0.21 * 14)


def test_density_in_the_data_s_units_and_far_points():
    prior = gmnvp.gaussian_mixture(1, 2, dtype=np.float64)
    flow = tfd.TransformedDistribution(prior, tfb.Scale(np.float64(10.0)))
    x = 10 * np.random.default_rng(0).normal(size=[1000, 2])
    detector = gmnvp.OutlierDetector(flow, x, contamination=0.1)
    radius = np.linalg.norm(x, axis=1)
    np.testing.assert_array_equal(detector.is_outlier(x), radius >= np.sort(radius)[-100])
    expected = np.log(0.1 / (2 * np.pi * 100))  # the squared radius is exponential
    assert detector.threshold == pytest.approx(expected, abs=0.35)
    assert detector.score([[1e4, 0.0], [0.0, 0.0]]).tolist() == [1.0, 0.0]
    assert detector.is_outlier([[1e200, 0.0], [0.0, 0.0]]).tolist() == [True, False]


def test_errors(flow):
    x = draws(10, seed=0)
    for contamination in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"`contamination` must be in \[0, 1\)"):
            gmnvp.OutlierDetector(flow, x, contamination=contamination)
    with pytest.raises(ValueError, match=r"shape \[N, 2\] .*got shape \[10, 1\]"):
        gmnvp.OutlierDetector(flow, x[:, :1])
    with pytest.raises(ValueError, match=r"finite numbers.*first of them row 0"):
        gmnvp.OutlierDetector(flow, x, contamination=0.1).score([[np.nan, 0.0]])
    broken = gmnvp.gaussian_mixture_flow(2, num_couplings=1, seed=0)
    broken.distribution.components_distribution.loc.assign([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="log-density of NaN"):
        gmnvp.OutlierDetector(broken, x)
