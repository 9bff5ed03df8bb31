"""Conditionals and marginals of flows against closed forms, quadrature, and the joint density."""

import functools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib import pyplot
from scipy import integrate
from support import perturb, random_parameters

import tfp_gmnvp
from tfp_gmnvp import mixtures
from tfp_gmnvp.density.conditional_density import given, marginal
from tfp_gmnvp.density.missing.importance import PoorSamplesWarning
from tfp_gmnvp.density.missing.rows import impute, observed_log_prob
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.mixture_flow import standardized_mixture


def table(size, *, has_outliers=False):
    x = np.random.default_rng(5).normal(size=[200, size]) * np.arange(1, size + 1) + 10.0
    if has_outliers:
        x[:3, 0] = [1e4, -1e4, 3e3]
    return x


@functools.cache
def plain(size=3, has_outliers=False):
    """A mixture of standardised columns."""
    x = table(size, has_outliers=has_outliers)
    flow = standardized_mixture(size, 3, standardize=x, dtype=tf.float64)
    mixtures.assign_parameters(flow.distribution, random_parameters(3, size, "full"))
    return flow


@functools.cache
def bent(size=2, scale=0.3):
    """A flow that is not the identity."""
    settings = {"num_couplings": 2, "hidden_units": (8,), "dtype": tf.float64, "seed": 0}
    flow = tfp_gmnvp.gaussian_mixture_flow(size, 2, standardize=table(size), **settings)
    mixtures.assign_parameters(flow.distribution, random_parameters(2, size, "full"))
    return perturb(flow, scale=scale)


@functools.cache
def straight(size=3):
    """A flow whose couplings are the identity: its conditionals have a closed form."""
    settings = {"num_couplings": 2, "hidden_units": (8,), "dtype": tf.float64, "seed": 0}
    flow = tfp_gmnvp.gaussian_mixture_flow(size, 3, standardize=table(size), **settings)
    mixtures.assign_parameters(flow.distribution, random_parameters(3, size, "full"))
    return flow


def density_of(flow, x):
    return on_arrays.log_prob(flow, on_arrays.as_points(flow, np.atleast_2d(x)))


@functools.cache
def moments(flow, known):
    """The integral and mean of the second of two columns, given the first, on a fine grid."""
    u = 10.0 + np.sinh(np.linspace(-9.0, 9.0, 9001))
    density = np.exp(density_of(flow, np.stack([np.full(u.shape, known), u], axis=1)))
    total = integrate.simpson(density, x=u)
    return total, integrate.simpson(u * density, x=u) / total


def test_columns_inside_have_the_density_of_those_outside_less_slopes():
    for flow in (plain(3, True), bent(3)):
        x = table(3, has_outliers=True)[:9]
        parts = StandardizedFlow(flow)
        y = parts.to_latent(x)
        found = parts.log_prob(y) + parts.log_slopes(x).sum(axis=1)
        np.testing.assert_allclose(found, density_of(flow, x), rtol=1e-9)
        np.testing.assert_allclose(parts.from_latent(y), x, rtol=1e-9)


@pytest.mark.parametrize("has_outliers", [False, True])
def test_a_mixtures_conditional_is_joint_less_marginal(has_outliers):
    flow = plain(3, has_outliers)
    x = table(3)[:5]
    density = given(flow, {2: x[:, 2]})
    expected = density_of(flow, x) - marginal(flow, [2]).log_prob(x[:, 2:])
    np.testing.assert_allclose(density.log_prob(x[:, :2]), expected, rtol=1e-9)
    assert density.effective_sample_size is None


def test_a_mixtures_marginal_integrates_what_is_left_out():
    flow = plain(2, True)

    u = 10.0 + np.sinh(np.linspace(-60.0, 60.0, 40_001))
    density = np.exp(density_of(flow, np.stack([u, np.full(u.shape, 9.0)], axis=1)))
    total = integrate.simpson(density, x=u)
    np.testing.assert_allclose(marginal(flow, [1]).log_prob([9.0]), np.log(total), rtol=1e-5)


@pytest.mark.parametrize("make", [plain, bent])
def test_one_column_left_agrees_with_quadrature(make):
    flow = make(2)
    density = given(flow, {0: [9.5, 11.0]})
    for n, known in enumerate((9.5, 11.0)):
        total, mean = moments(flow, known)
        expected = density_of(flow, [known, 8.0]) - np.log(total)
        log_prob = density.log_prob([[8.0], [8.0]])[n]
        np.testing.assert_allclose(log_prob, expected[0], atol=1e-5)
        np.testing.assert_allclose(density.mean()[n, 0], mean, rtol=1e-5)
    probability = np.array([0.02, 0.3, 0.5, 0.9])
    quantiles = density.quantile(probability)
    assert quantiles.shape == (4, 2, 1)
    of_all = np.broadcast_to(probability[:, np.newaxis, np.newaxis], quantiles.shape)
    np.testing.assert_allclose(density.cdf(quantiles), of_all, atol=1e-5)
    samples = density.sample(4000, seed=1)
    share = (samples < quantiles[1]).mean(axis=0)
    np.testing.assert_allclose(share, 0.3, atol=5 * np.sqrt(0.21 / 4000))


def test_samples_of_a_flow_agree_with_the_closed_form():
    known = {1: np.array([9.0, 12.0])}
    exact, sampled = (
        given(plain_of_straight(), known),
        given(straight(), known, num_samples=4000, seed=3),
    )
    assert (sampled.effective_sample_size > 1000).all()
    x = np.array([[10.5, 9.0], [9.0, 11.0]])
    np.testing.assert_allclose(sampled.log_prob(x), exact.log_prob(x), atol=0.1)
    scale = np.diff(exact.quantile([0.16, 0.84]), axis=0)[0] / 2
    np.testing.assert_allclose((sampled.mean() - exact.mean()) / scale, 0.0, atol=0.1)
    for probability in (0.1, 0.5, 0.9):
        found = sampled.cdf(exact.quantile(probability))
        np.testing.assert_allclose(found, probability, atol=0.05)
    np.testing.assert_allclose(
        (sampled.sample(3000, seed=0) < exact.quantile(0.5)).mean(axis=0), 0.5, atol=0.06
    )


@functools.cache
def plain_of_straight():
    flow = standardized_mixture(3, 3, standardize=table(3), dtype=tf.float64)
    mixtures.assign_parameters(flow.distribution, random_parameters(3, 3, "full"))
    return flow


def test_the_observed_density_of_a_flow_is_that_by_quadrature():
    x = np.array([[9.5, np.nan], [11.0, np.nan], [10.0, 10.0], [np.nan, np.nan]])
    found = observed_log_prob(bent(2), x, num_samples=4000, seed=0)
    expected = [np.log(moments(bent(2), known)[0]) for known in (9.5, 11.0)]
    assert (np.abs(found.estimate[:2] - expected) < 5 * found.standard_error[:2]).all()
    assert (found.standard_error[:2] < 0.1).all() and not found.standard_error[2:].any()
    np.testing.assert_allclose(found.estimate[2], density_of(bent(2), x[2])[0], rtol=1e-9)
    assert found.estimate[3] == 0.0


def test_the_observed_density_of_a_mixture_is_exact():
    x = np.array([[9.5, np.nan, 10.0], [np.nan, 9.0, np.nan]])
    found = observed_log_prob(plain(3, True), x, seed=0)
    np.testing.assert_allclose(
        found.estimate,
        [
            marginal(plain(3, True), [0, 2]).log_prob([9.5, 10.0]),
            marginal(plain(3, True), [1]).log_prob([9.0]),
        ],
        rtol=1e-9,
    )
    assert not found.standard_error.any()


@pytest.mark.parametrize("make", [plain, bent])
def test_imputations_follow_the_conditional(make):
    flow = make(2)
    x = np.array([[9.5, np.nan], [np.nan, 11.0], [1.0, 2.0]])
    drawn = impute(flow, x, 2000, seed=0, num_proposals=4000)
    assert (drawn[:, [0, 1, 2, 2], [0, 1, 0, 1]] == [9.5, 11.0, 1.0, 2.0]).all()
    for row, known, other in ((0, {0: 9.5}, 1), (1, {1: 11.0}, 0)):
        median = given(flow, known).quantile(0.5)
        share = (drawn[:, row, other] < median).mean()
        assert abs(share - 0.5) < 0.07


def test_a_marginal_of_a_flow_is_the_integral_of_the_joint():
    total, _ = moments(bent(2), 9.5)
    density = marginal(bent(2), [0])
    np.testing.assert_allclose(density.log_prob([9.5]), np.log(total), atol=0.15)
    samples = on_arrays.draw(bent(2), 4000, seed=9)[:, 0]
    assert abs((samples < density.quantile(0.5)).mean() - 0.5) < 0.06


def test_columns_have_names():
    flow = plain_of_straight()
    named = columns.remember(
        tfp_gmnvp.copy_flow(flow), columns.Columns(("age", "size", "cost ($)"))
    )
    density = given(named, {"size": 9.0, 0: 10.0})
    assert density.columns == ("cost ($)",)
    assert density.log_prob([10.0]).shape == ()
    assert density.plot().get_xlabel() == r"cost (\$)"
    image = given(named, {"size": 9.0}).plot(pyplot.figure().gca())
    assert (image.get_ylabel(), image.get_title()) == (r"cost (\$)", "size = 9")
    curves = given(named, {"cost ($)": [9.0, 10.0], 0: [9.0, 11.0]}).plot(pyplot.figure().gca())
    labels = [text.get_text() for text in curves.get_legend().get_texts()]
    assert labels == [r"cost (\$) = 9, column 0 = 9", r"cost (\$) = 10, column 0 = 11"]
    for line in curves.lines:
        np.testing.assert_allclose(np.trapezoid(line.get_ydata(), line.get_xdata()), 1.0, atol=0.01)
    found = impute(
        named, pd.DataFrame([[1.0, np.nan, 2.0]], columns=["age", "size", "cost ($)"]), seed=0
    )
    assert np.isfinite(found).all()
    with pytest.raises(ValueError, match=r"'age', 'size'.*got 'siz'. Did you mean 'size'"):
        given(named, {"siz": 9.0})


@pytest.mark.parametrize(
    ("known", "error", "said"),
    [
        ([0], TypeError, "`known` must map"),
        ({}, ValueError, "1 to 2 of the 3"),
        ({0: 1.0, 1: 1.0, 2: 1.0}, ValueError, "1 to 2 of the 3"),
        ({3: 1.0}, ValueError, "numbers 0 to 2"),
        ({0: np.nan}, ValueError, "column 0"),
        ({0: [1.0, 2.0], 1: [1.0]}, ValueError, "N numbers each"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(known, error, said):
    with pytest.raises(error, match=said):
        given(plain(3), known)


def test_other_arguments_are_checked():
    density = given(plain(3), {0: 9.0})
    with pytest.raises(ValueError, match="`x` must have shape"):
        density.log_prob([1.0])
    with pytest.raises(ValueError, match="`probability`"):
        density.quantile(1.5)
    with pytest.raises(ValueError, match="`plot` draws one column"):
        given(plain(3), {0: [9.0, 10.0]}).plot()
    with pytest.raises(ValueError, match="different columns"):
        marginal(plain(3), [0, 0])
    with pytest.raises(ValueError, match="shape"):
        observed_log_prob(plain(3), [[1.0, np.nan]], seed=0)
    with pytest.raises(ValueError, match="NaN where an entry is missing"):
        impute(plain(3), [[np.inf, np.nan, 0.0]], seed=0)
    with pytest.raises(ValueError, match="must not take a context"):
        given(tfp_gmnvp.gaussian_mixture_flow(2, context_size=1, seed=0), {0: 1.0})


def test_a_poor_sample_is_said():
    with pytest.warns(PoorSamplesWarning, match="num_samples"):
        given(bent(3), {0: 9.5}, num_samples=4)
