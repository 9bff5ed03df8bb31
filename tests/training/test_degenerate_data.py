"""Data without a density gives one warning with column names; other data gives none."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.data.degenerate_columns import examine
from tfp_gmnvp.training.data.degenerate_data import warn_if_degenerate

pytestmark = pytest.mark.filterwarnings("error")  # a false alarm fails the test

SMALL = {"num_couplings": 1, "hidden_units": ()}
RNG = np.random.default_rng(0)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_outliers():
    x = normal(5000, 2)
    x[:5] = 1e4
    return x


def two_clusters():
    return normal(1000, 2) + 300 * (np.arange(1000) % 2)[:, np.newaxis]


CONTINUOUS = {
    "few rows": normal(10, 2),
    "fewer rows than columns": normal(20, 30),
    "hardly more rows than columns": normal(36, 30),
    "float32": normal(20_000, 2).astype(np.float32),
    "float32 far from zero": (normal(10_000, 2) + 1e4).astype(np.float32),
    "float32 in float64": (normal(10_000, 2) + 1e4).astype(np.float32).astype(np.float64),
    "uniform float32": RNG.random([50_000, 2], np.float32),
    "float16": normal(1000, 2).astype(np.float16),
    "heavy tails": RNG.standard_cauchy([2000, 3]),
    "log-normal": np.exp(3 * normal(2000, 3)).astype(np.float32),
    "fine steps": np.round(np.exp(10 + normal(1000, 2))),
    "correlated": normal(1000, 1) + 0.03 * normal(1000, 3, seed=1),
    "outliers along the diagonal": with_outliers(),
    "clusters along the diagonal": two_clusters(),
    "dequantised": (RNG.integers(0, 17, [300, 4]) + RNG.random([300, 4])).astype(np.float32),
    "one copy": np.concatenate([normal(500, 2), normal(500, 2)[:1]]),
    "dequantised images": RNG.integers(0, 9, [50, 2, 2, 1]) + RNG.random([50, 2, 2, 1]),
    "too few rows": np.ones([9, 2]),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_data_gives_no_warning(name):
    assert not warn_if_degenerate(CONTINUOUS[name])  # warnings are errors here


def found(x):
    findings = examine(x)
    kinds = ("constant", "discrete", "rounded", "repeated", "dependent")
    columns = {kind: sorted(getattr(findings, kind)) for kind in kinds if getattr(findings, kind)}
    return {**columns, **({"copies": findings.copies} if findings.copies else {})}


def one_hot(dtype):
    return np.concatenate([normal(300, 2), np.eye(3)[np.arange(300) % 3]], axis=1).astype(dtype)


def inflated():
    x = normal(500, 2)
    x[:150, 1] = 0.0
    return x


NORMAL = normal(500, 2)
DEGENERATE = {
    "one-hot": (one_hot(np.float64), {"discrete": [2, 3, 4], "dependent": [4]}),
    "one-hot in float32": (one_hot(np.float32), {"discrete": [2, 3, 4], "dependent": [4]}),
    "constant": (np.insert(NORMAL, 1, 0.1, axis=1).astype(np.float32), {"constant": [1]}),
    "integers": (np.round(10 * NORMAL), {"rounded": [0, 1]}),
    "integers as such": (np.round(10 * NORMAL).astype(int), {"rounded": [0, 1]}),
    "booleans": (NORMAL > 0, {"discrete": [0, 1]}),
    "whole seconds": (np.round(1.7e9 + 30 * NORMAL), {"rounded": [0, 1]}),
    "one decimal": (np.round(normal(150, 2), 1), {"rounded": [0, 1]}),
    "a column twice": (NORMAL[:, [0, 1, 0]], {"dependent": [2]}),
    "a sum in float32": (
        np.c_[NORMAL, NORMAL.sum(axis=1)].astype(np.float32),
        {"dependent": [2]},
    ),
    "almost a column twice": (
        np.c_[NORMAL, NORMAL[:, 0] + 1e-3 * normal(500, seed=1)],
        {"dependent": [2]},
    ),
    "rows ten times": (np.repeat(normal(100, 2), 10, axis=0), {"copies": 900}),
    "some rows twice": (np.concatenate([NORMAL, NORMAL[:25]]), {"copies": 25}),
    "zeros": (inflated(), {"repeated": [1]}),
    "integers twice their other": (
        np.round(5 * NORMAL[:, :1]) * [1.0, 2.0],
        {"rounded": [0, 1], "dependent": [1]},
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_columns_are_found(name):
    x, expected = DEGENERATE[name]
    assert found(x) == expected


def test_a_dependent_column_lists_the_columns_it_depends_on():
    x = np.c_[normal(200, 3), np.zeros(200)]
    x[:, 3] = 3 * x[:, 0] - 2 * x[:, 2] + 7
    assert examine(x).dependent == {3: [0, 2]}


def test_the_warning_names_columns_and_gives_advice():
    x = np.c_[normal(200, 2), np.ones(200)]
    with pytest.warns(gmnvp.DegenerateDataWarning) as caught:
        assert warn_if_degenerate(x, names=["age", "height", "planet"])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    text = str(caught[0].message)
    assert "column 'planet' is constant" in text
    assert "Leave constant columns out" in text
    assert "age" not in text


def test_rows_of_weight_zero_and_contexts_are_ignored():
    x = np.concatenate([normal(50, 2), np.ones([50, 2])])
    assert not warn_if_degenerate(x, sample_weight=np.repeat([1.0, 0.0], 50))
    assert not warn_if_degenerate(np.c_[normal(100, 2), np.ones(100)], event_size=2)


def test_a_sample_of_many_rows_is_examined(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, mode="w+", shape=(200_000, 2))
    x[:] = np.round(normal(200_000, 2), 1)
    with pytest.warns(gmnvp.DegenerateDataWarning, match="in 10,000 of 200,000 rows"):
        warn_if_degenerate(x)


def warnings_of(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", gmnvp.DegenerateDataWarning)
        result = function(*args, **kwargs)
    caught = [w for w in caught if w.category is gmnvp.DegenerateDataWarning]
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught], result


@pytest.fixture(name="model", scope="module")
def a_model():
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1, hidden_units=(), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("sgd", mixture_update=gmnvp.FullBatchEM(), run_eagerly=True)
    return model


CONSTANT = np.c_[normal(60, 2), np.ones(60)].astype(np.float32)


@pytest.mark.parametrize("x", [CONSTANT, tf.constant(CONSTANT), CONSTANT.tolist()], ids=type)
def test_fit_warns_once(model, x):
    (text,), _ = warnings_of(model.fit, x, batch_size=60, epochs=2, verbose=0)
    assert "column 2 is constant" in text


def test_fit_examines_the_batches_of_its_sample():
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1, hidden_units=(), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("sgd", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    batches = tf.data.Dataset.from_tensor_slices(CONSTANT).batch(30)
    (text,), _ = warnings_of(model.fit, batches, epochs=1, verbose=0)
    assert "column 2 is constant" in text


@pytest.mark.slow
def test_fit_mixture_warns_once(model):
    for x in (CONSTANT, tf.data.Dataset.from_tensor_slices(CONSTANT).batch(30)):
        (text,), _ = warnings_of(gmnvp.fit_mixture, model.distribution, x, max_iterations=300)
        assert "column 2 is constant" in text


class Table:
    """A stand-in for a table of another library."""

    columns = ("a", "b", "c", "d")

    def to_numpy(self):
        return np.c_[normal(60, 2), np.arange(60) % 2, np.arange(60) % 2]


def test_fit_density_warns_once_with_column_names_and_reports_the_floor():
    few = {"num_components": [1], "covariance_types": ["full"], "steps": 2, **SMALL}
    (text,), fit = warnings_of(gmnvp.fit_density, Table(), seed=0, **few)
    assert "columns 'c' and 'd' are discrete" in text
    assert "column 'd' is almost a linear function of column 'c'" in text
    assert fit.at_floor == (0,)


def test_a_density_on_a_curve_is_reported_at_the_floor():
    first = np.repeat(normal(2, 1), 40, axis=0) + 1e-5 * normal(80, 1, seed=2)
    x = np.c_[first, 1e-5 * normal(80, 1, seed=1) + first**2]
    few = {"num_components": [2], "covariance_types": ["full"], "steps": 1, **SMALL}
    (text,), fit = warnings_of(gmnvp.fit_density, x, seed=0, **few)
    assert fit.at_floor
    assert "rests on the floor of the covariances" in text


def test_a_density_above_the_floor_is_reported_as_such():
    few = {"num_components": [2], "covariance_types": ["diag"], "steps": 1, **SMALL}
    assert gmnvp.fit_density(normal(60, 2), seed=0, **few).at_floor == ()


@pytest.mark.slow
def test_select_components_warns_once():
    def make_model(num_components, x, seed):
        flow = gmnvp.gaussian_mixture_flow(3, num_components, num_couplings=1, hidden_units=())
        model = gmnvp.FlowModel(flow, seed=seed)
        model.compile("sgd", run_eagerly=True)
        return model

    arguments = {"make_model": make_model, "epochs": 1, "batch_size": 60, "seed": 0}
    (text,), _ = warnings_of(gmnvp.select_components, CONSTANT, [1, 2], **arguments)
    assert "column 2 is constant" in text
