"""Data far from the origin: float64 rows keep their digits until they are standardised."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import HOW_TO_RUN, sequence_of
from test_starts import as_memory_map

import tfp_gmnvp as gmnvp
from tfp_gmnvp.flows import on_arrays, precision

keras = tf.keras
OFFSET, SPREAD = 1.7e9, 30.0
ENTROPY = 2 * (np.log(SPREAD) + 0.5 * np.log(2 * np.pi * np.e))  # 9.640, in nats


def timestamps(size=400, seed=0):
    return OFFSET + SPREAD * np.random.default_rng(seed).normal(size=[size, 2])


def true_nll(x):
    z = (x - OFFSET) / SPREAD
    return 2 * np.log(SPREAD) + np.log(2 * np.pi) + 0.5 * np.mean(np.sum(z * z, axis=1))


def make_flow(x=None, **arguments):
    arguments = {"num_couplings": 1, "hidden_units": (4,), "seed": 0, **arguments}
    return gmnvp.gaussian_mixture_flow(2, 1, standardize=x, **arguments)


def make_model(x, update=None, **how_to_run):
    model = gmnvp.FlowModel(make_flow(x), seed=0)
    how_to_run = {**HOW_TO_RUN, **how_to_run}
    model.compile(keras.optimizers.SGD(1e-3), mixture_update=update, **how_to_run)
    return model


class Table:
    def __init__(self, values):
        self._values = values

    def to_numpy(self):
        return self._values


def data_of(form, x, path):
    return {
        "array": lambda: x,
        "table": lambda: Table(x),
        "tensor": lambda: tf.constant(x),
        "whole numbers": lambda: np.round(x).astype(np.int64),
        "memory map": lambda: as_memory_map(x, path),
        "data set": lambda: tf.data.Dataset.from_tensor_slices(x).batch(100),
        "sequence": lambda: sequence_of(x, batch_size=100),
    }[form]()


FORMS = ["array", "table", "tensor", "whole numbers", "memory map", "data set", "sequence"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tfp_gmnvp.DegenerateDataWarning")  # whole numbers
@pytest.mark.parametrize("form", FORMS)
def test_training_and_evaluation_keep_the_digits(form, tmp_path):
    x = timestamps()
    model = make_model(x)
    data = data_of(form, x, tmp_path / "x")
    history = model.fit(data, validation_data=data, epochs=2, batch_size=100, verbose=0).history
    np.testing.assert_allclose(history["loss"], true_nll(x), atol=0.02)
    np.testing.assert_allclose(history["val_loss"], true_nll(x), atol=0.02)
    assert model.evaluate(data, verbose=0) == pytest.approx(true_nll(x), abs=0.02)
    log_prob = model.predict(data, verbose=0)
    assert -log_prob.mean() == pytest.approx(true_nll(x), abs=0.02)
    gmnvp.fit_mixture(model.distribution, data)
    assert model.evaluate(data, verbose=0) == pytest.approx(true_nll(x), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update", "how_to_run"),
    [
        (gmnvp.StepwiseEM, {}),
        (gmnvp.GradientUpdate, {"run_eagerly": True}),
        pytest.param(
            gmnvp.StepwiseEM,
            {"jit_compile": True},
            marks=[pytest.mark.one_keras, pytest.mark.by_xla],
        ),
    ],
    ids=["stepwise", "eager", "xla"],
)
def test_all_updates_keep_the_digits(update, how_to_run):
    x = timestamps(230)
    model = make_model(x, update(), **how_to_run)
    history = model.fit(x, epochs=2, batch_size=100, verbose=0).history
    np.testing.assert_allclose(history["loss"], true_nll(x), atol=0.1)
    for method in (model.test_on_batch, model.train_on_batch):
        assert np.ravel(method(x))[0] == pytest.approx(true_nll(x), abs=0.1)
    assert -np.mean(model(x)) == pytest.approx(true_nll(x), abs=0.1)


@pytest.mark.slow
def test_functions_of_a_flow_keep_the_digits():
    x = timestamps()
    flow = make_flow(x)
    gmnvp.fit_mixture(flow, x)
    log_prob = on_arrays.log_prob(flow, on_arrays.as_points(flow, x))
    exact = make_flow(x, dtype=tf.float64)
    gmnvp.fit_mixture(exact, x)
    np.testing.assert_allclose(log_prob, exact.log_prob(x), atol=2e-5)
    assert gmnvp.bic(flow, x) == pytest.approx(gmnvp.bic(exact, x), rel=1e-6)
    assert gmnvp.icl(flow, x) == pytest.approx(gmnvp.icl(exact, x), rel=1e-6)
    held_out = gmnvp.held_out_log_likelihood(flow, timestamps(seed=1))
    assert held_out.estimate == pytest.approx(-ENTROPY, abs=4 * held_out.standard_error)
    detector = gmnvp.OutlierDetector(flow, x, contamination=0.1)
    far = np.linalg.norm(x - x.mean(axis=0), axis=1)
    assert detector.is_outlier(x).sum() == 40
    assert far[detector.is_outlier(x)].min() > np.median(far)
    assert detector.is_outlier([[OFFSET + 200.0, OFFSET], [OFFSET, OFFSET]]).tolist() == [
        True,
        False,
    ]
    samples = on_arrays.draw(flow, 2000, seed=0)
    np.testing.assert_allclose(samples.std(axis=0), SPREAD, rtol=0.1)
    assert len(np.unique(samples[:, 0])) > 1990  # some are equal in float32
    np.testing.assert_allclose(samples, flow.sample(2000, seed=(0, 0)), atol=128.0)
    assert 0 < gmnvp.round_trip_error(flow, x) < 1e-6


def test_components_of_float64_points():
    x = timestamps() + np.where(np.arange(400) < 200, 0.0, 600.0)[:, np.newaxis]
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, standardize=x, seed=0)
    gmnvp.FlowModel(flow, seed=0).initialize_mixture(x)
    found = gmnvp.predict_component(flow, x).numpy()
    assert len(set(found[:200])) == len(set(found[200:])) == 1
    assert found[0] != found[-1]
    probs = gmnvp.posterior(flow, x).probs_parameter()
    np.testing.assert_allclose(probs, on_arrays.responsibilities(flow, x), atol=1e-6)


@pytest.mark.slow
def test_files_and_copies_keep_the_digits(tmp_path):
    x = timestamps(100)
    model = make_model(x)
    model.fit(x, epochs=1, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    copied = gmnvp.copy_flow(model.distribution)
    np.testing.assert_allclose(on_arrays.log_prob(copied, x), expected, atol=1e-6)
    gmnvp.export_flow(model.distribution, tmp_path / "export")
    exported = tf.saved_model.load(str(tmp_path / "export"))
    rounded = x.astype(np.float32)  # an export takes the flow's dtype: callers must keep the digits
    expected = on_arrays.log_prob(model.distribution, rounded.astype(np.float64))
    np.testing.assert_allclose(exported.log_prob(rounded), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.one_keras
def test_float64_points_with_contexts():
    x, context = timestamps(200), np.random.default_rng(1).normal(size=[200, 1])
    model = gmnvp.FlowModel(make_flow(x, context_size=1), seed=0)
    model.compile(keras.optimizers.SGD(1e-3), **HOW_TO_RUN)
    history = model.fit((x, context), epochs=1, verbose=0).history
    np.testing.assert_allclose(history["loss"], true_nll(x), atol=0.05)
    assert -model.predict((x, context), verbose=0).mean() == pytest.approx(true_nll(x), abs=0.05)
    batches = tf.data.Dataset.from_tensor_slices(((x, context),)).batch(100)
    assert model.evaluate(batches, verbose=0) == pytest.approx(true_nll(x), abs=0.05)


LOST = (
    r"`x` would lose .*: column 0 lies about 1.7e\+09 with a spread of \d\d.*, where float32 .* 128"
)


@pytest.mark.parametrize("form", FORMS)
def test_digits_lost_in_every_dtype_are_refused_at_once(form, tmp_path):
    model = make_model(None)
    before = [v.numpy() for v in model.distribution.variables]
    data = data_of(form, timestamps(), tmp_path / "x")
    calls = [lambda: model.fit(data, verbose=0)]
    if form in ("array", "table", "tensor", "whole numbers"):
        flow = model.distribution
        calls += [
            lambda: model.evaluate(data, verbose=0),
            lambda: model.predict(data, verbose=0),
            lambda: gmnvp.fit_mixture(flow, data),
            lambda: gmnvp.bic(flow, np.asarray(timestamps())),
            lambda: gmnvp.OutlierDetector(flow, np.asarray(timestamps())),
            lambda: gmnvp.round_trip_error(flow, np.asarray(timestamps())),
        ]
    for call in calls:
        with pytest.raises(ValueError, match=LOST):
            call()
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.one_keras
def test_float32_rows_that_have_lost_digits_are_refused():
    x = timestamps()
    with pytest.raises(ValueError, match=r"Pass the rows in float64 \(these are float32\)"):
        on_arrays.as_points(make_flow(x), x.astype(np.float32))


@pytest.mark.one_keras
@pytest.mark.parametrize(
    "column",
    [
        np.full(50, 1.7e9),
        np.repeat([0.0, 1.0], 25),
        np.linspace(1e6, 1e6 + 100, 50),
        np.exp(np.linspace(-9, 9, 50)),
        np.tan(np.linspace(-1.57, 1.57, 50)),
        np.append(np.zeros(49), 1e30),
    ],
    ids=["constant", "binary", "far", "log-normal", "Cauchy", "spike"],
)
def test_no_false_alarm(column):
    x = np.stack([column, np.linspace(0.0, 1.0, 50)], axis=-1)
    for flow in (make_flow(), make_flow(x)):
        precision.check_resolution(flow, x)
        precision.check_resolution(flow, x.astype(np.float32))
    precision.check_resolution(make_flow(), timestamps(5))  # too few rows


@pytest.mark.one_keras
def test_clusters_too_far_apart_for_float32_are_refused():
    x = np.concatenate([timestamps(100), timestamps(100) - OFFSET])
    with pytest.raises(ValueError, match=r"`x` would lose .*`dtype=tf.float64`"):
        precision.check_resolution(make_flow(x), x)
    precision.check_resolution(make_flow(x, dtype=tf.float64), x)
