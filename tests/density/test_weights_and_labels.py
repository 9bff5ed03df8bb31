"""Weights and labels in `fit_density`, and what it returns."""

import matplotlib.figure
import numpy as np
import pytest
from scipy import stats

import tfp_gmnvp as gmnvp
from tfp_gmnvp.bijectors import column_spread
from tfp_gmnvp.density import fit_density as module
from tfp_gmnvp.density.flow_gain import first_gain
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate
from tfp_gmnvp.density.rows import DistinctRows, Rows, effective_weights
from tfp_gmnvp.flows.summaries import mean_estimate

X = np.random.default_rng(0).normal(size=[50, 2]) + np.repeat([[-3.0, 0.0], [3.0, 0.0]], 25, axis=0)
COUNTS = np.random.default_rng(1).integers(0, 4, 50)
REPEATED = np.repeat(X, COUNTS, axis=0)
FEW = {"num_components": [1, 2], "covariance_types": ["full", "diag"], "dtype": "float64"}
SMALL = {"num_couplings": 2, "hidden_units": (4,), "steps": 4}


@pytest.mark.slow
@pytest.mark.parametrize("trains", [False, True])
def test_whole_weights_are_repeated_rows_in_any_order(trains, monkeypatch):
    monkeypatch.setattr(module, "may_pay_off", lambda *args, **kwargs: trains)
    shuffled = np.random.default_rng(2).permutation(50)
    settings = {**FEW, **SMALL, "seed": 0}
    weighted = gmnvp.fit_density(X[shuffled], sample_weight=COUNTS[shuffled], **settings)
    with pytest.warns(gmnvp.DegenerateDataWarning, match="copies"):
        repeated = gmnvp.fit_density(REPEATED, **settings)
    assert weighted.candidates == repeated.candidates
    assert weighted.gain == repeated.gain
    assert weighted.history == repeated.history
    assert bool(weighted.history["loss"]) == trains
    np.testing.assert_array_equal(weighted.log_prob(X), repeated.log_prob(X))


def test_rows_without_weight_are_not_there():
    settings = {"num_components": [1, 2], "covariance_types": ["diag"], "seed": 0}
    kept = gmnvp.fit_density(X[COUNTS > 0], **settings)
    weighted = gmnvp.fit_density(X, sample_weight=(COUNTS > 0).astype(float), **settings)
    np.testing.assert_array_equal(weighted.log_prob(X), kept.log_prob(X))


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_one_component_is_the_weighted_gaussian(scale):
    weight = scale * np.random.default_rng(3).uniform(0.1, 2.0, 50)
    settings = {"num_components": [1], "covariance_types": ["diag"], "dtype": "float64", "seed": 0}
    fit = gmnvp.fit_density(X, sample_weight=weight, **settings)
    mean = np.average(X, axis=0, weights=weight)
    stddev = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
    expected = stats.norm(mean, stddev).logpdf(X).sum(axis=1)
    np.testing.assert_allclose(fit.log_prob(X), expected, rtol=1e-5)


def test_effective_numbers_of_rows():
    np.testing.assert_array_equal(effective_weights([3, 0, 1]), [3.0, 0.0, 1.0])
    weight = np.array([0.5, 0.25, 0.25])
    np.testing.assert_allclose(effective_weights(weight).sum(), 1 / np.square(weight).sum())
    np.testing.assert_allclose(effective_weights(1e-200 * weight), effective_weights(weight))


def test_distinct_rows_add_up():
    rows = DistinctRows.of_table(REPEATED)
    assert len(np.unique(rows.x, axis=0)) == len(rows.x) == (COUNTS > 0).sum()
    order = np.lexsort(rows.x.T)
    expected = X[COUNTS > 0][np.lexsort(X[COUNTS > 0].T)]
    np.testing.assert_array_equal(rows.x[order], expected)
    weights = COUNTS[COUNTS > 0][np.lexsort(X[COUNTS > 0].T)]
    np.testing.assert_array_equal(rows.weight[order], weights)
    labelled = DistinctRows.of_table(np.zeros([3, 1]), y=np.array([0, 1, 0]))
    assert sorted(zip(labelled.y, labelled.weight, strict=True)) == [(0, 2.0), (1, 1.0)]


def test_validation_rows_have_their_share_of_the_weight():
    weight = np.random.default_rng(0).choice([1.0, 20.0], 1000, p=[0.9, 0.1])
    table = DistinctRows.of_table(np.random.default_rng(1).normal(size=[1000, 2]), weight)
    rows = Rows.split(table, 200, seed=0)
    share = rows.validation.weight.sum() / rows.weight.sum()
    assert abs(share - 0.2) < 0.02
    assert len(rows.validation.x) + len(rows.train.x) == 1000


def test_spread_of_weighted_columns_is_that_of_repeated_rows():
    x = np.c_[X, np.where(np.arange(50) == 7, 1e4, X[:, 0])]
    weight = np.maximum(COUNTS, 1)
    expected = column_spread(np.repeat(x, weight, axis=0))
    for found, part in zip(column_spread(x, weight.astype(float)), expected, strict=True):
        np.testing.assert_allclose(found, part, rtol=1e-12)
    assert np.isfinite(expected.bound[2])


def test_estimates_of_weighted_values_are_those_of_repeated_ones():
    values, counts = np.random.default_rng(0).normal(size=20), np.arange(1, 21)
    expected = mean_estimate(np.repeat(values, counts))
    np.testing.assert_allclose(mean_estimate(values, counts.astype(float)), expected, rtol=1e-12)


def test_the_first_gain_of_weighted_rows_is_that_of_repeated_ones():
    z = np.random.default_rng(0).normal(size=[60, 2]) ** 2
    counts = np.random.default_rng(1).integers(1, 4, 60)
    candidate = MixtureCandidate("diag", 1)
    one = first_gain(z, candidate, seed=0, sample_weight=np.full(60, 1.0))
    assert one == pytest.approx(first_gain(z, candidate, seed=0), rel=1e-9)
    weighted = first_gain(z, candidate, seed=0, sample_weight=counts.astype(float))
    repeated = first_gain(np.repeat(z, counts, axis=0), candidate, seed=0)
    assert weighted.estimate == pytest.approx(repeated.estimate, abs=2 * repeated.standard_error)


@pytest.mark.parametrize("trains", [False, True])
def test_labels_name_the_components(trains, monkeypatch):
    """Of overlapping clusters, which the likelihood alone divides otherwise."""
    monkeypatch.setattr(module, "may_pay_off", lambda *args, **kwargs: trains)
    rng = np.random.default_rng(0)
    y = np.repeat([2, 0, 1], 30)
    x = rng.normal(size=[90, 2]) + np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])[y]
    some = np.where(rng.uniform(size=90) < 0.5, y, -1)
    settings = {"covariance_types": ["diag"], "dtype": "float64", "seed": 0, **SMALL}
    fit = gmnvp.fit_density(x, some, num_components=[1, 3], **settings)
    assert fit.mixture.num_components == 3
    np.testing.assert_array_equal(gmnvp.predict_component(fit.flow, x), y)
    if not trains:
        unlabelled = gmnvp.fit_density(x, np.full(90, -1), num_components=[3], **settings)
        without = gmnvp.fit_density(x, num_components=[3], **settings)
        np.testing.assert_array_equal(unlabelled.log_prob(x), without.log_prob(x))


@pytest.fixture(scope="module")
def fit():
    return gmnvp.fit_density(X, seed=0, **{**FEW, "covariance_types": ["full"]})


def test_what_is_found_says_so(fit):
    lines = repr(fit).splitlines()
    assert lines[0].startswith(f"Density of 2 columns: a Gaussian mixture, K = {fit.mixture[1]}")
    assert f"the best of {len(fit.candidates)}, {fit.mixture.held_out:.3f} nats" in lines[1]
    assert "none was trained" in lines[2]
    kept = gmnvp.DensityFit(
        fit.model,
        fit.mixture,
        gmnvp.summaries.mean_estimate(np.array([0.4, 0.6])),
        True,
        {"loss": [1.0], "val_loss": [1.0]},
        (1,),
    )
    assert "a flow over a Gaussian mixture" in repr(kept)
    assert "+0.500 +- 0.100 nats per row over the mixture" in repr(kept)
    assert "components 1 are as narrow as the floor" in repr(kept)


def test_a_fit_in_a_file(fit, tmp_path):
    fit.save(tmp_path / "fit")
    again = gmnvp.DensityFit.load(tmp_path / "fit")
    np.testing.assert_array_equal(again.log_prob(X), fit.log_prob(X))
    np.testing.assert_array_equal(again.sample(5, seed=1), fit.sample(5, seed=1))
    assert repr(again) == repr(fit)
    assert again.candidates == fit.candidates
    assert again.rows is None
    with pytest.raises(ValueError, match="`x` must be given: a fit that was read from a file"):
        again.plot()


def test_a_page_shows_rows_and_what_was_tried(fit):
    page = fit.plot(figure=matplotlib.figure.Figure())
    titles = {ax.get_title(): ax for ax in page.axes}
    assert {"Weights", "Mixtures that were tried", "Latents and mixture", "Training"} <= set(titles)
    tried = titles["Mixtures that were tried"].get_lines()
    points = {tuple(point) for line in tried for point in np.transpose(line.get_data())}
    assert points == {(c.num_components, c.held_out) for c in fit.candidates}
    bars = [bar.get_height() for bar in titles["Weights"].patches]
    np.testing.assert_allclose(sum(bars), 1.0, rtol=1e-6)
    assert fit.title in page.get_suptitle()


def test_a_page_of_one_column_and_of_a_training(fit):
    one = gmnvp.fit_density(X[:, :1], num_components=[2], seed=0)
    page = one.plot(figure=matplotlib.figure.Figure())
    labels = [text.get_text() for text in page.axes[0].get_legend().get_texts()]
    assert labels == ["data", "samples", "density"]
    trained = gmnvp.DensityFit(
        fit.model, fit.mixture, fit.gain, False, {"loss": [3.0, 2.0], "val_loss": [3.0, 2.5]}
    )
    page = trained.plot(X, figure=matplotlib.figure.Figure())
    (training,) = [ax for ax in page.axes if ax.get_title() == "Training"]
    np.testing.assert_array_equal(training.get_lines()[1].get_ydata(), [3.0, 2.5])
