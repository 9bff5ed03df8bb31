"""Checks of the inputs of statistics: probabilities, labels, shares and log-densities."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import tfp_gmnvp as gmnvp
from tfp_gmnvp import plotting, summaries
from tfp_gmnvp.analysis import calibration

GOOD = np.array([[0.8, 0.2], [0.4, 0.6]])
FUNCTIONS = [calibration.reliability, calibration.calibration_error, plotting.plot_reliability]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (2 * GOOD, [0, 1], r"`probs` must hold probabilities, in \[0, 1\].* row 0, got 1.6, 0.4"),
        ([[0.9, 0.9], [0.5, 0.5]], [0, 1], "`probs` must hold rows that sum to one.* row 0"),
        ([[0.5, 0.5], [0.3, 0.3]], [0, 1], "1 of its 2 rows do not, .* row 1, got 0.3, 0.3"),
        ([[1.2, -0.2], [0.5, 0.5]], [0, 1], "`probs` must hold probabilities"),
        ([[np.nan, 1.0], [0.5, 0.5]], [0, 1], "`probs` must hold probabilities"),
        ([[np.inf, -np.inf], [0.5, 0.5]], [0, 1], "`probs` must hold probabilities"),
        (GOOD, [0.5, 1], "`labels` must hold indices of components.* row 0, got 0.5"),
        (GOOD, [0, 2], r"`labels` must hold .*0 \.\. 1.* row 1, got 2"),
        (GOOD, [-2, 0], "`labels` must hold .* row 0, got -2"),
        (GOOD, [np.nan, 0], "`labels` must hold .* row 0, got nan"),
        (GOOD[:, :0], [0, 1], "`probs` must have shape"),
        (GOOD, [[0], [1]], "`probs` must have shape"),
    ],
)
def test_what_is_no_probability_or_label(function, probs, labels, message):
    with pytest.raises(ValueError, match=message):
        function(probs, labels)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_no_number(function):
    with pytest.raises(TypeError, match="`labels` must hold real numbers"):
        function(GOOD, ["a", "b"])
    with pytest.raises(TypeError, match="`probs` must hold real numbers"):
        function([["a", "b"], ["b", "a"]], [0, 1])


@pytest.mark.parametrize(
    "probs",
    [
        *(GOOD.astype(dtype) for dtype in ("float16", "float32", "float64")),
        GOOD.tolist(),
        tf.constant(GOOD),
        pd.DataFrame(GOOD, columns=["a", "b"]),
    ],
    ids=["float16", "float32", "float64", "list", "tensor", "table"],
)
def test_probabilities_of_many_kinds(probs):
    for labels in ([0, 1], [0.0, 1.0], pd.Series([0, 1]), np.array([0, 1], np.int8)):
        assert calibration.calibration_error(probs, labels) == pytest.approx(0.3, abs=1e-3)
    assert plotting.plot_reliability(probs, [0, 1]).get_title() == "calibration error 0.300"


@pytest.fixture(name="flow", scope="module")
def untrained_flow():
    return gmnvp.gaussian_mixture_flow(2, num_couplings=1, seed=0)


def normal_points(num_points):
    return np.random.default_rng(0).normal(size=[num_points, 2])


@pytest.mark.parametrize(
    ("num_points", "contamination", "needed"), [(100, 0.001, 1000), (99, 0.01, 100), (1, 0.3, 4)]
)
def test_too_few_points_for_an_outlier(flow, num_points, contamination, needed):
    x = normal_points(num_points)
    with pytest.warns(UserWarning, match=f"at least {needed} known points .* `x` holds") as caught:
        detector = gmnvp.OutlierDetector(flow, x, contamination=contamination)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert not detector.is_outlier([[50.0, 50.0]]).any()
    assert detector.score([[50.0, 50.0]]).tolist() == [1.0]


@pytest.mark.parametrize(("num_points", "contamination"), [(1000, 0.001), (100, 0.01), (5, 0.0)])
def test_enough_points_for_an_outlier(flow, num_points, contamination):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = gmnvp.OutlierDetector(
            flow, normal_points(num_points), contamination=contamination
        )
    assert detector.is_outlier([[50.0, 50.0]]).tolist() == [contamination > 0]


def test_held_out_points_beyond_the_range_of_the_dtype(flow):
    held_out = gmnvp.held_out_log_likelihood(flow, [[0.0, 0.0], [1e30, 0.0]])
    assert held_out.estimate == -np.inf and np.isnan(held_out.standard_error)


def test_a_log_density_by_numpy():
    normal = tfd.MultivariateNormalDiag(tf.zeros([2]))

    def log_prob(x):
        return -0.5 * np.sum(np.square(x.numpy(), dtype=np.float64), axis=-1) - np.log(2 * np.pi)

    expected = summaries.kl_divergence(normal, normal, num_samples=50, seed=1)
    by_numpy = summaries.kl_divergence(normal, log_prob, num_samples=50, seed=1)
    np.testing.assert_allclose(by_numpy.estimate, expected.estimate, atol=1e-6)
    with pytest.raises(ValueError, match="one number for each sample"):
        summaries.kl_divergence(normal, lambda x: log_prob(x)[:3], num_samples=50, seed=1)
