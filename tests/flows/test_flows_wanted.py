"""Arguments that are not flows, or hold one; other formats; single points; no points."""

import keras_models
import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_flow, points

import tfp_gmnvp as gmnvp

keras, summaries = tf.keras, gmnvp.summaries
X = points(24)
MODEL = gmnvp.FlowModel(make_flow(num_couplings=2))
FLOW = MODEL.distribution
DETECTOR = gmnvp.OutlierDetector(FLOW, X)
FIT = gmnvp.DensityFit(MODEL, None, None, True, {})

FUNCTIONS = {
    "posterior": lambda flow: gmnvp.posterior(flow, X),
    "predict_component": lambda flow: gmnvp.predict_component(flow, X),
    "sample_component": lambda flow: gmnvp.sample_component(flow, 0),
    "fit_mixture": lambda flow: gmnvp.fit_mixture(flow, X),
    "num_parameters": gmnvp.num_parameters,
    "bic": lambda flow: gmnvp.bic(flow, X),
    "aic": lambda flow: gmnvp.aic(flow, X),
    "icl": lambda flow: gmnvp.icl(flow, X),
    "held_out": lambda flow: gmnvp.held_out_log_likelihood(flow, X),
    "detector": lambda flow: gmnvp.OutlierDetector(flow, X),
    "interpolate": lambda flow: gmnvp.interpolate(flow, X[0], X[1], 3),
    "round_trip_error": lambda flow: gmnvp.round_trip_error(flow, X),
    "condition": lambda flow: gmnvp.condition(flow, X),
    "copy_flow": gmnvp.copy_flow,
    "entropy": summaries.entropy,
    "kl_divergence": lambda flow: summaries.kl_divergence(flow, FLOW),
    "export_flow": lambda flow: gmnvp.export_flow(flow, "nowhere"),
    "to_tflite": gmnvp.to_tflite,
    "layer": gmnvp.FlowLayer,
    "model": gmnvp.FlowModel,
    "plot_latents": lambda flow: gmnvp.plotting.plot_latents(flow, X),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (MODEL, "Use its `distribution`"),
        (gmnvp.FlowLayer(FLOW), "Use its `distribution`"),
        (DETECTOR, "Use its `flow`"),
        (FIT, "Use its `flow`"),
        (X, "got array"),
    ],
    ids=["model", "layer", "detector", "fit", "array"],
)
def test_what_is_no_flow_is_told_where_the_flow_is(function, value, hint):
    with pytest.raises(TypeError, match=f"(?s)`(flow|distribution)` must be a .*{hint}"):
        function(value)


def test_a_mixture_without_a_bijector_is_no_flow():
    with pytest.raises(TypeError, match="`flow` must be a flow"):
        gmnvp.posterior(FLOW.distribution, X)


@pytest.mark.slow
def test_formats_that_hold_no_flow_point_to_what_does(tmp_path):
    model = keras_models.make_model()
    for name, arguments in [("x.h5", {}), ("x.hdf5", {}), ("x", {}), ("x.keras.tf", {})]:
        with pytest.raises(ValueError, match=r"end in '\.keras'.*save_weights.*export_flow"):
            model.save(str(tmp_path / name), **arguments)
    with pytest.raises(NotImplementedError, match=r"export_flow\(model\.flow, path\)"):
        model.export(str(tmp_path / "export"))
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "x.keras")


@pytest.mark.parametrize("make", [lambda: MODEL, lambda: gmnvp.FlowLayer(FLOW)])
def test_a_file_of_the_other_keras_is_refused(make):
    made = make()
    config = made.get_config()
    type(made).from_config(config)
    type(made).from_config({k: v for k, v in config.items() if k != "written_by"})  # older files
    other = {"Keras 3": "tf_keras", "tf_keras": "Keras 3"}[config["written_by"]]
    with pytest.raises(ValueError, match=f"written under {other}, .*TF_USE_LEGACY_KERAS=1"):
        type(made).from_config({**config, "written_by": other})


@pytest.mark.parametrize("leading", [(), (1,), (4,), (2, 3), (0,)])
def test_detector_takes_points_of_any_leading_shape(leading):
    x = points(int(np.prod(leading))).reshape(*leading, 3)
    if 0 in leading:
        with pytest.raises(ValueError, match="`x` must hold vectors of size 3"):
            DETECTOR.score(x)
        return
    score, is_outlier = DETECTOR.score(x), DETECTOR.is_outlier(x.tolist())
    assert score.shape == is_outlier.shape == leading
    np.testing.assert_array_equal(np.ravel(score), DETECTOR.score(x.reshape(-1, 3)))
    np.testing.assert_array_equal(np.ravel(is_outlier), DETECTOR.is_outlier(x.reshape(-1, 3)))


def test_detector_of_images_takes_one_image():
    flow = gmnvp.image_flow([2, 2, 1], num_scales=1, num_filters=2, num_blocks=0)
    images = np.random.default_rng(0).uniform(0, 256, [20, 2, 2, 1])
    detector = gmnvp.OutlierDetector(flow, images)
    assert detector.score(images[0]) == detector.score(images)[0]


@pytest.mark.parametrize("x", [np.zeros([2]), np.zeros([5, 2]), 3.0, [[1.0], [2.0]]])
def test_detector_refuses_other_shapes(x):
    with pytest.raises((ValueError, TypeError), match="`x` must"):
        DETECTOR.score(x)


@pytest.mark.slow
def test_batches_of_dicts_are_refused_by_name():
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}
    data = tf.data.Dataset.from_tensor_slices(columns).batch(8)
    with_labels = data.map(lambda row: (row, tf.zeros([8], tf.int32)))
    model = keras_models.make_model()
    for batches in (data, with_labels):
        for call in (
            lambda: model.fit(batches, verbose=0),  # noqa: B023
            lambda: model.evaluate(batches, verbose=0),  # noqa: B023
            lambda: model.predict(batches, verbose=0),  # noqa: B023
            lambda: model.fit(X, validation_data=batches, verbose=0),  # noqa: B023
            lambda: gmnvp.fit_mixture(FLOW, batches),  # noqa: B023
        ):
            with pytest.raises(TypeError, match="dicts with the keys 'a', 'b', 'c': stack"):
                call()
    rows = data.map(lambda row: tf.stack([row[key] for key in "abc"], axis=-1))
    np.testing.assert_array_equal(np.concatenate(list(rows)), X)


def empty_sets():
    rows = tf.data.Dataset.from_tensor_slices(X)
    return {
        "known": rows.take(0).batch(8),
        "unknown": rows.filter(lambda x: False).batch(8),
        "sequence": keras_models.sequence_of(X[:0]),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so first
@pytest.mark.parametrize("kind", ["known", "unknown", "sequence"])
def test_a_data_set_without_points_is_refused(kind):
    data, model = empty_sets()[kind], keras_models.make_model("full_batch")
    for call in (
        lambda: model.fit(data, verbose=0),
        lambda: model.evaluate(data, verbose=0),
        lambda: model.predict(data, verbose=0),
        lambda: gmnvp.fit_mixture(FLOW, data),
    ):
        with pytest.raises(ValueError, match=r"`x` must hold points"):
            call()
    model.initialize_mixture(X)
    with pytest.raises(ValueError, match="must hold points"):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match="must hold points"):
        model.fit(X, validation_data=data, verbose=0)
