"""Invalid input is refused in one sentence, and does not change the model.

Each case of `REFUSED` is an invalid call, the type of its error and words of the
sentence: the argument's name, what was found, and what is valid.
"""

import contextlib
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras_models import assert_same, make_flow, make_model, points, weights_of

import tfp_gmnvp as gmnvp

tfb = tfp.bijectors
N, D, K = 120, 3, 2


class Table:
    """A stand-in for a table of another library."""

    def __init__(self, values):
        self._values = values

    def to_numpy(self):
        return self._values


def points_with(value, rows=(5, 7), column=1, dtype=np.float32):
    x = points().astype(dtype)
    x[list(rows), column] = value
    return x


def weights_with(value, rows=(3,)):
    weights = np.ones(N)
    weights[list(rows)] = value
    return weights


def batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(40)


def fit(*args, **kwargs):
    return lambda model: model.fit(*args, verbose=0, **kwargs)


def of_flow(function):
    return lambda model: function(model.distribution)


FINITE = r"`x` must hold finite numbers in float32, and 2 of its 120 rows.* row 5, got .*"
LABELS = np.zeros(N, int)
DATA = {
    "nan": (fit(points_with(np.nan)), ValueError, FINITE + "nan"),
    "infinity": (fit(points_with(np.inf)), ValueError, FINITE + "inf"),
    "minus infinity": (fit(points_with(-np.inf)), ValueError, FINITE + "-inf"),
    "nan in float64": (fit(points_with(np.nan, dtype=np.float64)), ValueError, FINITE),
    "beyond float32": (fit(points_with(1e39, dtype=np.float64)), ValueError, FINITE + r"1e\+39"),
    "infinity in float16": (fit(points_with(np.inf, dtype=np.float16)), ValueError, FINITE),
    "nan in a list": (fit(points_with(np.nan).tolist()), ValueError, FINITE),
    "nan in a table": (fit(Table(points_with(np.nan))), ValueError, FINITE),
    "nan in a tensor": (fit(tf.constant(points_with(np.nan))), ValueError, FINITE),
    "all nan": (fit(np.full([N, D], np.nan)), ValueError, "120 of its 120 rows.* row 0"),
    "masked": (
        fit(np.ma.masked_greater(points_with(100.0), 99)),
        ValueError,
        "`x` .*without masked entries, and 2 of its 120 rows.* row 5",
    ),
    "rank 1": (fit(np.zeros(N)), ValueError, r"`x` .*\[N, 3\].* got shape \[120\]"),
    "rank 3": (fit(np.zeros([N, D, 1])), ValueError, r"got shape \[120, 3, 1\]"),
    "a number": (fit(np.float32(3.0)), ValueError, r"`x` .*\[N, 3\].* got shape \[\]"),
    "too few columns": (fit(points()[:, :2]), ValueError, r"size 3.* got shape \[120, 2\]"),
    "too many columns": (fit(np.zeros([N, 4])), ValueError, r"size 3.* got shape \[120, 4\]"),
    "no rows": (fit(np.zeros([0, D])), ValueError, r"N >= 1, got shape \[0, 3\]"),
    "no columns": (fit(np.zeros([N, 0])), ValueError, r"got shape \[120, 0\]"),
    "an empty list": (fit([]), ValueError, r"got shape \[0\]"),
    "ragged lists": (fit([[0.0, 1.0, 2.0], [1.0]]), ValueError, "`x` must have rows of one length"),
    "fewer rows than components": (fit(points(1)), ValueError, "as many points as .* 2, got 1"),
    "strings": (fit(points().astype(str)), TypeError, "`x` must hold real numbers, got dtype str"),
    "objects": (fit(points().astype(object)), TypeError, "real numbers, got dtype object"),
    "complex": (fit(points() + 1j), TypeError, "real numbers, got dtype complex64"),
    "dates": (fit(points().astype("M8[D]")), TypeError, "real numbers, got dtype datetime64"),
    "evaluate": (lambda m: m.evaluate(points_with(np.nan)), ValueError, FINITE),
    "predict": (lambda m: m.predict(points_with(np.nan)), ValueError, FINITE),
    "predict another size": (lambda m: m.predict(points()[:, :2]), ValueError, "vectors of size 3"),
    "train_on_batch": (lambda m: m.train_on_batch(points_with(np.nan)), ValueError, FINITE),
    "test_on_batch": (lambda m: m.test_on_batch(points_with(np.nan)), ValueError, FINITE),
    "initialize_mixture": (lambda m: m.initialize_mixture(points_with(np.inf)), ValueError, FINITE),
    "fit_mixture": (
        of_flow(lambda f: gmnvp.fit_mixture(f, points_with(np.inf))),
        ValueError,
        FINITE,
    ),
    "outliers": (
        of_flow(lambda f: gmnvp.OutlierDetector(f, points_with(np.nan))),
        ValueError,
        FINITE,
    ),
    "bic": (of_flow(lambda f: gmnvp.bic(f, points().astype(str))), TypeError, "real numbers"),
    "standardize": (
        lambda _: make_flow(standardize=points_with(np.nan)),
        ValueError,
        FINITE.replace("`x`", "`standardize`").replace("32", "64"),
    ),
    "standardize another size": (
        lambda _: make_flow(standardize=points()[:, :2]),
        ValueError,
        "`standardize` .*size 3",
    ),
    "standardize by strings": (
        lambda _: make_flow(standardize=[["a", "b", "c"]]),
        TypeError,
        "`standardize` must hold real numbers",
    ),
}
WEIGHTS = {
    "nan": (
        weights_with(np.nan),
        ValueError,
        "finite weights .* 1 of its 120 rows.* row 3, got nan",
    ),
    "infinite": (weights_with(np.inf), ValueError, "finite weights .* row 3, got inf"),
    "negative": (weights_with(-1.0, (3, 9)), ValueError, "not negative.* 2 of .* row 3, got -1"),
    "all zero": (np.zeros(N), ValueError, "above zero, and all 120 are zero"),
    "too few": (np.ones(N - 1), ValueError, r"each of the 120 points, got shape \[119\]"),
    "a matrix": (np.ones([N, 2]), ValueError, r"got shape \[120, 2\]"),
    "a number": (np.float32(1.0), ValueError, r"got shape \[\]"),
    "strings": (["a"] * N, TypeError, "must hold real numbers"),
}
Y = {
    "too high": (np.where(np.arange(N) < 4, 0, 2), "0 .. 1, or -1 .*116 of .* row 4, got 2"),
    "below -1": (np.full(N, -2), "row 0, got -2"),
    "a fraction": (np.full(N, 0.5), "got 0.5"),
    "nan": (np.where(np.arange(N) == 6, np.nan, 0.0), "1 of its 120 rows .* row 6, got nan"),
    "too few": (np.zeros(N - 1, int), r"each of the 120 points, got shape \[119\]"),
    "one-hot": (np.eye(K)[LABELS], r"got shape \[120, 2\]"),
    "strings": (["a"] * N, "got a"),
}
IN_BATCH = r"`x in a batch` must hold finite .*, and 1 of its 40 rows do not, .* row 39, got .*"
DEEP = points_with(np.nan, rows=(79,))  # in the second batch of three
PIPELINES = {
    "nan": (fit(batches(DEEP)), ValueError, IN_BATCH + "nan"),
    "infinity": (fit(batches(points_with(np.inf, (79,)))), ValueError, IN_BATCH),
    "first fit": (fit(batches(DEEP)), ValueError, IN_BATCH),
    "labels": (
        fit(batches(points(), np.where(np.arange(N) == 50, 7, -1))),
        ValueError,
        "`y in a batch` must hold indices of components.* row 10, got 7",
    ),
    "weights": (
        fit(batches(points(), LABELS, weights_with(-1.0, (50,)))),
        ValueError,
        "`sample_weight in a batch` .*not negative.* row 10, got -1.0",
    ),
    "size": (fit(batches(points()[:, :2])), ValueError, r"`x` .*\[None, 3\].* \[None, 2\]"),
    "rank": (fit(batches(np.zeros(N))), ValueError, r"batches of shape \[None\]"),
    "strings": (fit(batches(points().astype(str))), TypeError, "real numbers, got dtype string"),
    "float labels": (fit(batches(points(), np.zeros(N))), TypeError, "`y` must hold integers"),
    "without an end": (fit(batches(points()).repeat()), ValueError, "`steps_per_epoch`"),
    "evaluate": (lambda m: m.evaluate(batches(DEEP), verbose=0), ValueError, IN_BATCH),
    "predict": (lambda m: m.predict(batches(DEEP), verbose=0), ValueError, IN_BATCH),
}
VALIDATION = {
    "another size": (points()[:, :2], ValueError, r"`x of validation_data` .*got shape \[120, 2\]"),
    "nan": (points_with(np.nan), ValueError, "`x of validation_data` must hold finite .*row 5"),
    "batches of another size": (batches(points()[:, :2]), ValueError, r"`x` .*\[None, 2\]"),
    "labels": ((points(), LABELS + 5), ValueError, "`y of validation_data` .*got 5"),
}


def made(**arguments):
    return lambda _: gmnvp.gaussian_mixture_flow(**{"event_size": 3, **arguments})


def raised(function, *args, **kwargs):
    return lambda _: function(*args, **kwargs)


ARGUMENTS = {
    "event size 0": (made(event_size=0), "`event_size` must be a whole number >= 1, got 0"),
    "event size 2.5": (made(event_size=2.5), "`event_size` .*got 2.5"),
    "no components": (made(num_components=0), "`num_components` .*>= 1, got 0"),
    "1.5 components": (made(num_components=1.5), "`num_components` .*got 1.5"),
    "no couplings": (made(num_couplings=0), "`num_couplings` .*>= 1, got 0"),
    "2.5 couplings": (made(num_couplings=2.5), "`num_couplings` .*got 2.5"),
    "half precision": (made(dtype=tf.float16), "`dtype` must be .* 'float64', got 'float16'"),
    "covariance type": (made(covariance_type="ful"), "got 'ful'. Did you mean 'full'?"),
    "coupling": (made(coupling="afine"), "got 'afine'. Did you mean 'affine'?"),
    "conditioner": (made(conditioner="residal"), "got 'residal'. Did you mean 'residual'?"),
    "normalization": (made(normalization="actnorm"), "Did you mean 'act_norm'?"),
    "mixing": (made(mixing="permutations"), "Did you mean 'permutation'?"),
    "activation": (made(activation="rellu"), "`activation` .*got 'rellu'"),
    "empty layer": (made(hidden_units=(8, 0)), r"`hidden_units` .*got \[8, 0\]"),
    "dropout 1": (made(dropout=1.0), r"`dropout` must be in \[0, 1\), got 1.0"),
    "negative l2": (made(l2=-1.0), "`l2` must not be negative, got -1.0"),
    "log-scale 0": (made(max_log_scale=0.0), "`max_log_scale` must be positive, got 0.0"),
    "negative floor": (
        raised(gmnvp.FullBatchEM, covariance_floor=-1e-3),
        "`covariance_floor` .*-0.001",
    ),
    "nan floor": (
        raised(gmnvp.StepwiseEM, covariance_floor=np.nan),
        "`covariance_floor` .*got nan",
    ),
    "every 0": (raised(gmnvp.FullBatchEM, every=0), "`every` .*>= 1, got 0"),
    "1.5 iterations": (raised(gmnvp.FullBatchEM, num_iterations=1.5), "`num_iterations` .*1.5"),
    "step size 0": (raised(gmnvp.StepwiseEM, step_size=0.0), r"`step_size` .*\(0, 1\].*0.0"),
    "negative tolerance": (raised(gmnvp.FullBatchEM, tolerance=-1.0), "`tolerance` .*-1.0"),
    "exponent": (raised(gmnvp.PowerSchedule, exponent=2.0), r"`exponent` .*\[0, 1\], got 2.0"),
    "concentration": (raised(gmnvp.Prior, concentration=0.0), "`concentration` .*got 0.0"),
    "freedom": (raised(gmnvp.Prior, degrees_of_freedom=0.0), "`degrees_of_freedom` .*got 0.0"),
    "one bin": (raised(gmnvp.RationalQuadratic, num_bins=1), "`num_bins` .*>= 2, got 1"),
    "batch size 0": (fit(points(), batch_size=0), "`batch_size` .*>= 1, got 0"),
    "batch size 2.5": (fit(points(), batch_size=2.5), "`batch_size` .*got 2.5"),
    "validation split": (fit(points(), validation_split=1.5), r"`validation_split` .*got 1.5"),
    "label weight": (lambda m: m.compile(label_weight=-1.0), "`label_weight` .*-1.0"),
    "loss": (lambda m: m.compile(loss="mse"), "`loss` cannot be chosen"),
    "component": (
        of_flow(lambda f: gmnvp.sample_component(f, 2)),
        r"`component` .*0 \.\. 1, got 2",
    ),
    "path of one": (
        of_flow(lambda f: gmnvp.interpolate(f, [0.0] * 3, [1.0] * 3, 1)),
        "`num` .*got 1",
    ),
    "contamination": (
        of_flow(lambda f: gmnvp.OutlierDetector(f, points(), contamination=1.0)),
        r"`contamination` .*\[0, 1\), got 1.0",
    ),
    "criterion": (
        raised(gmnvp.select_components, points(), [1], criterion="bik", seed=0),
        "`criterion` .*got 'bik'. Did you mean 'bic'?",
    ),
    "number of components": (
        raised(gmnvp.select_components, points(), [0], seed=0),
        r"`num_components` .*got \[0\]",
    ),
    "function": (of_flow(lambda f: gmnvp.to_tflite(f, "logprob")), "`function` .*got 'logprob'"),
    "entropy": (
        of_flow(lambda f: gmnvp.summaries.entropy(f, num_samples=1, seed=0)),
        "`num_samples` .*>= 2, got 1",
    ),
    "calibration": (
        raised(gmnvp.calibration_error, [[0.5, 0.5]], [0], num_bins=0),
        "`num_bins` .*got 0",
    ),
}
OF_WRONG_TYPE = {
    "argument": (made(num_coupling=2), "`num_coupling`: did you mean `num_couplings`?"),
    "update": (lambda m: m.compile(mixture_update="em"), "`mixture_update` .*`FullBatchEM"),
    "prior": (raised(gmnvp.FullBatchEM, prior=1.0), "`prior` must be a `Prior` or `None`, got 1.0"),
    "annealing": (raised(gmnvp.StepwiseEM, annealing=2.0), "`annealing` must be a schedule"),
    "a flow": (raised(gmnvp.export_flow, "flow", "path"), "`flow` must be a flow"),
    "generator": (fit(batch for batch in [points()]), "`x` must be an array, a `tf.data.Dataset`"),
}


def _named(group, cases):
    return {f"{group}: {name}": case for name, case in cases.items()}


REFUSED = {
    **_named("data", DATA),
    **_named(
        "weights", {k: (fit(points(), sample_weight=w), e, m) for k, (w, e, m) in WEIGHTS.items()}
    ),
    **_named("labels", {k: (fit(points(), y), ValueError, m) for k, (y, m) in Y.items()}),
    **_named("pipeline", PIPELINES),
    **_named(
        "validation",
        {k: (fit(points(), validation_data=v), e, m) for k, (v, e, m) in VALIDATION.items()},
    ),
    **_named("argument", {k: (call, ValueError, m) for k, (call, m) in ARGUMENTS.items()}),
    **_named("type", {k: (call, TypeError, m) for k, (call, m) in OF_WRONG_TYPE.items()}),
}


@pytest.fixture(scope="module")
def models():
    """A fitted and an unfitted model: no case may change them."""
    fitted = make_model("full_batch", run_eagerly=True)
    fitted.initialize_mixture(points())
    return {True: fitted, False: make_model("full_batch", run_eagerly=True)}


def test_there_are_enough_cases():
    assert len(REFUSED) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_invalid_input_is_refused_and_nothing_changes(models, case):
    call, error, message = REFUSED[case]
    is_fitted = case.startswith("pipeline") and not case.endswith("first fit")
    model = models[is_fitted]
    before = weights_of(model)
    with pytest.raises(error, match=f"(?s){message}") as caught:
        call(model)
    assert re.search("`.*`", str(caught.value)), "the argument is to be named"
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert_same(weights_of(model), before)


@pytest.mark.slow
@pytest.mark.parametrize("update", ["full_batch", "stepwise", "gradient"])
def test_a_bad_batch_in_the_middle_of_an_epoch_is_not_trained_on(update):
    model, expected = make_model(update), make_model(update)
    for m in (model, expected):
        m.initialize_mixture(points())
    before = weights_of(model)
    with pytest.raises(ValueError, match=IN_BATCH):
        model.fit(batches(DEEP), verbose=0)
    if update == "full_batch":  # it reads all batches before the epoch
        assert all(np.array_equal(a, b) for a, b in zip(weights_of(model), before, strict=True))
        return
    expected.fit(batches(points()).take(1), verbose=0)
    for a, b in zip(weights_of(model)[:-1], weights_of(expected)[:-1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_memory_map_is_checked_as_it_is_read(tmp_path):
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=(N, D))
    mapped[:] = points_with(np.nan, rows=(77,))
    message = r"`x` must hold finite .* 1 of its .* rows do not, the first of them row 77, got"
    with pytest.raises(ValueError, match=message):
        make_model("full_batch").fit(mapped, verbose=0)
    model = make_model("stepwise")
    model.initialize_mixture(points())
    for shuffle in (True, False):
        with pytest.raises(ValueError, match=message):
            model.fit(mapped, shuffle=shuffle, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.evaluate(mapped, verbose=0)
    assert all(np.isfinite(value).all() for value in model.get_weights())


CASTS = {
    "integers": (10 * points()).astype(int),
    "booleans": points() > 0,
    "float16": points().astype(np.float16),
    "float64": points().astype(np.float64),
    "a list": points().tolist(),
    "a table": Table(points()),
    "nothing masked": np.ma.array(points()),
    "not contiguous": points()[::-1, ::-1],
    "a tensor": tf.constant(points()),
    "as few rows as components": points(2),
    "constant column": points_with(4.0, rows=range(N)),
    "duplicate columns": points()[:, [0, 0, 1]],
    "all rows equal": np.ones([N, D], np.float32),
}


WARNED_OF = ("integers", "booleans", "constant column", "duplicate columns", "all rows equal")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASTS)
def test_accepted(name):
    model = make_model("full_batch", run_eagerly=True)
    warned = contextlib.nullcontext()
    if name in WARNED_OF:
        warned = pytest.warns(gmnvp.DegenerateDataWarning)
    with warned:
        history = model.fit(CASTS[name], batch_size=500, epochs=2, verbose=0).history  # above N
    assert np.isfinite(history["loss"]).all()
    assert history["skipped_steps"] == [0, 0] or name == "all rows equal"  # the density diverges
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.mark.slow
def test_outside_the_support_of_an_outer_bijector():
    """By TFP's rule, points outside the support have no density; other points keep theirs."""
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=0)
    positive = tfp.distributions.TransformedDistribution(flow, tfb.Exp())
    log_prob = positive.log_prob([[1.0, 2.0], [-1.0, 2.0]]).numpy()
    assert np.isfinite(log_prob[0])
    assert not np.isfinite(log_prob[1])
    inner = gmnvp.SinglePassChain([tfb.Exp(), flow.bijector])
    model = gmnvp.FlowModel(tfp.distributions.TransformedDistribution(flow.distribution, inner))
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"`x` .*support.* 1 of its 4 rows.* row 2"):
        model.fit(np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, 2.0], [1.0, 1.0]]), verbose=0)
    assert_same(weights_of(model), before)
