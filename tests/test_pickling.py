"""Copies of all public objects, by `pickle`, `copy.deepcopy`, joblib and a spawned process."""

import concurrent.futures
import copy
import functools
import io
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from support import perturb

import tfp_gmnvp as gmnvp

keras, tfb = tf.keras, tfp.bijectors
X = np.random.default_rng(0).normal(size=[60, 2]).astype(np.float32) * [1.0, 3.0] + [0.0, 9.0]
CONTEXTS = np.array([[0.0], [1.0]], np.float32)
SEED = [0, 1]


def pickled(value):
    return pickle.loads(pickle.dumps(value))


each_way = pytest.mark.parametrize("duplicate", [pickled, copy.deepcopy])


def flow_with(**arguments):
    settings = {"num_couplings": 2, "hidden_units": (4,), "seed": 0, **arguments}
    return perturb(gmnvp.gaussian_mixture_flow(2, 3, **settings), scale=0.1)


def image_flow():
    images = np.random.default_rng(0).uniform(0, 17, [20, 4, 4, 1])
    arguments = {"num_filters": 4, "num_blocks": 1, "num_levels": 17, "seed": 0}
    return gmnvp.image_flow([4, 4, 1], 2, standardize=images, **arguments)


def of_layer(input_size, output_size):
    return keras.layers.Dense(output_size, activation="tanh")


class Network(tf.Module):
    """A conditioner that is not a Keras layer."""

    def __init__(self, input_size, output_size):
        super().__init__()
        self.kernel = tf.Variable(tf.ones([input_size, output_size]))

    def __call__(self, x):
        return tf.tanh(x @ self.kernel)


FLOWS = {
    "default": flow_with,
    "relu": lambda: flow_with(activation="relu"),
    "gelu": lambda: flow_with(activation=keras.activations.gelu),
    "sine": lambda: flow_with(activation="sine"),
    "spline": lambda: flow_with(coupling="spline", mixing="lu", conditioner="residual"),
    "act_norm": lambda: flow_with(normalization="act_norm", dropout=0.1, l2=0.1),
    "standardized": lambda: flow_with(standardize=X, dtype=tf.float64),
    "reparameterized": lambda: flow_with(reparameterize=True, covariance_type="tied"),
    "low_rank": lambda: flow_with(covariance_type="low_rank", rank=1),
    "spherical": lambda: flow_with(covariance_type="spherical"),
    "layer": lambda: flow_with(conditioner_fn=of_layer),
    "module": lambda: flow_with(conditioner_fn=Network),
    "context": lambda: gmnvp.condition(flow_with(context_size=1), CONTEXTS),
    "gate": lambda: gmnvp.condition(flow_with(context_size=1, gate_units=(3,)), CONTEXTS),
    "images": image_flow,
}


@each_way
@pytest.mark.parametrize("kind", FLOWS)
def test_copies_of_all_flows_have_variables_of_their_own(kind, duplicate):
    flow = FLOWS[kind]()
    x = flow.sample(4, seed=SEED).numpy()
    expected, values = flow.log_prob(x), [v.numpy() for v in flow.variables]
    copied = duplicate(flow)
    with tf.GradientTape() as tape:
        log_prob = copied.log_prob(x)
    np.testing.assert_array_equal(log_prob, expected)
    np.testing.assert_array_equal(copied.sample(4, seed=SEED)[0], x[0])
    assert len(copied.trainable_variables) == len(flow.trainable_variables)
    assert None not in tape.gradient(log_prob, copied.trainable_variables)
    perturb(copied)
    for variable, value in zip(flow.variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["default", "standardized", "images", "layer"])
def test_a_copy_can_be_copied_by_copy_flow(kind):
    flow = pickled(FLOWS[kind]())
    if kind == "layer":
        keras.utils.register_keras_serializable(package="tests")(of_layer)
    x = flow.sample(4, seed=SEED)
    np.testing.assert_array_equal(gmnvp.copy_flow(flow).log_prob(x), flow.log_prob(x))


def log_prob_of(flow, x):
    """The function that another process runs."""
    return flow.log_prob(x).numpy()


@pytest.mark.slow
def test_joblib_and_a_spawned_process_get_flow_and_detector():
    flow = flow_with(standardize=X)
    detector = gmnvp.OutlierDetector(flow, X, contamination=0.1)
    file = io.BytesIO()
    joblib.dump(detector, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).score(X), detector.score(X))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        log_prob = pool.submit(log_prob_of, flow, X.astype(np.float32)).result()
        outliers = pool.submit(detector.is_outlier, X).result()
    np.testing.assert_allclose(log_prob, flow.log_prob(X), rtol=1e-6)
    assert outliers.sum() == 6


@functools.cache
def trained():
    model = gmnvp.FlowModel(flow_with(standardize=X), seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(prior=gmnvp.Prior()), jit_compile=False)
    model.fit(X, epochs=1, verbose=0)
    return model


OBJECTS = {
    "affine": gmnvp.Affine,
    "sine": gmnvp.Sine,
    "spline": gmnvp.RationalQuadratic,
    "prior": lambda: gmnvp.Prior(concentration=2.0),
    "schedule": gmnvp.PowerSchedule,
    "full_batch": lambda: gmnvp.FullBatchEM(every=2, prior=gmnvp.Prior()),
    "stepwise": lambda: gmnvp.StepwiseEM(step_size=0.1),
    "gradient": gmnvp.GradientUpdate,
    "mlp": lambda: gmnvp.MLP(1, 2),
    "residual": lambda: gmnvp.ResidualMLP(1, 2),
    "act_norm": lambda: gmnvp.ActNorm(2),
    "lu": lambda: gmnvp.LULinear(2),
    "coupling": lambda: gmnvp.Coupling(gmnvp.MLP(1, 2), 2),
    "chain": lambda: gmnvp.SinglePassChain([tfb.Exp(), gmnvp.LULinear(2)]),
    "standardization": lambda: gmnvp.standardization(X),
    "real_nvp": lambda: gmnvp.real_nvp(2),
    "image_real_nvp": lambda: gmnvp.image_real_nvp([4, 4, 1], num_filters=2, num_blocks=0),
    "mixture": lambda: gmnvp.gaussian_mixture(3, 2),
    "layer": lambda: gmnvp.FlowLayer(flow_with()),
    "reliability": lambda: gmnvp.reliability([[0.8, 0.2]], [0]),
    "estimate": lambda: gmnvp.summaries.entropy(flow_with(), num_samples=10, seed=0),
    "warning": lambda: gmnvp.ConvergenceWarning("not yet"),
    "scores": lambda: gmnvp.ComponentScores(1, 2, 3.0),
    "selection": lambda: gmnvp.ComponentSelection(
        "bic", (gmnvp.ComponentScores(3, 2, 3.0, bic=1.0),), {3: trained()}
    ),
    "mixture_fit": lambda: gmnvp.MixtureFit([1.0], True),
    "density_fit": lambda: gmnvp.DensityFit(trained(), None, None, True, {}),
    "table": lambda: gmnvp.datasets.Table(X, ("a", "b")),
    **gmnvp.datasets.TOY_DENSITIES,
}


@each_way
@pytest.mark.parametrize("name", OBJECTS)
def test_all_public_objects_can_be_copied(name, duplicate):
    value = OBJECTS[name]()
    copied = duplicate(value)
    assert type(copied) is type(value)
    if hasattr(value, "get_config") and not isinstance(value, keras.layers.Layer):
        assert copied.get_config() == value.get_config()
    if isinstance(value, tf.Module):
        for ours, theirs in zip(copied.variables, value.variables, strict=True):
            assert ours is not theirs
            np.testing.assert_array_equal(ours, theirs)
    if hasattr(value, "sample_with_labels"):
        np.testing.assert_array_equal(copied.sample(3, seed=0), value.sample(3, seed=0))


@pytest.mark.slow
def test_copies_of_a_trained_model_train_alike():
    model = trained()
    log_prob = model.distribution.log_prob(X).numpy()
    copies = pickled(model), copy.deepcopy(model)
    for copied in copies:
        np.testing.assert_array_equal(copied.distribution.log_prob(X), log_prob)
        assert copied.mixture_update.get_config() == model.mixture_update.get_config()
    losses = [m.fit(X, epochs=1, verbose=0).history["loss"] for m in copies]
    np.testing.assert_array_equal(*losses)
    np.testing.assert_array_equal(model.distribution.log_prob(X), log_prob)


@pytest.mark.slow
def test_a_figure_callback_can_be_copied_during_training(tmp_path):
    callback = gmnvp.FigureCallback(X[:9], tmp_path, log_dir=tmp_path / "log", dpi=20)
    callback.set_model(trained())
    callback.on_train_begin()
    for duplicate in (pickled, copy.deepcopy):  # also while a file is open
        again = duplicate(callback)
        callback.on_train_end()
        np.testing.assert_array_equal(
            again.model.predict(X, verbose=0), trained().predict(X, verbose=0)
        )


@pytest.mark.one_keras
@each_way
@pytest.mark.parametrize("kind", ["closure", "bound method"])
def test_a_conditioner_that_would_share_variables_with_its_copy_is_refused(kind, duplicate):
    def conditioner_fn(input_size, output_size):
        network = Network(input_size, output_size)
        return (lambda x: network(x)) if kind == "closure" else network.__call__

    flow = flow_with(conditioner_fn=conditioner_fn)
    with pytest.raises(TypeError, match="`conditioner_fn` returned, can be neither copied nor"):
        duplicate(flow)


@pytest.mark.one_keras
def test_a_lambda_conditioner_fn_is_lost_with_a_clear_error():
    flow = flow_with(conditioner_fn=lambda *sizes: Network(*sizes))
    copied, x = pickled(flow), tf.constant(X[:3], tf.float32)
    np.testing.assert_array_equal(copied.log_prob(x), flow.log_prob(x))
    with pytest.raises(ValueError, match=r"`conditioner_fn` <function .* was lost .* pickled"):
        gmnvp.copy_flow(copied)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(flow_with(activation=lambda x: x))  # with Python's own error
    copied = copy.deepcopy(flow_with(activation=lambda x: x))
    assert copied.log_prob(x).shape == [3]
