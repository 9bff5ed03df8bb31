"""`FlowMixture.given` and `marginal` in the table's own units, against closed forms and scores."""

import functools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from matplotlib import pyplot
from scipy import stats
from support import perturb

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density import estimator_questions
from tfp_gmnvp.density.columns import ColumnKinds, Integer, Positive
from tfp_gmnvp.density.columns.cells import cell_points
from tfp_gmnvp.density.conditional_density import given, marginal
from tfp_gmnvp.density.missing.importance import PoorSamplesWarning
from tfp_gmnvp.density.table_density import TableDensity

SETTINGS = {"covariance_type": "full", "random_state": 0}


@functools.cache
def table(num_rows=300):
    rng = np.random.default_rng(3)
    city = rng.choice(["Bern", "Oslo", "Rome"], num_rows, p=[0.2, 0.3, 0.5])
    level = np.select([city == "Oslo", city == "Rome"], [-1.0, 1.0], 0.0)
    level = level + rng.normal(size=num_rows)
    return pd.DataFrame(
        {
            "price": np.exp(level),
            "count": rng.poisson(np.exp(0.4 * level + 1.0)),
            "city": city,
            "hour": (23.0 + 2.0 * level + rng.normal(size=num_rows)) % 24.0,
        }
    )


@functools.cache
def fitted(*columns, n_components=2):
    kinds = {
        "price": Positive(transform="log"),
        "count": Integer(1.0),
        "city": "category",
        "hour": ("circular", 24.0),
    }
    some = {column: kinds[column] for column in columns}
    density = gmnvp.FlowMixture(n_components, columns=some, steps=1, **SETTINGS)
    density.fit(table()[list(columns)])
    assert not density.keeps_flow_
    return density


def joint(density, known, column, values):
    """p(known, value) of each value of the one other column."""
    rows = pd.DataFrame([{**known, column: value} for value in values])
    return np.exp(density.score_samples(rows[list(density.feature_names_in_)]))


@pytest.fixture
def ax():
    yield pyplot.figure().gca()
    pyplot.close("all")


# Against closed forms.


@functools.cache
def log_normal():
    rng = np.random.default_rng(0)
    logs = rng.multivariate_normal([1.0, -1.0], [[0.5, 0.3], [0.3, 0.4]], size=400)
    columns = dict.fromkeys(("a", "b"), Positive(transform="log"))
    x = pd.DataFrame(np.exp(logs), columns=["a", "b"])
    density = gmnvp.FlowMixture(1, columns=columns, steps=1, **SETTINGS).fit(x)
    return density, logs.mean(axis=0), np.cov(logs.T, bias=True)


def test_conditionals_of_a_log_normal():
    density, loc, cov = log_normal()
    a = np.array([0.5, 2.0, 9.0])
    found = density.given({"a": a})
    center = loc[1] + cov[0, 1] / cov[0, 0] * (np.log(a) - loc[0])
    spread = np.sqrt(cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0])
    oracle = stats.lognorm(s=spread, scale=np.exp(center))
    assert found.effective_sample_size is None
    assert found.columns == ("b",)
    x = np.array([0.1, 0.5, 2.0])[:, np.newaxis] * np.ones(3)
    np.testing.assert_allclose(found.mean()[:, 0], oracle.mean(), rtol=1e-3)
    np.testing.assert_allclose(found.cdf(x[..., np.newaxis])[..., 0], oracle.cdf(x), atol=1e-3)
    np.testing.assert_allclose(found.log_prob(x[..., np.newaxis]), oracle.logpdf(x), atol=5e-3)
    quantiles = found.quantile([0.05, 0.5], "b")
    np.testing.assert_allclose(quantiles, oracle.ppf(np.array([[0.05], [0.5]])), rtol=2e-3)
    draws = found.sample(4000, seed=0)
    assert draws.shape == (4000, 3, 1)
    for n in range(3):
        one = stats.lognorm(s=spread, scale=np.exp(center[n]))
        assert stats.kstest(draws[:, n, 0], one.cdf).pvalue > 1e-3


def test_marginals_of_a_log_normal():
    density, loc, cov = log_normal()
    found = density.marginal(["b"])
    oracle = stats.lognorm(s=np.sqrt(cov[1, 1]), scale=np.exp(loc[1]))
    np.testing.assert_allclose(found.mean(), [oracle.mean()], rtol=1e-3)
    np.testing.assert_allclose(found.quantile(0.9), [oracle.ppf(0.9)], rtol=2e-3)
    np.testing.assert_allclose(found.log_prob([[0.3], [2.0]]), oracle.logpdf([0.3, 2.0]), atol=5e-3)
    both = density.marginal(["b", "a"])
    x = density.sample(5)[0]
    found = both.log_prob(x[["b", "a"]])
    np.testing.assert_allclose(found, density.score_samples(x), atol=1e-9)


# Against scores of the joint density.


def test_counts_have_the_ratios_of_scores():
    density = fitted("price", "count")
    found = density.given({"price": 2.0})
    probabilities = found.probabilities()
    values, p = (np.array(list(part)) for part in (probabilities, probabilities.values()))
    assert all(isinstance(value, int) for value in probabilities)
    assert p.sum() == pytest.approx(1.0, abs=1e-8)
    oracle = joint(density, {"price": 2.0}, "count", values)
    np.testing.assert_allclose(p, oracle / oracle.sum(), atol=1e-6)
    np.testing.assert_allclose(np.exp(found.log_prob(values[:, np.newaxis])), p, atol=1e-6)
    assert found.mean()[0] == pytest.approx(values @ p)
    np.testing.assert_allclose(found.cdf(values[:, np.newaxis])[:, 0], np.cumsum(p), atol=1e-6)
    for q in (0.1, 0.5, 0.9):
        assert found.quantile(q)[0] == values[np.searchsorted(np.cumsum(p), q)]


def test_categories_follow_bayes_rule():
    density = fitted("price", "city")
    prices = [0.1, 1.0, 4.0]
    found = density.given({"price": prices}).probabilities()
    assert set(found) == {"Bern", "Oslo", "Rome"}
    for n, price in enumerate(prices):
        oracle = joint(density, {"price": price}, "city", found)
        p = [each[n] for each in found.values()]
        np.testing.assert_allclose(p, oracle / oracle.sum(), atol=2e-4)


@pytest.mark.parametrize(
    ("known", "column"),
    [({"price": 2.0, "count": 4}, "city"), ({"price": 0.5, "city": "Oslo"}, "count")],
)
def test_a_discrete_column_given_another(known, column):
    density = fitted("price", "count", "city")
    found = {v: p for v, p in density.given(known).probabilities().items() if p > 1e-3}
    rows = pd.DataFrame([{**known, column: value} for value in found])
    rows = rows[["price", "count", "city"]]
    oracle, error = density.columns_.log_prob(density.fit_.log_prob, rows, 4096)
    oracle = np.exp(oracle) / np.exp(oracle).sum() * sum(found.values())
    assert error.max() < 0.01
    np.testing.assert_allclose(list(found.values()), oracle, atol=5e-4)


@pytest.mark.parametrize("city", ["Bern", "Oslo", "Rome"])
def test_the_chain_rule_over_a_cell(city):
    density = fitted("price", "city")
    rows = pd.DataFrame({"price": [0.2, 1.0, 5.0], "city": city})
    share = density.marginal(["city"]).probabilities()[city]
    found = density.given({"city": city}).log_prob(rows[["price"]]) + np.log(share)
    np.testing.assert_allclose(found, density.score_samples(rows), atol=2e-3)


def test_the_total_of_conditionals_is_the_marginal():
    density = fitted("price", "city")
    shares = density.marginal(["city"]).probabilities()
    found = density.given({"city": list(shares)})
    weight, marginal = np.array(list(shares.values())), density.marginal(["price"])
    assert found.mean()[:, 0] @ weight == pytest.approx(marginal.mean()[0], rel=1e-3)
    x = np.array([0.2, 1.0, 5.0])
    of_each = found.cdf(np.repeat(x[:, np.newaxis], 3, axis=1), "price")
    np.testing.assert_allclose(of_each @ weight, marginal.cdf(x, "price"), atol=1e-4)
    quantiles = found.quantile([0.2, 0.7], "price")
    np.testing.assert_allclose(
        found.cdf(quantiles, "price"), np.array([[0.2], [0.7]]) * np.ones(3), atol=1e-9
    )


def test_circular_columns():
    density = fitted("price", "hour")
    hours = np.linspace(0.0, 24.0, 97)
    found = density.given({"price": 1.0})
    p = np.exp(found.log_prob(hours[:, np.newaxis]))
    assert np.trapezoid(p, hours) == pytest.approx(1.0, abs=1e-6)
    assert p[0] == pytest.approx(p[-1], rel=1e-9)
    oracle = joint(density, {"price": 1.0}, "hour", hours)
    np.testing.assert_allclose(p, oracle / np.trapezoid(oracle, hours), rtol=1e-5)
    angle = 2 * np.pi * hours / 24
    direction = np.arctan2(np.trapezoid(np.sin(angle) * p), np.trapezoid(np.cos(angle) * p))
    assert found.mean()[0] == pytest.approx(direction / (2 * np.pi) * 24 % 24, abs=1e-3)
    draws = found.sample(50, seed=0)["hour"]
    assert draws.between(0.0, 24.0).all()
    near, turned = (density.given({"hour": hour}) for hour in (0.5, 24.5))
    assert near.mean()[0] == pytest.approx(turned.mean()[0], rel=1e-9)
    prices = np.exp(np.linspace(-6.0, 6.0, 301))
    oracle = joint(density, {"hour": 0.5}, "price", prices)
    assert near.mean()[0] == pytest.approx(
        np.trapezoid(oracle * prices, prices) / np.trapezoid(oracle, prices), rel=1e-3
    )


def test_samples_are_rows_of_the_table():
    density = fitted("price", "count", "city")
    found = density.given({"price": 3.0})
    x = found.sample(3000, seed=1)
    assert list(x.columns) == ["count", "city"]
    assert x["count"].dtype == np.int64
    for value, p in found.probabilities("city").items():
        assert (x["city"] == value).mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 3000))
    error = x["count"].std() / np.sqrt(3000)
    assert x["count"].mean() == pytest.approx(found.mean("count"), abs=4 * error)
    batch = density.given({"city": np.array(["Oslo", "Rome"])})
    draws = batch.sample(2000, seed=1)
    assert draws.shape == (2000, 2, 2)
    np.testing.assert_allclose(
        draws.mean(axis=0)[:, 1], batch.mean("count"), atol=4 * 3 / np.sqrt(2000)
    )


def test_points_are_lists_arrays_and_tables():
    found = fitted("price", "count", "city").given({"price": 3.0})
    points = [[2, "Oslo"], [4, "Rome"]]
    oracle = found.log_prob(pd.DataFrame(points, columns=["count", "city"]))
    np.testing.assert_array_equal(found.log_prob(points), oracle)
    np.testing.assert_array_equal(found.log_prob(np.array(points, object)), oracle)
    assert found.log_prob(points[0]) == pytest.approx(oracle[0], rel=1e-2)
    batch = fitted("price", "count", "city").given({"price": [1.0, 3.0]})
    of_all = batch.log_prob(np.array([[point, point] for point in points], object))
    assert of_all.shape == (2, 2)
    np.testing.assert_allclose(of_all[:, 1], oracle, rtol=1e-2)


def test_many_conditions_are_those_of_each():
    density = fitted("price", "city")
    cities = np.array(["Bern", "Oslo", "Rome"] * 100)
    many, few = density.given({"city": cities}), density.given({"city": cities[:3]})
    prices = np.linspace(0.5, 4.0, 300)
    expected = few.log_prob(np.repeat(prices[:, np.newaxis, np.newaxis], 3, axis=1))
    found = many.log_prob(prices[:, np.newaxis])
    np.testing.assert_allclose(found, expected[np.arange(300), np.arange(300) % 3], rtol=1e-9)
    np.testing.assert_allclose(many.mean(), np.tile(few.mean(), [100, 1]), rtol=1e-9)
    quantiles = np.tile(few.quantile([0.3, 0.6]), [1, 100, 1])
    np.testing.assert_allclose(many.quantile([0.3, 0.6]), quantiles, rtol=1e-9)
    levels = many.cdf(quantiles)
    np.testing.assert_allclose(levels, [[[0.3]], [[0.6]]] * np.ones([2, 300, 1]), rtol=1e-9)
    draws = many.sample(40, seed=0)[:, :, 0]
    p = stats.kstest(many.cdf(draws, "price").ravel(), "uniform").pvalue
    assert p > 1e-3


def test_without_kinds_it_is_the_flows_own_answer():
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=[100, 2]) @ [[1.0, 0.5], [0.0, 1.0]], columns=["a", "b"])
    density = gmnvp.FlowMixture(1, steps=1, **SETTINGS).fit(x)
    found = density.given({"a": 1.0})
    assert isinstance(found, TableDensity)
    np.testing.assert_array_equal(found.mean(), given(density.flow_, {"a": 1.0}).mean())
    alone = density.marginal(["b"])
    assert isinstance(alone, TableDensity)
    np.testing.assert_array_equal(alone.mean(), marginal(density.flow_, ["b"]).mean())


# Flows that are not mixtures.


@functools.cache
def bent():
    """A flow of three encoded columns."""
    x = table()[["price", "count", "city"]]
    kinds = ColumnKinds.of_table(x, {"price": Positive(transform="log"), "count": Integer(1.0)})
    settings = {"num_couplings": 2, "hidden_units": (8,), "dtype": tf.float64, "seed": 0}
    flow = gmnvp.gaussian_mixture_flow(3, 2, standardize=kinds.encode(x), **settings)
    flow = perturb(flow, scale=0.2)
    return flow, kinds, lambda z: flow.log_prob(z).numpy()


def test_one_column_of_a_flow_by_quadrature():
    flow, kinds, log_prob = bent()
    known = {"price": [0.7, 2.0], "count": 3}
    found = estimator_questions.given(flow, kinds, known, num_samples=2, seed=0)
    assert "by quadrature" in repr(found)
    p = np.stack(list(found.probabilities().values()))
    np.testing.assert_allclose(p.sum(axis=0), 1.0, rtol=1e-9)
    for n, price in enumerate(known["price"]):
        rows = pd.DataFrame({"price": price, "count": 3, "city": list(found.probabilities())})
        oracle = np.exp(kinds.log_prob(log_prob, rows, 4096)[0])
        np.testing.assert_allclose(p[:, n], oracle / oracle.sum(), atol=2e-3)


def test_more_columns_of_a_flow_by_samples():
    flow, kinds, log_prob = bent()
    found = estimator_questions.given(flow, kinds, {"price": 1.5}, num_samples=4000, seed=0)
    counts, cities = np.arange(60), ("Bern", "Oslo", "Rome")
    rows = pd.DataFrame([(1.5, n, c) for n in counts for c in cities], columns=kinds.names)
    oracle = np.exp(kinds.log_prob(log_prob, rows, 64)[0]).reshape(-1, 3)
    oracle /= oracle.sum()
    tolerance = 4 * 0.5 / np.sqrt(found.effective_sample_size)
    shares = found.probabilities("city")
    for city, share in zip(cities, oracle.sum(axis=0), strict=True):
        assert shares[city] == pytest.approx(share, abs=tolerance)
    middle = found.quantile(0.5, "count")
    below = oracle.sum(axis=1)[counts <= middle].sum()
    assert below > 0.5 - tolerance
    assert found.sample(3, seed=0).shape == (3, 2)


def test_poor_samples_are_warned_of():
    flow, kinds, _ = bent()
    with pytest.warns(PoorSamplesWarning, match="`num_samples`"):
        estimator_questions.given(flow, kinds, {"price": 1.5}, num_samples=4, seed=0)


# Parts.


def test_the_middle_of_cells():
    x = table()[["price", "count", "city"]]
    kinds = ColumnKinds.of_table(x, {"price": "positive", "count": Integer(1.0)})
    z = kinds.encode(x, seed=None)
    np.testing.assert_array_equal(z, kinds.encode(x, seed=None))
    assert kinds.decode(z)[["count", "city"]].equals(x[["count", "city"]])
    shares = x["city"].map(x["city"].value_counts(normalize=True))
    of_first = z[np.argmin(z[:, 2]), 2]
    first = x["city"].iloc[np.argmin(z[:, 2])]
    assert of_first == pytest.approx(stats.norm.ppf(shares[x["city"] == first].iloc[0] / 2))


@pytest.mark.parametrize(("num_points", "size"), [(16, 1), (36, 2), (64, 3), (64, 5)])
def test_points_of_cells_integrate(num_points, size):
    u, weight = cell_points(num_points, size)
    assert weight.sum() == pytest.approx(1.0)
    assert u.min() > 0
    assert u.max() < 1
    found = weight @ np.prod(1.0 + u, axis=1)
    assert found == pytest.approx(1.5**size, rel=1e-9 if size < 4 else 0.02)


# Pictures and errors.


def test_pictures(ax):
    density = fitted("price", "count", "city")
    found = density.given({"city": ["Oslo", "Rome"]})
    found.plot(ax, column="price")
    assert ax.get_xlabel() == "price"
    for line in ax.lines:
        assert 0.9 < np.trapezoid(line.get_ydata(), line.get_xdata()) < 1.01
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["city = Oslo", "city = Rome"]
    ax.clear()
    one = density.given({"price": 1.0, "count": 2})
    one.plot(ax)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx(list(one.probabilities().values()))
    assert [t.get_text() for t in ax.get_xticklabels()] == list(one.probabilities())
    assert ax.get_title() == "price = 1, count = 2"


def test_one_of_several_columns_has_the_same_curve(ax):
    density = fitted("price", "hour")
    alone, together = density.marginal(["hour"]), density.marginal(["hour", "price"])
    for found, column in ((alone, None), (together, "hour")):
        found.plot(ax, column=column)
    curves = [line.get_ydata() for line in ax.lines]
    np.testing.assert_allclose(curves[0][1:-1], curves[1][1:-1], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("known", "error", "words"),
    [
        ({"town": "Rome"}, ValueError, "`known` must name columns .* got 'town'"),
        ({"city": "Paris"}, ValueError, "column 'city' must hold known categories"),
        ({"count": 2.5}, ValueError, "column 'count' must hold multiples of 1"),
        ({"price": -1.0}, ValueError, "column 'price' must hold numbers above 0"),
        ({"price": np.nan}, ValueError, "missing values, got one of column 'price'"),
        ({"price": "much"}, TypeError, "column 'price' is declared 'positive'"),
        ({"price": np.datetime64("2020-01-01")}, TypeError, "column 'price'"),
        ({"price": [1.0, 2.0], "city": ["Rome"] * 3}, ValueError, "or N values each"),
        ({}, ValueError, "must hold 1 to 2 of the 3 columns"),
        (["price"], TypeError, "`known` must map columns to values"),
    ],
)
def test_conditions_that_are_refused(known, error, words):
    with pytest.raises(error, match=words):
        fitted("price", "count", "city").given(known)


def test_questions_that_are_refused():
    found = fitted("price", "count", "city").given({"price": 1.0})
    assert repr(found) == "EncodedDensity(columns=('count', 'city'), given price = 1, exact)"
    with pytest.raises(TypeError, match=r"'city' is a category .* `probabilities\('city'\)`"):
        found.mean()
    with pytest.raises(TypeError, match="'city' is a category and has no quantile"):
        found.quantile(0.5)
    with pytest.raises(ValueError, match=r"`probabilities\(column='count'\)`"):
        found.probabilities()
    with pytest.raises(ValueError, match=r"in \(0, 1\), got 1.5"):
        found.quantile(1.5, "count")
    with pytest.raises(ValueError, match="`x` must have shape"):
        found.log_prob([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="missing values, got one of column 'city' in row 0"):
        found.log_prob([[1, None]])
    with pytest.raises(ValueError, match="`column` must name columns"):
        found.mean("price")
    with pytest.raises(TypeError, match="'hour' is circular and has no cdf"):
        fitted("price", "hour").given({"price": 1.0}).cdf([1.0])
    with pytest.raises(TypeError, match="'positive' has too many values"):
        fitted("price", "count", "city").marginal(["price"]).probabilities()
    with pytest.raises(ValueError, match="different columns"):
        fitted("price", "count", "city").marginal(["price", "price"])
