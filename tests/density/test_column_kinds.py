"""Kinds of columns: detection, round trips, refusals by name, and what is kept of a table."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.density.columns import (
    Bounded,
    Category,
    Circular,
    ColumnKinds,
    Integer,
    Positive,
    Real,
    SupportWarning,
)

N = 120


def frame(seed=0):
    """A table with every kind of column, and holes."""
    rng = np.random.default_rng(seed)
    group = rng.integers(3, size=N)
    table = pd.DataFrame(
        {
            "height": rng.normal(170, 10, size=N),
            "price": np.exp(rng.normal(group, 1.0)),
            "share": rng.beta(2, 3, size=N),
            "angle": rng.uniform(0, 360, size=N),
            "age": rng.integers(18, 80, size=N),
            "tenths": np.round(rng.normal(size=N), 1),
            "count": rng.poisson(0.7, size=N),
            "city": np.array(["Rome", "Oslo", "Lima"])[group],
            "member": rng.uniform(size=N) < 0.3,
            "size": pd.Categorical(np.array(["S", "M", "L"])[rng.integers(3, size=N)]),
            "visits": pd.array(rng.integers(9, size=N), "Int64"),
        }
    )
    table.loc[3, ["price", "tenths", "city", "size", "visits"]] = None
    return table


DECLARED = {
    "angle": ("circular", 360),
    "share": (0, 1),
    "price": "positive",
    "count": Integer(low=0),
}


@pytest.fixture(scope="module")
def table():
    return frame()


@pytest.fixture(scope="module")
def kinds(table):
    return ColumnKinds.of_table(table, DECLARED)


def test_kinds_are_detected_and_said(kinds):
    found = {name: kind.kind for name, kind in zip(kinds.names, kinds.kinds, strict=True)}
    integers = dict.fromkeys(("age", "tenths", "count", "visits"), "integer")
    categories = dict.fromkeys(("city", "member", "size"), "category")
    rest = {"height": "real", "price": "positive", "share": "bounded", "angle": "circular"}
    assert found == {**rest, **integers, **categories}
    lines = repr(kinds).splitlines()
    assert len(lines) == 1 + len(found)
    assert "integer, steps of 0.1" in lines[6] and "values in 119 rows" in lines[6]
    assert "declared" in lines[2] and "dtype bool" in lines[9]


def test_a_table_comes_back_with_its_dtypes_and_holes(table, kinds):
    z = kinds.encode(table, seed=1)
    assert z.shape == table.shape and z.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(z), table.isna())
    decoded = kinds.decode(z)
    pd.testing.assert_frame_equal(decoded, table, check_categorical=False)
    assert set(decoded["size"].cat.categories) == {"S", "M", "L"}


def test_noise_is_redrawn_by_the_seed_in_discrete_columns_alone(table, kinds):
    first, again, other = (kinds.encode(table, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    moved = (first != other)[5]
    np.testing.assert_array_equal(np.flatnonzero(moved), kinds.discrete_columns)


def test_configuration_and_pickles_give_the_same_kinds(table, kinds):
    config = json.loads(json.dumps(kinds.get_config()))
    for copy in (ColumnKinds.from_config(config), pickle.loads(pickle.dumps(kinds))):
        assert copy == kinds
        np.testing.assert_array_equal(copy.encode(table, 3), kinds.encode(table, 3))
        assert repr(copy) == repr(kinds)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "kind",
    [
        Real(),
        Positive(),
        Positive(low=-2.0, transform="softplus"),
        Bounded(-1, 9),
        Circular(7.0),
        Integer(),
        Integer(low=0),
        Integer(low=0, high=9),
        Category(),
    ],
    ids=repr,
)
def test_arrays_of_every_kind_come_back(kind, dtype):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.01, 6.9, size=[40, 1])
    x = (np.round(x) if kind.is_discrete else x).astype(dtype)
    kinds = ColumnKinds.of_table(x, {0: kind})
    decoded = kinds.decode(kinds.encode(x, seed=0))
    assert decoded.dtype == dtype
    np.testing.assert_allclose(decoded, x, rtol=2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_far_out_are_valid_values(dtype):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 0.9, size=[30, 4]).astype(dtype)
    x[:, 3] = rng.integers(1, 5, size=30)
    declared = {0: "positive", 1: (0, 1), 2: ("circular", 1), 3: Integer(low=1, high=5)}
    kinds = ColumnKinds.of_table(x, declared)
    z = np.array([[-1e3] * 4, [1e3] * 4, [-40.0] * 4, [40.0] * 4])
    decoded = kinds.decode(z)
    assert decoded.dtype == dtype
    assert np.isfinite(kinds.encode(decoded)).all()
    assert (decoded[:, 0] > 0).all() and set(decoded[:, 3]) == {1.0, 5.0}
    assert ((decoded[:, 1:3] >= 0) & (decoded[:, 1:3] < 1)).all()


def test_log_dets_are_those_of_autodiff():
    x = np.random.default_rng(0).uniform(0.1, 0.9, size=[20, 4])
    declared = {0: "positive", 1: (0, 1), 2: Positive(transform="softplus"), 3: "real"}
    kinds = ColumnKinds.of_table(x, declared)
    inverse = kinds.bijector(tf.float64).inverse
    jacobian = tfp.math.value_and_gradient(inverse, tf.constant(x))[1]  # diagonal
    np.testing.assert_allclose(kinds.log_det(x), np.log(jacobian).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(inverse(tf.constant(x)), kinds.encode(x), rtol=1e-12)


def test_lists_and_objects_with_text():
    rows = [[1.5, "a", True], [None, "b", False], [2.5, None, True]] * 5
    kinds = ColumnKinds.of_table(rows, {0: "positive"})
    decoded = kinds.decode(kinds.encode(rows))
    assert decoded[:3].tolist()[0] == [1.5, "a", True]
    assert np.isnan(decoded[1, 0]) and decoded[2, 1] is None


@pytest.mark.parametrize(
    ("values", "step", "offset"),
    [
        (np.round(np.random.default_rng(0).normal(size=90), 1), 0.1, 0.0),
        (0.05 * np.random.default_rng(0).integers(99, size=90), 0.05, 0.0),
        ((0.1 * np.random.default_rng(0).integers(99, size=90)).astype(np.float32), 0.1, 0.0),
        (1000 + 50.0 * np.random.default_rng(0).integers(9, size=90), 50.0, 0.0),
        (0.25 + np.random.default_rng(0).integers(30, size=90), 1.0, 0.25),
        (np.random.default_rng(0).integers(30, size=90) / 3, 1 / 3, 0.0),
    ],
)
def test_resolutions_are_found_by_the_ties(values, step, offset):
    (kind,) = ColumnKinds.of_table(np.asarray(values, np.float64)[:, np.newaxis]).kinds
    assert kind.kind == "integer"
    np.testing.assert_allclose(kind.resolution, step, rtol=1e-12)
    assert abs((kind.offset - offset) / step - round((kind.offset - offset) / step)) < 1e-6


def test_skewed_columns_are_found_positive_and_others_real():
    rng = np.random.default_rng(0)
    x = np.stack([rng.lognormal(size=300), rng.normal(50, 1, size=300)], axis=1)
    kinds = ColumnKinds.of_table(x)
    assert [kind.kind for kind in kinds.kinds] == ["positive", "real"]
    assert "nats over real" in kinds.reasons[0]
    assert not kinds.is_discrete


def test_the_transform_of_positive_columns_is_chosen_by_held_out_rows():
    rng = np.random.default_rng(0)
    x = np.stack([rng.lognormal(0, 2, size=400), np.abs(rng.normal(3, 1, size=400))], axis=1)
    first, second = ColumnKinds.of_table(x, dict.fromkeys(range(2), "positive")).kinds
    assert (first.transform, second.transform) == ("log", "softplus")


def test_zero_inflation_is_said():
    rng = np.random.default_rng(0)
    x = np.where(rng.uniform(size=200) < 0.1, 0.0, rng.lognormal(size=200))
    (reason,) = ColumnKinds.of_table(x[:, np.newaxis]).reasons
    assert "are 0, which no density describes" in reason


def test_few_rows_with_ties_and_many_values_are_no_categories():
    x = np.append(np.zeros(6), np.random.default_rng(0).lognormal(size=6))[:, np.newaxis]
    assert ColumnKinds.of_table(x).kinds == (Real(),)


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(0)
    x = np.array(["a", "b", "c"], object)[rng.integers(3, size=30)][:, np.newaxis]
    weight = rng.integers(3, size=30)
    weighted = ColumnKinds.of_table(x, sample_weight=weight).kinds[0]
    repeated = ColumnKinds.of_table(np.repeat(x, weight, axis=0)).kinds[0]
    assert weighted == repeated


def test_rows_of_weight_zero_add_no_category():
    x = np.array([["a"], ["b"], ["c"], ["a"]], object)
    (kind,) = ColumnKinds.of_table(x, sample_weight=[1, 1, 0, 1]).kinds
    assert dict(zip(kind.categories, kind.probs, strict=True)) == {"a": 2 / 3, "b": 1 / 3}


def test_few_even_numbers_are_whole_numbers_and_many_are_even():
    rng = np.random.default_rng(0)
    few, many = 2.0 * rng.integers(4, size=[50, 1]), 2.0 * rng.integers(9, size=[50, 1])
    steps = [ColumnKinds.of_table(x, {0: "integer"}).kinds[0].resolution for x in (few, many)]
    assert steps == [1.0, 2.0]


def test_categories_are_ordered_by_the_other_columns():
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=200)
    table = pd.DataFrame(
        {
            "value": np.array([0.0, 9.0, 3.0, 6.0])[codes] + rng.normal(size=200),
            "label": np.array(["a", "b", "c", "d"])[codes],
        }
    )
    kind = ColumnKinds.of_table(table, {"value": "real"}).kinds[1]
    assert kind.categories in (("a", "c", "d", "b"), ("b", "d", "c", "a"))
    assert kind.concentration == 5.0  # the categories are apart
    table["other"] = rng.choice(list("ab"), size=200)
    assert ColumnKinds.of_table(table).kinds[2].concentration == 1.0
    by_frequency = ColumnKinds.of_table(table, {"label": Category(order="frequency")}).kinds[1]
    assert list(by_frequency.probs) == sorted(by_frequency.probs, reverse=True)


#: Columns that people have, by a generator and their number of rows.
ANY = {
    "one value": lambda rng, n: np.full(n, 3.7),
    "1e-12": lambda rng, n: 1e-12 * rng.lognormal(size=n),
    "1e12": lambda rng, n: 1e12 * rng.lognormal(size=n),
    "seconds": lambda rng, n: 1.7e9 + rng.integers(0, 10**7, size=n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "negative": lambda rng, n: -rng.lognormal(size=n),
    "codes": lambda rng, n: rng.choice([0.1, 7, 100, 33.3], size=n),
    "cents": lambda rng, n: np.round(rng.lognormal(3, 1, size=n), 2),
    "hundreds": lambda rng, n: 100.0 * rng.integers(-50, 50, size=n),
    "thirds": lambda rng, n: rng.integers(40, size=n) / 3,
    "halves": lambda rng, n: 0.5 + rng.integers(0, 30, size=n),
    "1e15": lambda rng, n: 1e15 + rng.integers(0, 50, size=n),
    "shares": lambda rng, n: rng.beta(0.3, 0.3, size=n).clip(1e-9, 1 - 1e-9),
}


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("size", [1, 5, 100])
def test_columns_of_any_scale_come_back_and_have_finite_probabilities(name, size):
    rng = np.random.default_rng(0)
    x = np.asarray(ANY[name](rng, size))[:, np.newaxis]
    x[size // 2 + 1 :: 5] = np.nan
    kinds = ColumnKinds.of_table(x)
    z = kinds.encode(x)
    assert np.isfinite(z[~np.isnan(x)]).all()
    np.testing.assert_allclose(kinds.decode(z), x, rtol=1e-9)
    log_prob, error = kinds.log_prob(lambda z: np.zeros(len(z)), x[:3], num_draws=8)
    assert np.isfinite(log_prob).all() and np.isfinite(error).all()


def one(values, declared=None):
    column = np.empty([len(values), 1], object)
    column[:, 0] = values
    return ColumnKinds.of_table(column, None if declared is None else {0: declared})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: one([1.0, 0.0, 2.0], "positive"),
            "column 0 .* above 0, .* 0.0 in row 1: .*margin",
        ),
        (lambda: one([None, 1.0, 0.0], "positive"), "above 0, .* 0.0 in row 2"),
        (lambda: one([0.5, 1.0], (0, 1)), "column 0 .* below 1, .* 1.0 in row 1: .*margin"),
        (lambda: one([1.0, 2.5], Integer(1)), "column 0 .* multiples of 1, .* 2.5 in row 1"),
        (lambda: one([0.1, 0.7, 0.41234567], "integer"), "column 0 .* without a common one"),
        (lambda: one([1.0, -1.0], Integer(low=0)), "column 0 .* from 0, .* -1.0 in row 1"),
        (lambda: one([1.0, np.inf]), "column 0 .* finite .* inf in row 1"),
        (lambda: one([None, None]), "column 0 is missing in all rows"),
        (lambda: one([np.nan, np.nan], "positive"), "column 0 is missing in all rows"),
        (lambda: one(list("abcdefgh")), "column 0 .* 8 in 8 rows"),
        (lambda: one([1.0, 2.0], "positve"), "`columns.*Did you mean 'positive'"),
        (lambda: one([1.0, 2.0], (1, 0)), "lower bound first"),
        (lambda: ColumnKinds.of_table([[1.0]], {"b": "real"}), "`columns` must name columns"),
        (lambda: Integer(high=3), "`low`"),
        (lambda: Category(["a", "a"]), "different values"),
        (lambda: Positive(transform="exp"), "`transform`"),
        (lambda: Bounded(0, 1, margin=0.5), "`margin`"),
        (lambda: Circular(0.0), "`period`"),
    ],
)
def test_refuses_values_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one([1.0, "a"]), "column 0 .* got both"),
        (lambda: one(["a", "b"], "integer"), "column 0 is declared 'integer' .* 'a' in row 0"),
        (lambda: one([{}, {}]), "column 0 must hold numbers, text or bools"),
        (lambda: one([1.0, 2.0], 3), "kind of column"),
        (lambda: ColumnKinds.of_table([[1.0]], ["real"]), "`columns` must be a dict"),
        (
            lambda: ColumnKinds.of_table(pd.DataFrame({"day": pd.to_datetime(["2020-01-01"] * 2)})),
            "column 'day' must hold numbers, text or bools",
        ),
    ],
)
def test_refuses_what_is_no_number_or_text(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_refuses_unseen_categories_and_other_columns_at_encode(table, kinds):
    other = frame(seed=1)
    other.loc[7, "city"] = "Bonn"
    with pytest.warns(SupportWarning, match="'city' was found to be"):
        z = kinds.encode(other)
    assert np.isnan(z[7, list(other.columns).index("city")])
    declared = ColumnKinds.of_table(table, {"city": "category"})
    with pytest.raises(ValueError, match=r"column 'city' .* known .* 'Bonn' in row 7"):
        declared.encode(other)
    with pytest.raises(ValueError, match="must have the columns"):
        kinds.encode(table[table.columns[::-1]])
    with pytest.raises(ValueError, match="`Z` must have shape"):
        kinds.decode(np.zeros([3, 2]))
    with pytest.raises(ValueError, match="must have a row"):
        kinds.encode(table[:0])
    with pytest.raises(ValueError, match="takes continuous columns alone, got 'age'"):
        kinds.bijector()


def test_margins_move_values_on_a_bound_inside():
    x = np.array([[0.0, 0.0], [0.5, 1.0], [2.0, 0.5]])
    kinds = ColumnKinds.of_table(x, {0: Positive(margin=0.1), 1: Bounded(0, 1, margin=0.01)})
    np.testing.assert_allclose(
        kinds.decode(kinds.encode(x)), [[0.1, 0.01], [0.5, 0.99], [2.0, 0.5]], rtol=1e-12
    )
    assert "moved up to 0.1" in repr(kinds) and "moved inside by 0.01" in repr(kinds)
