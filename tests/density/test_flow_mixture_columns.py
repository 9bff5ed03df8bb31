"""`FlowMixture` over columns of all kinds."""

import numpy as np
import pandas as pd
import pytest

import tfp_gmnvp as gmnvp

pytest.importorskip("tfp_gmnvp.density.columns")

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
    with pytest.raises(ValueError, match=r"Input X contains NaN: .* row 0, column 'price'"):
        found.predict(table().assign(price=np.nan))
    with pytest.raises(ValueError, match="requires `columns=None`"):
        found.export(tmp_path / "model")
    with pytest.raises(ValueError, match="`columns` must be one of 'auto', got 'detect'"):
        gmnvp.FlowMixture(columns="detect").fit(table())
    with pytest.raises(TypeError, match="column 'city'"):
        gmnvp.FlowMixture(**SETTINGS).fit(table())
