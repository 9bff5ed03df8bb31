"""Tables: invalid columns, and checks against the columns of training."""

import copy
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_gmnvp as gmnvp
from tfp_gmnvp import plotting
from tfp_gmnvp.flows import on_arrays
from tfp_gmnvp.flows.columns import known_columns

pd = pytest.importorskip("pandas")

NAMES = ["height", "weight"]


def table(columns=NAMES, num_rows=40, seed=0):
    x = np.random.default_rng(seed).normal(size=[num_rows, 2]) * [1.0, 5.0]
    return pd.DataFrame(x, columns=NAMES)[list(columns)]


def make_model(seed=0, **arguments):
    settings = {"num_couplings": 1, "hidden_units": (4,), "seed": seed, **arguments}
    model = gmnvp.FlowModel(gmnvp.gaussian_mixture_flow(2, 2, **settings), seed=seed)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    return model


@pytest.fixture(name="model", scope="module")
def a_trained_model():
    model = make_model()
    model.fit(table(), batch_size=40, verbose=0)
    return model


X = np.arange(4.0)
OTHERS = {
    "bool": X > 1,
    "Int64": pd.array([1, 2, 3, 4], dtype="Int64"),
    "Float64": pd.array([1.0, None, 3.0, 4.0], dtype="Float64"),
    "category": pd.Categorical([1, 2, 1, 2]),
    "str": pd.array(list("abcd"), dtype="str"),
    "object": np.array(["a", 1, None, 2], object),
    "datetime64": pd.date_range("2020-01-01", periods=4),
    "timedelta64": pd.to_timedelta(X, unit="s"),
    "complex128": X + 1j,
}
MAKES_POINTS = {
    "fit": lambda x: make_model().fit(x, verbose=0),
    "validation_data": lambda x: make_model().fit(X.repeat(2).reshape(4, 2), validation_data=x),
    "evaluate": lambda x: make_model().evaluate(x, verbose=0),
    "predict": lambda x: make_model().predict(x, verbose=0),
    "standardize": lambda x: make_model(standardize=x),
    "fit_mixture": lambda x: gmnvp.fit_mixture(make_model().distribution, x),
    "bic": lambda x: gmnvp.bic(make_model().distribution, x),
    "posterior": lambda x: gmnvp.posterior(make_model().distribution, x),
    "fit_density": lambda x: gmnvp.fit_density(x, seed=0),
    "select_components": lambda x: gmnvp.select_components(x, [1], seed=0),
    "bijector": gmnvp.standardization,
}


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("alone", [False, True])
def test_a_column_that_holds_no_numbers_is_named(dtype, alone):
    """Alone in a table, some of them are silently converted to numbers."""
    columns = {"odd one": OTHERS[dtype]} if alone else {"a": X, "odd one": OTHERS[dtype]}
    with pytest.raises(TypeError, match=rf"`x` must .*column 'odd one' \({dtype}.*astype"):
        on_arrays.as_points(make_model().distribution, pd.DataFrame(columns))


@pytest.mark.parametrize("function", MAKES_POINTS)
def test_wherever_points_come_in(function):
    flags = pd.DataFrame({"a": X, "flag": X > 1})
    with pytest.raises(TypeError, match=r"`\w+.*` must hold real numbers .*'flag' \(bool\)"):
        MAKES_POINTS[function](flags)
    several = pd.DataFrame({"flag": X > 1, "word": list("abcd")})
    with pytest.raises(TypeError, match=r"columns 'flag' \(bool\), 'word' \(\w+\)"):
        MAKES_POINTS[function](several)


def test_numbers_of_any_size_are_taken(model):
    flow = gmnvp.gaussian_mixture_flow(2, seed=0)
    for dtype in (np.int8, np.uint32, np.int64, np.float16, np.float32, "Sparse[float64]"):
        mixed = pd.DataFrame({"a": X, "b": pd.Series([0, 1, 2, 3]).astype(dtype)})
        np.testing.assert_array_equal(on_arrays.as_points(flow, mixed), np.stack([X, X], axis=1))


USES = {
    "fit": lambda model, x: model.fit(x, verbose=0),
    "validation_data": lambda model, x: model.fit(table(), validation_data=x, verbose=0),
    "validation pair": lambda model, x: model.fit(table(), validation_data=(x, None), verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, verbose=0),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "call": lambda model, x: model(x),
    "train_on_batch": lambda model, x: model.train_on_batch(x),
    "test_on_batch": lambda model, x: model.test_on_batch(x),
    "initialize_mixture": lambda model, x: model.initialize_mixture(x),
    "fit_mixture": lambda model, x: gmnvp.fit_mixture(model.distribution, x),
    "bic": lambda model, x: gmnvp.bic(model.distribution, x),
    "aic": lambda model, x: gmnvp.aic(model.distribution, x),
    "icl": lambda model, x: gmnvp.icl(model.distribution, x),
    "held_out": lambda model, x: gmnvp.held_out_log_likelihood(model.distribution, x),
    "OutlierDetector": lambda model, x: gmnvp.OutlierDetector(model.distribution, x),
    "score": lambda model, x: gmnvp.OutlierDetector(model.distribution, table()).score(x),
    "is_outlier": lambda model, x: gmnvp.OutlierDetector(model.distribution, table()).is_outlier(x),
    "posterior": lambda model, x: gmnvp.posterior(model.distribution, x),
    "predict_component": lambda model, x: gmnvp.predict_component(model.distribution, x),
    "interpolate": lambda model, x: gmnvp.interpolate(model.distribution, table(), x, 3),
    "round_trip_error": lambda model, x: gmnvp.round_trip_error(model.distribution, x),
    "plot_flow": lambda model, x: plotting.plot_flow(model.distribution, x, seed=0),
    "plot_latents": lambda model, x: plotting.plot_latents(model.distribution, x),
    "plot_density": lambda model, x: plotting.plot_density(model.distribution, x=x),
    "plot_warped_grid": lambda model, x: plotting.plot_warped_grid(model.distribution, x=x),
    "pair_plot": lambda model, x: plotting.pair_plot(model.distribution, x, seed=0),
}


@pytest.mark.parametrize("use", USES)
def test_columns_in_another_order_are_refused(model, use):
    before = [v.numpy() for v in model.distribution.variables]
    order = r"must have its columns in the order of training, 'height', 'weight', got 'weight', "
    with pytest.raises(ValueError, match=rf"{order}'height': use `table\[\['height', 'weight'\]"):
        USES[use](model, table(["weight", "height"]))
    with pytest.raises(ValueError, match=r"columns of training, .*; missing: 'weight'"):
        USES[use](model, table().rename(columns={"weight": "mass"}))
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_same_columns_and_arrays_are_taken(model):
    flow = model.distribution
    for x in (table(), table().to_numpy(), pd.DataFrame(table().to_numpy())):
        np.testing.assert_allclose(model.predict(x, verbose=0), flow.log_prob(table()), rtol=1e-5)
        assert model.train_on_batch(x) is not None


def refuses_another_order(flow):
    assert known_columns(flow).points == tuple(NAMES)
    with pytest.raises(ValueError, match="in the order of training"):
        on_arrays.as_points(flow, table(NAMES[::-1]))
    return True


def test_names_survive_saving_and_copying(model, tmp_path):
    flow = model.distribution
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    copied = tfd.TransformedDistribution(flow.distribution, flow.bijector)
    for other in (loaded.distribution, gmnvp.copy_flow(flow), copy.deepcopy(flow), copied):
        assert refuses_another_order(other)
    assert refuses_another_order(gmnvp.copy_flow(gmnvp.copy_flow(loaded.distribution)))
    assert refuses_another_order(flow.copy(name="another"))


def test_fit_density_learns_names(monkeypatch):
    no_training = types.SimpleNamespace(history={})  # which takes XLA long
    monkeypatch.setattr(gmnvp.FlowModel, "fit", lambda *args, **kwargs: no_training)
    settings = {"num_components": [1], "covariance_types": ["diag"], "num_couplings": 1, "seed": 0}
    assert refuses_another_order(gmnvp.fit_density(table(), **settings).model.distribution)


@pytest.mark.slow
def test_who_learns_names():
    make = lambda k, x, seed: make_model(seed)  # noqa: E731
    select = {"make_model": make, "epochs": 1, "seed": 0}
    selection = gmnvp.select_components(table(), [2], **select)
    assert refuses_another_order(selection.model.distribution)
    with pytest.raises(ValueError, match="`x_test` must have its columns in the order"):
        gmnvp.select_components(table(), [2], x_test=table(NAMES[::-1]), **select)
    flow = gmnvp.gaussian_mixture_flow(2, standardize=table(), seed=0)
    assert refuses_another_order(flow)
    foreign = tfd.TransformedDistribution(gmnvp.gaussian_mixture(1, 2, seed=0), tfb.Identity())
    gmnvp.fit_mixture(foreign, table())
    assert refuses_another_order(foreign)
    evaluated = make_model()
    evaluated.evaluate(table(), verbose=0)
    assert known_columns(evaluated.distribution).points is None


@pytest.mark.slow
def test_a_fit_that_is_refused_leaves_no_names():
    model, bad = make_model(), table().astype(float)
    bad.iloc[3, 0] = np.nan
    for data in ({"x": bad}, {"x": table(), "validation_data": bad}, {"x": table(num_rows=1)}):
        with pytest.raises(ValueError, match=r"`x.*` must hold"):
            model.fit(**data, verbose=0)
    with pytest.raises(ValueError, match=r"`x of validation_data` must have its"):
        model.fit(table(), validation_data=table(NAMES[::-1]), verbose=0)
    assert known_columns(model.distribution).points is None
    model.fit(table(NAMES[::-1]), verbose=0)
    assert known_columns(model.distribution).points == tuple(NAMES[::-1])


def test_a_detector_knows_the_names_that_its_flow_does_not():
    detector = gmnvp.OutlierDetector(gmnvp.gaussian_mixture_flow(2, seed=0), table())
    with pytest.raises(ValueError, match="in the order of training"):
        detector.score(table(NAMES[::-1]))
    assert detector.score(table()).shape == (40,)


@pytest.mark.slow
def test_numbers_for_names():
    """Those of a table that was made of an array say nothing, but for their order."""
    numbered = pd.DataFrame(table().to_numpy())
    model = make_model()
    model.fit(numbered, verbose=0)
    with pytest.raises(ValueError, match="in the order of training, 0, 1, got 1, 0"):
        model.predict(numbered[[1, 0]], verbose=0)
    model.predict(table(), verbose=0)
    model.fit(table(), verbose=0)
    assert refuses_another_order(model.distribution)


@pytest.mark.slow
def test_contexts_have_names_too(tmp_path):
    flow = gmnvp.gaussian_mixture_flow(2, 2, context_size=2, num_couplings=1, seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    context = pd.DataFrame({"age": X.repeat(10), "dose": X.repeat(10)})
    model.fit((table(), context), verbose=0)
    swapped = context[["dose", "age"]]
    rows = pd.concat([table(), context], axis=1)
    np.testing.assert_allclose(
        model.predict(rows, verbose=0), model.predict((table(), context), verbose=0)
    )
    for call in (
        lambda: model.predict((table(), swapped), verbose=0),
        lambda: model((table(), swapped)),
        lambda: gmnvp.condition(flow, swapped),
        lambda: flow.log_prob(table().to_numpy(), context=swapped),
    ):
        with pytest.raises(ValueError, match="`context` must have its columns in the order"):
            call()
    for x in ((table(NAMES[::-1]), context), rows[["age", "dose", *NAMES]]):
        with pytest.raises(ValueError, match="`x` must have its columns in the order"):
            model.evaluate(x, verbose=0)
    with pytest.raises(TypeError, match=r"`context` must .*'dose' \(category\)"):
        model.predict((table(), context.astype({"dose": "category"})), verbose=0)
    assert refuses_another_order(gmnvp.condition(flow, context.iloc[0]))
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras")
    assert known_columns(loaded.distribution) == known_columns(flow)
    other = gmnvp.gaussian_mixture_flow(2, 2, context_size=2, num_couplings=1, seed=0)
    other_model = gmnvp.FlowModel(other)
    other_model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    other_model.fit(rows, verbose=0)
    assert known_columns(other) == known_columns(flow)


class Polars:
    """A stand-in for a polars table."""

    class Dtype:
        def __init__(self, name):
            self._name = name

        def is_float(self):
            return self._name.startswith("Float")

        def is_integer(self):
            return self._name.startswith("Int")

        def __str__(self):
            return self._name

    def __init__(self, **columns):
        self.columns = list(columns)
        self.dtypes = [self.Dtype(dtype) for dtype, _ in columns.values()]
        self._columns = [values for _, values in columns.values()]

    def to_numpy(self):
        return np.stack(self._columns, axis=-1)


@pytest.mark.slow
def test_tables_of_another_library():
    flow = gmnvp.gaussian_mixture_flow(2, seed=0)
    good = Polars(a=("Float64", X), b=("Int32", X))
    gmnvp.fit_mixture(flow, good)
    assert known_columns(flow).points == ("a", "b")
    with pytest.raises(ValueError, match="in the order of training, 'a', 'b'"):
        gmnvp.bic(flow, Polars(b=("Int32", X), a=("Float64", X)))
    with pytest.raises(TypeError, match=r"column 'b' \(Boolean\)"):
        gmnvp.bic(flow, Polars(a=("Float64", X), b=("Boolean", X > 1)))


def test_polars():
    pl = pytest.importorskip("polars")
    flow, x = gmnvp.gaussian_mixture_flow(2, seed=0), pl.DataFrame({"a": X, "b": [0, 1, 2, 3]})
    gmnvp.fit_mixture(flow, x)
    assert gmnvp.bic(flow, x) == gmnvp.bic(flow, np.stack([X, X], axis=1))
    with pytest.raises(ValueError, match="in the order of training, 'a', 'b'"):
        gmnvp.bic(flow, x[["b", "a"]])
    with pytest.raises(TypeError, match=r"column 'b' \(Boolean\)"):
        gmnvp.bic(flow, pl.DataFrame({"a": X, "b": X > 1}))


@pytest.mark.slow
def test_names_of_all_sorts(tmp_path):
    """JSON keeps them: days, pairs, NumPy's numbers."""
    x = table().to_numpy()
    for names in (
        [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
        np.array([2020, 2021]),
        ["same", "same"],
    ):
        model = make_model()
        model.fit(pd.DataFrame(x, columns=names), verbose=0)
        model.save(tmp_path / "model.keras")
        flow = tf.keras.models.load_model(tmp_path / "model.keras").distribution
        assert gmnvp.bic(flow, pd.DataFrame(x, columns=names)) == gmnvp.bic(flow, x)
        if len(set(names)) == 2:
            with pytest.raises(ValueError, match="in the order"):
                gmnvp.bic(flow, pd.DataFrame(x, columns=names[::-1]))
