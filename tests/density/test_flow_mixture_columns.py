"""`FlowMixture` over columns of all kinds."""

import numpy as np
import pandas as pd
import pytest

import tfp_gmnvp as gmnvp

SETTINGS = {"n_components": 1, "covariance_type": "diag", "random_state": 0}


def table(num_rows=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "count": rng.integers(0, 6, num_rows),
            "price": rng.lognormal(size=num_rows),
            "city": rng.choice(["a", "b"], num_rows, p=[0.3, 0.7]),
        }
    )


@pytest.fixture(scope="module")
def found():
    return gmnvp.FlowMixture(columns={"price": "positive"}, **SETTINGS).fit(table())


def test_samples_are_rows_of_such_a_table(found):
    x, components = found.sample(300)
    assert list(x.columns) == ["count", "price", "city"]
    assert (x["count"] == x["count"].round()).all()
    assert (x["price"] > 0).all()
    assert set(x["city"]) == {"a", "b"}
    assert components.shape == (300,)
    assert "positive" in repr(found.columns_)


def test_scores_are_probabilities_of_cells_times_a_density(found):
    """Summed over all cells, what is left is the density of the price."""
    prices = np.exp(np.linspace(-6.0, 6.0, 241))
    cells = [(count, city) for count in range(13) for city in ("a", "b")]
    rows = pd.DataFrame(
        [(count, price, city) for price in prices for count, city in cells],
        columns=["count", "price", "city"],
    )
    cells_of_price = found.score_samples(rows).reshape(len(prices), -1)
    density = np.exp(cells_of_price).sum(axis=1)
    assert np.trapezoid(density, prices) == pytest.approx(1.0, abs=0.03)


def test_what_comes_back_from_a_file(found, tmp_path):
    found.save(tmp_path / "density")
    again = gmnvp.FlowMixture.load(tmp_path / "density")
    np.testing.assert_array_equal(again.score_samples(table()), found.score_samples(table()))
    assert again.columns == {"price": "positive"}
    assert repr(again.columns_) == repr(found.columns_)


def test_what_is_refused(found, tmp_path):
    with pytest.raises(ValueError, match="requires `columns='real'`"):
        found.export(tmp_path / "model")
    with pytest.raises(ValueError, match="`columns` must be one of 'auto', 'real', got 'detect'"):
        gmnvp.FlowMixture(columns="detect").fit(table())
    with pytest.raises(ValueError, match="column 'price' must hold numbers above 0"):
        found.score_samples(table().assign(price=-1.0))
    with pytest.raises(TypeError, match="column 'city'"):
        gmnvp.FlowMixture(columns="real", **SETTINGS).fit(table())


def test_kinds_are_detected_and_said():
    found = gmnvp.FlowMixture(**SETTINGS).fit(table())
    assert [kind.kind for kind in found.columns_.kinds] == ["integer", "positive", "category"]
    assert "6 values in 200 rows" in repr(found.columns_)
    assert gmnvp.FlowMixture(columns="real", **SETTINGS).fit(table()[["price"]]).columns_ is None


def test_values_that_are_not_of_a_detected_kind_have_no_density():
    found = gmnvp.FlowMixture(**SETTINGS).fit(table())
    rows = table()[:4].assign(price=[1.0, -1.0, 2.0, 3.0], city=["a", "a", "c", "b"])
    with pytest.warns(gmnvp.column_kinds.SupportWarning, match="'price' was found to be 'positive"):
        log_prob = found.score_samples(rows)
    assert np.isneginf(log_prob).tolist() == [False, True, True, False]
    expected = found.score_samples(rows.iloc[[0, 3]])
    np.testing.assert_allclose(log_prob[[0, 3]], expected, rtol=1e-12)
    with pytest.warns(gmnvp.column_kinds.SupportWarning):
        assert found.predict(rows).shape == (4,)


def test_scores_of_a_row_do_not_depend_on_the_others(found):
    rows = table()
    for score in (found.score_samples, found.predict_proba):
        np.testing.assert_allclose(score(rows)[7:9], score(rows[7:9]), rtol=1e-12)


def test_rounded_measurements_are_probabilities():
    x = np.random.default_rng(0).normal(size=[300, 1]).round(1)
    found = gmnvp.FlowMixture(**SETTINGS).fit(x)
    cells = np.arange(-60, 61)[:, np.newaxis] / 10.0
    np.testing.assert_allclose(np.exp(found.score_samples(cells)).sum(), 1.0, atol=1e-3)
    samples, _ = found.sample(50)
    np.testing.assert_allclose(samples, samples.round(1), atol=1e-12)


@pytest.fixture(scope="module")
def with_holes():
    rows = table().astype({"count": "float64"})
    return rows.mask(np.random.default_rng(1).uniform(size=rows.shape) < 0.2)


@pytest.mark.slow
def test_missing_entries(with_holes, tmp_path):
    found = gmnvp.FlowMixture(columns={"price": "positive"}, **SETTINGS).fit(with_holes)
    whole = gmnvp.FlowMixture(columns={"price": "positive"}, **SETTINGS).fit(table())
    fresh = table(500, seed=3)
    assert abs(found.score(fresh) - whole.score(fresh)) < 0.1
    only_price = fresh.assign(count=np.nan, city=None)
    density = np.exp(found.score_samples(only_price))
    order = np.argsort(fresh["price"])
    grid = np.exp(np.linspace(-6.0, 6.0, 400))
    rows = pd.DataFrame({"count": np.nan, "price": grid, "city": None})
    assert np.trapezoid(np.exp(found.score_samples(rows)), grid) == pytest.approx(1.0, abs=0.02)
    assert np.isfinite(density[order]).all()
    np.testing.assert_allclose(found.predict_proba(with_holes).sum(axis=1), 1.0)
    found.save(tmp_path / "density")
    again = gmnvp.FlowMixture.load(tmp_path / "density")
    np.testing.assert_array_equal(again.score_samples(with_holes), found.score_samples(with_holes))


@pytest.mark.slow
def test_imputations_are_rows_of_such_a_table(with_holes):
    found = gmnvp.FlowMixture(columns={"price": "positive"}, **SETTINGS).fit(with_holes)
    with_holes = with_holes.set_axis([f"row {i}" for i in range(len(with_holes))])
    filled = found.impute(with_holes)
    assert list(filled.index) == list(with_holes.index)
    assert not filled.isna().any(axis=None)
    pd.testing.assert_frame_equal(filled[with_holes.notna()], with_holes, check_dtype=False)
    assert set(filled["city"]) == {"a", "b"}
    assert (filled["count"] == filled["count"].round()).all()
    first, second = found.impute(with_holes, 2)
    assert not first.equals(second)


@pytest.mark.slow
def test_weights_of_rows_with_missing_entries_count_rows(with_holes):
    rows = with_holes[["price"]].assign(other=with_holes["count"] + table()["price"])
    weight = np.arange(200) % 3
    settings = {"columns": "real", "covariance_type": "full", "n_components": 1}
    settings |= {"random_state": 0, "steps": 1}
    weighted = gmnvp.FlowMixture(**settings).fit(rows, sample_weight=weight)
    repeated = gmnvp.FlowMixture(**settings).fit(rows.loc[np.repeat(rows.index, weight)])
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-6)
    with pytest.raises(ValueError, match="`sample_weight` must hold whole numbers where entries"):
        gmnvp.FlowMixture(**settings).fit(rows, sample_weight=weight + 0.5)
