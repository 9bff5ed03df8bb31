"""Exported graphs accept empty batches, and inputs of their own shape alone."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.export.saved_model import export_flow, to_tflite

POINT_FUNCTIONS = ("log_prob", "posterior", "predict_component", "forward", "inverse")
DATA = np.random.default_rng(0).normal(3.0, 2.0, [50, 2])

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


def make_flow(**kwargs):
    """A flow whose first operation broadcasts, as a standardisation does."""
    arguments = {"num_couplings": 1, "hidden_units": (3,), "standardize": DATA, "seed": 0}
    return gmnvp.gaussian_mixture_flow(2, 3, **{**arguments, **kwargs})


FLOWS = {
    "plain": make_flow,
    "context": lambda: make_flow(context_size=1, gate_units=()),
    "images": lambda: gmnvp.image_flow(
        [4, 4, 1], num_components=2, num_scales=1, num_filters=2, num_blocks=1, seed=0
    ),
}


@pytest.fixture(name="flow", scope="module", params=list(FLOWS))
def each_flow(request):
    return FLOWS[request.param]()


@pytest.fixture(name="loaded", scope="module")
def loaded_flow(flow, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "flow"
    export_flow(flow, path)
    return tf.saved_model.load(str(path))


def inputs_of(signature):
    return signature.structured_input_signature[1]


def good_inputs(specs, size):
    return {key: tf.ones([size, *spec.shape[1:]], spec.dtype) for key, spec in specs.items()}


def other_shapes(shape, size):
    """Shapes that are no `[size, *shape]`: an axis of one or of one more, axes fewer and more."""
    shape = list(shape)
    for axis, length in enumerate(shape):
        for wrong in {1, length + 1} - {length}:
            yield [size, *shape[:axis], wrong, *shape[axis + 1 :]]
    yield from ([size, *shape, 1], [size, 1, *shape], [size], shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serving_default", *POINT_FUNCTIONS])
def test_signatures_refuse_other_shapes(loaded, name):
    signature = loaded.signatures[name]
    specs = inputs_of(signature)
    for size in (0, 3):
        good = good_inputs(specs, size)
        assert all(value.shape[0] == size for value in signature(**good).values())
        for key, spec in specs.items():
            for shape in other_shapes(spec.shape[1:], size):
                message = rf"Shape of tensor {key} \[.*\] is not compatible with expected shape"
                with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                    signature(**{**good, key: tf.ones(shape, spec.dtype)})


def test_samples_take_one_number_and_one_seed(loaded):
    signature = loaded.signatures["sample"]
    good = {"num_samples": tf.constant(2), "seed": tf.constant([1, 2])}
    if "context" in inputs_of(signature):
        good["context"] = tf.ones([3, 1])
    assert signature(**good)["x"].shape[0] == 2
    assert signature(**{**good, "num_samples": tf.constant(0)})["x"].shape[0] == 0
    wrong = [("num_samples", [2, 3]), ("num_samples", [2]), ("seed", [1, 2, 3]), ("seed", [[1, 2]])]
    for key, value in wrong:
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"Shape of tensor {key}"):
            signature(**{**good, key: tf.constant(value)})


def test_methods_keep_the_names_of_their_arguments(loaded):
    specs = inputs_of(loaded.signatures["inverse"])
    inputs = good_inputs(specs, 2)
    context = {key: value for key, value in inputs.items() if key == "context"}
    z = loaded.inverse(**inputs)
    np.testing.assert_allclose(loaded.forward(z=z, **context), inputs["x"], rtol=1e-3)


@pytest.mark.slow
def test_a_single_context_is_that_of_all_points(tmp_path):
    flow = FLOWS["context"]()
    export_flow(flow, tmp_path / "flow")
    signature = tf.saved_model.load(str(tmp_path / "flow")).signatures["log_prob"]
    x = tf.constant(DATA[:4], tf.float32)
    for_all, each = (signature(x=x, context=tf.ones([n, 1]))["log_prob"] for n in (1, 4))
    np.testing.assert_array_equal(for_all, each)
    with pytest.raises(tf.errors.InvalidArgumentError, match="ncompatible shapes"):
        signature(x=x, context=tf.ones([3, 1]))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("plain", "log_prob"), ("plain", "forward"), ("context", "inverse"), ("images", "inverse")],
)
def test_tflite_refuses_other_shapes(kind, name):
    flow = FLOWS[kind]()
    interpreter = tf.lite.Interpreter(model_content=to_tflite(flow, name))
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()
    shapes = {key: detail["shape_signature"][1:].tolist() for key, detail in details.items()}

    def run(size, **others):
        good = {key: np.ones([size, *shape], np.float32) for key, shape in shapes.items()}
        return runner(**{**good, **others})

    for key, shape in shapes.items():
        assert all(len(value) == 3 for value in run(3).values())
        for wrong in other_shapes(shape, 3):
            same_entries = np.prod(wrong) == 3 * np.prod(shape) and len(wrong) != 1 + len(shape)
            if same_entries and wrong[0] == 3:  # an axis of one more, which is the same points
                continue
            with pytest.raises((RuntimeError, ValueError)):
                run(3, **{key: np.ones(wrong, np.float32)})
    if len(shapes) > 1:
        for size in (1, 2):
            with pytest.raises((RuntimeError, ValueError)):
                run(3, context=np.ones([size, *shapes["context"]], np.float32))
    assert all(len(value) == 3 for value in run(3).values())


@pytest.mark.slow
def test_image_flows_take_empty_batches_and_go_on_as_they_were():
    flow = FLOWS["images"]()
    x = tf.constant(np.random.default_rng(0).uniform(1, 255, [3, 4, 4, 1]), tf.float32)
    for log_prob in (flow.log_prob, tf.function(flow.log_prob)):
        assert log_prob(x[:0]).shape == [0]
        assert log_prob(tf.reshape(x[:0], [0, 2, 4, 4, 1])).shape == [0, 2]
    any_size = tf.function(flow.log_prob, input_signature=[tf.TensorSpec([None, 4, 4, 1])])
    np.testing.assert_allclose(any_size(x), flow.log_prob(x), rtol=1e-5)
    assert any_size(x[:0]).shape == [0]
    assert flow.sample(0, seed=1).shape == [0, 4, 4, 1]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(any_size(x[:0]))
    gradients = tape.gradient(loss, flow.bijector.trainable_variables)
    assert all(not np.any(g) for g in gradients)
