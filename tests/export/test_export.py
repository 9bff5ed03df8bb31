"""Exports give the flow's own values on any loader, and are written atomically."""

import functools
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES
from tensorflow_probability import distributions as tfd

import tfp_gmnvp
from tfp_gmnvp import gaussian_mixture_flow, posterior, predict_component
from tfp_gmnvp.export import saved_model
from tfp_gmnvp.export.saved_model import export_flow, to_tflite

D, K = 3, 4
DATA = np.random.default_rng(0).normal([5.0, -2.0, 0.3], [3.0, 0.2, 7.0], [50, D])
SCRIPT = Path(__file__).parents[1] / "served_values.py"
CASES = [
    ("full", "float32", True),
    ("full", "float64", False),
    ("tied", "float64", True),
    ("diag", "float32", False),
    ("spherical", "float64", True),
]


def trained_flow(covariance_type="full", dtype="float32", standardized=True, **kwargs):
    """A flow whose every variable is away from where it starts."""
    flow = gaussian_mixture_flow(
        D,
        K,
        num_couplings=2,
        hidden_units=(5,),
        covariance_type=covariance_type,
        standardize=DATA if standardized else None,
        dtype=dtype,
        seed=1,
        **kwargs,
    )
    move(flow, 2)
    return flow


def move(flow, seed):
    for i, v in enumerate(flow.trainable_variables):
        v.assign_add(0.2 * tf.random.stateless_normal(v.shape, [seed, i], dtype=v.dtype))


def latents(flow, size=7):
    return tf.constant(1.5 * np.random.default_rng(size).normal(size=[size, D]), flow.dtype)


def points(flow, size=7):
    return flow.bijector.forward(latents(flow, size))


def inputs_of(flow, size=7):
    seed = np.array([3, 5], np.int32)
    x, z = points(flow, size), latents(flow, size)
    return {"x": x, "z": z, "num_samples": np.int32(size), "seed": seed}


def expected_values(flow, inputs):
    """The expected outputs of the signatures, from the flow itself."""
    x, z = tf.constant(inputs["x"]), tf.constant(inputs["z"])
    log_prob = flow.log_prob(x)
    probs = posterior(flow, x).probs_parameter()
    component = predict_component(flow, x)
    return {
        "log_prob/log_prob": log_prob,
        "posterior/posterior": probs,
        "predict_component/component": component,
        "forward/x": flow.bijector.forward(z),
        "inverse/z": flow.bijector.inverse(x),
        "sample/x": flow.sample(inputs["num_samples"], seed=inputs["seed"]),
        "serving_default/log_prob": log_prob,
        "serving_default/posterior": probs,
        "serving_default/component": component,
    }


def assert_close(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    tolerance = 1e-12 if expected.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def assert_same_values(values, flow, inputs):
    expected = expected_values(flow, inputs)
    described = {name for name in values if name.startswith("describe/")}
    assert set(values) - described == set(expected) and len(described) == 5
    for name, value in expected.items():
        assert_close(values[name], value)


def contents(directory):
    return {str(p): p.read_bytes() for p in Path(directory).rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Exports a case when it is first needed."""
    directory = tmp_path_factory.mktemp("exports")

    @functools.cache
    def export(*case):
        flow, path = trained_flow(*case), directory / "-".join(map(str, case))
        export_flow(flow, path)
        return flow, path

    return export


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def exported(request, exports):
    flow, path = exports(*request.param)
    return request.param, flow, path, tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def small_flow():
    return trained_flow("spherical", standardized=False)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 7])
def test_signatures_give_the_flows_values(exported, size):
    _, flow, _, loaded = exported
    inputs, values = inputs_of(flow, size), {}
    for name, signature in loaded.signatures.items():
        keys = signature.structured_input_signature[1]
        outputs = signature(**{key: tf.constant(inputs[key]) for key in keys})
        values.update({f"{name}/{key}": value for key, value in outputs.items()})
    assert_same_values(values, flow, inputs)


@pytest.mark.slow
def test_the_values_compared_are_telling(exported):
    _, flow, *_ = exported
    x = points(flow, 50)
    probs = posterior(flow, x).probs_parameter().numpy()
    assert probs.max(axis=-1).mean() < 0.95
    assert len(set(probs.argmax(axis=-1))) > 1
    assert np.abs(x - latents(flow, 50)).mean() > 0.05


@pytest.mark.slow
def test_methods_give_the_flows_values(exported):
    _, flow, _, loaded = exported
    inputs = inputs_of(flow)
    expected = expected_values(flow, inputs)
    x, z = inputs["x"], inputs["z"]
    assert_close(loaded.log_prob(x), expected["log_prob/log_prob"])
    assert_close(loaded.posterior(x=x), expected["posterior/posterior"])
    assert_close(loaded.predict_component(x), expected["predict_component/component"])
    assert_close(loaded.forward(z=z), expected["forward/x"])
    assert_close(loaded.inverse(x), expected["inverse/z"])
    assert_close(loaded.sample(num_samples=7, seed=[3, 5]), expected["sample/x"])


@pytest.mark.slow
def test_gradient_of_the_loaded_density(exports):
    flow, path = exports(*CASES[0])
    loaded, x = tf.saved_model.load(str(path)), points(flow)

    def gradient(log_prob):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = log_prob(x)
        return tape.gradient(value, x)

    expected = gradient(flow.log_prob)
    scale = float(tf.reduce_max(tf.abs(expected)))
    assert_close(gradient(loaded.log_prob) / scale, expected / scale)


def test_samples_follow_the_seed_alone(exported):
    *_, loaded = exported
    once, again, other = (loaded.sample(5, seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).min() > 0


def test_description_is_readable_with_and_without_tensorflow(exported):
    (covariance_type, dtype, _), _, path, loaded = exported
    expected = {
        "event_size": D,
        "num_components": K,
        "covariance_type": covariance_type,
        "dtype": dtype,
        "version": tfp_gmnvp.__version__,
    }
    assert json.loads((path / "assets.extra" / "flow.json").read_text()) == expected
    described = {name: value.numpy() for name, value in loaded.describe().items()}
    strings = {k: v.decode() for k, v in described.items() if isinstance(v, bytes)}
    assert {**described, **strings} == expected


def test_batches_are_of_unknown_size_and_vectors_of_known(exported):
    *_, loaded = exported
    (spec,) = loaded.signatures["serving_default"].structured_input_signature[1].values()
    assert spec.shape.as_list() == [None, D]
    shapes = loaded.signatures["serving_default"].structured_outputs
    assert shapes["posterior"].shape.as_list() == [None, K]


def test_serving_evaluates_each_conditioner_once():
    flow = trained_flow()
    module = saved_model._ExportedFlow(flow)

    def products(signature):
        operations = signature.get_concrete_function().graph.get_operations()
        return sum(operation.type == "MatMul" for operation in operations)

    of_conditioners = products(module.inverse)
    of_mixture = products(module.log_prob) + products(module.posterior) - 2 * of_conditioners
    served = products(module.signatures(flow)["serving_default"])
    assert of_conditioners == 4 and served == of_conditioners + of_mixture


@pytest.mark.slow
def test_keras_conditioners_travel_along(tmp_path):
    def conditioner(input_size, output_size):
        keras.utils.set_random_seed(input_size)
        return keras.Sequential([keras.layers.Dense(5, "tanh"), keras.layers.Dense(output_size)])

    flow = trained_flow("diag", conditioner_fn=conditioner)
    export_flow(flow, tmp_path / "flow")
    x = points(flow)
    loaded = tf.saved_model.load(str(tmp_path / "flow"))
    assert_close(loaded.log_prob(x), flow.log_prob(x))


@pytest.mark.slow
def test_later_training_does_not_change_the_export(tmp_path):
    flow = trained_flow()
    export_flow(flow, tmp_path / "flow")
    x, before = points(flow), flow.log_prob(points(flow))
    loaded = tf.saved_model.load(str(tmp_path / "flow"))
    move(flow, 9)
    after = flow.log_prob(tf.identity(x))
    assert np.abs(after - before).min() > 1e-3
    assert_close(loaded.log_prob(x), before)
    export_flow(flow, tmp_path / "flow", overwrite=True)
    loaded = tf.saved_model.load(str(tmp_path / "flow"))
    assert_close(loaded.log_prob(x), after)
    assert os.listdir(tmp_path) == ["flow"]


class TestElsewhere:
    """Another process, which has TensorFlow alone."""

    @staticmethod
    def check(interpreter, exports, directory, hidden=""):
        flows, files = [], []
        for i, case in enumerate(CASES[:2]):
            flow, path = exports(*case)
            flows.append(flow)
            files += [path, directory / f"inputs_{i}.npz", directory / f"outputs_{i}.npz"]
            np.savez(files[-2], **inputs_of(flow))
        command = [interpreter, "-I", SCRIPT, hidden, *files]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for flow, *paths in zip(flows, files[1::3], files[2::3], strict=True):
            inputs, values = (dict(np.load(path)) for path in paths)
            assert_same_values(values, flow, inputs)

    @pytest.mark.slow
    def test_where_the_other_packages_cannot_be_imported(self, exports, tmp_path):
        hidden = "tensorflow_probability,tf_keras,keras,tfp_gmnvp"
        self.check(sys.executable, exports, tmp_path, hidden)

    @pytest.mark.slow
    @pytest.mark.skipif(
        os.environ.get("GMNVP_FRESH_VENV") != "1",
        reason="installs TensorFlow; set GMNVP_FRESH_VENV=1",
    )
    def test_in_a_fresh_environment(self, exports, tmp_path):
        venv.create(tmp_path / "venv", with_pip=True)
        interpreter = str(tmp_path / "venv" / "bin" / "python")
        install = ["-m", "pip", "install", "--quiet", f"tensorflow=={tf.__version__}"]
        subprocess.run([interpreter, *install], check=True)
        for absent in ("tensorflow_probability", "tf_keras", "tfp_gmnvp"):
            found = subprocess.run([interpreter, "-I", "-c", f"import {absent}"], check=False)
            assert found.returncode == 1
        self.check(interpreter, exports, tmp_path)


class TestCommandLine:
    """TensorFlow's own `saved_model_cli`."""

    @staticmethod
    def call(verb, path, *arguments):
        module = "tensorflow.python.tools.saved_model_cli"
        command = [sys.executable, "-m", module, verb, "--dir", path, "--tag_set", "serve"]
        command = [str(word) for word in (*command, *arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @pytest.mark.slow
    def test_show(self, exports):
        _, path = exports(*CASES[0])
        shown = self.call("show", path, "--signature_def", "serving_default")
        for line in ("inputs['x']", "outputs['log_prob']", "outputs['posterior']", "(-1, 3)"):
            assert line in shown

    @pytest.mark.slow
    def test_run_on_a_file_of_points(self, exports, tmp_path):
        flow, path = exports(*CASES[1])
        np.save(tmp_path / "points.npy", points(flow))
        arguments = ["--signature_def", "serving_default", "--inputs", f"x={tmp_path}/points.npy"]
        self.call("run", path, *arguments, "--outdir", tmp_path)
        expected = expected_values(flow, inputs_of(flow))
        for name in ("log_prob", "posterior", "component"):
            assert_close(np.load(tmp_path / f"{name}.npy"), expected[f"serving_default/{name}"])

    @pytest.mark.slow
    def test_run_sample(self, exports, tmp_path):
        flow, path = exports(*CASES[0])
        arguments = ["--signature_def", "sample", "--input_exprs", "num_samples=4;seed=[1, 2]"]
        shown = self.call("run", path, *arguments, "--outdir", tmp_path)
        assert "Result for output key x:" in shown
        assert_close(np.load(tmp_path / "x.npy"), flow.sample(4, seed=[1, 2]))


class TestWriting:
    """The contents of the path before and after a successful export and a failed one."""

    @pytest.fixture
    def flow(self, small_flow):
        return small_flow

    @pytest.fixture
    def written(self, flow, tmp_path, monkeypatch):
        """A fast stand-in for `tf.saved_model.save`."""

        def save(module, directory, signatures):
            Path(directory, "variables").mkdir(parents=True)
            Path(directory, "saved_model.pb").write_text(str(len(signatures)))

        monkeypatch.setattr(tf.saved_model, "save", save)
        export_flow(flow, tmp_path / "flow")
        Path(tmp_path / "flow" / "saved_model.pb").write_text("the first")
        return tmp_path / "flow"

    @pytest.mark.slow
    def test_overwriting_asks_to_be_told_so(self, flow, written):
        before = contents(written)
        with pytest.raises(FileExistsError, match=r"flow' holds .*overwrite=True"):
            export_flow(flow, written)
        assert contents(written) == before
        export_flow(flow, str(written), overwrite=True)
        assert contents(written) != before
        assert os.listdir(written.parent) == ["flow"]

    @pytest.mark.slow
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_what_is_not_a_saved_model_stays(self, flow, written, tmp_path, overwrite):
        folder, file = tmp_path / "folder", tmp_path / "file"
        folder.mkdir()
        (folder / "thesis.tex").write_text("years of work")
        file.write_text("more of it")
        (written / "notes.txt").write_text("beside the SavedModel")
        before = contents(tmp_path)
        for path in (folder, file, written):
            with pytest.raises(FileExistsError, match="is not a SavedModel, or holds more"):
                export_flow(flow, path, overwrite=overwrite)
        assert contents(tmp_path) == before

    @pytest.mark.slow
    def test_an_empty_directory_and_missing_parents_will_do(self, flow, written, tmp_path):
        (tmp_path / "empty").mkdir()
        for path in (tmp_path / "empty", tmp_path / "a" / "b"):
            export_flow(flow, path)
            assert (path / "saved_model.pb").exists()

    @pytest.mark.slow
    def test_a_link_stays_a_link(self, flow, written, tmp_path):
        link = tmp_path / "latest"
        link.symlink_to(written)
        export_flow(flow, link, overwrite=True)
        assert link.is_symlink()
        assert (written / "saved_model.pb").read_text() != "the first"

    def test_others_may_read_what_they_may_read_elsewhere(self, flow, written, tmp_path):
        (tmp_path / "plain").mkdir()
        assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode

    @pytest.mark.slow
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_halfway_leaves_the_old_one(
        self, flow, written, tmp_path, monkeypatch, error
    ):
        before = contents(tmp_path)

        def save(module, directory, signatures):
            Path(directory).mkdir()
            Path(directory, "saved_model.pb").write_text("half of it")
            assert contents(written) == before  # there all the while
            raise error("out of disk")

        monkeypatch.setattr(tf.saved_model, "save", save)
        for path, overwrite in [(written, True), (tmp_path / "other", False)]:
            with pytest.raises(error, match="out of disk"):
                export_flow(flow, path, overwrite=overwrite)
        assert contents(tmp_path) == before
        assert os.listdir(tmp_path) == ["flow"]

    @pytest.mark.slow
    def test_a_failure_to_rename_puts_the_old_one_back(self, flow, written, tmp_path, monkeypatch):
        before, rename = contents(tmp_path), Path.rename

        def failing(self, target):
            if self.name == "new":
                raise OSError("no rename today")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(OSError, match="no rename today"):
            export_flow(flow, written, overwrite=True)
        assert contents(tmp_path) == before
        assert os.listdir(tmp_path) == ["flow"]


class TestErrors:
    @pytest.mark.slow
    def test_what_is_no_flow_of_ours(self, small_flow, tmp_path):
        foreign = tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(tf.zeros([D])), small_flow.bijector
        )
        for value in (small_flow.distribution, foreign, tfd.Sample(small_flow, 2), None):
            for call in (lambda v: export_flow(v, tmp_path / "flow"), to_tflite):
                with pytest.raises(TypeError, match=r"`flow` must be .* got"):
                    call(value)
        assert not os.listdir(tmp_path)

    @pytest.mark.slow
    def test_a_model_is_told_where_its_flow_is(self, small_flow, tmp_path):
        with pytest.raises(TypeError, match="Use its `distribution`"):
            export_flow(tfp_gmnvp.FlowModel(small_flow), tmp_path / "flow")

    @pytest.mark.slow
    def test_urls(self, small_flow):
        with pytest.raises(ValueError, match=r"`path` must be a local directory, got 'gs://"):
            export_flow(small_flow, "gs://bucket/flow")

    def test_tflite(self, small_flow):
        with pytest.raises(ValueError, match="float32, got float64"):
            to_tflite(trained_flow(dtype="float64"))
        with pytest.raises(ValueError, match=r"`function` must be one of 'log_prob'.*'sample'"):
            to_tflite(small_flow, "sample")


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize(
    ("covariance_type", "function"),
    [(c, f) for c in COVARIANCE_TYPES for f in ("log_prob", "posterior")]
    + [("diag", f) for f in ("predict_component", "forward", "inverse")],
)
def test_tflite_gives_the_flows_values(covariance_type, function):
    flow = trained_flow(covariance_type)
    interpreter = tf.lite.Interpreter(model_content=to_tflite(flow, function))
    runner = interpreter.get_signature_runner()
    for size in (1, 7):
        inputs = inputs_of(flow, size)
        ((target, expected),) = (
            (name.partition("/")[2], value)
            for name, value in expected_values(flow, inputs).items()
            if name.startswith(function + "/")
        )
        (source,) = runner.get_input_details()
        assert_close(runner(**{source: np.asarray(inputs[source])})[target], expected)
