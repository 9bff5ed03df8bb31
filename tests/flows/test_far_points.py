"""At points whose density is zero in the dtype, ratios of densities are those of the limit."""

import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES, full_covariances, mixture_with, perturb, random_parameters
from tensorflow_probability import distributions as tfd

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.em import e_step
from tfp_gmnvp.export.saved_model import export_flow, to_tflite
from tfp_gmnvp.flows import on_arrays
from tfp_gmnvp.training.data import labels

ALL_TYPES = (*COVARIANCE_TYPES, "low_rank")
DISTANCES = {np.float32: [1e18, 1e20, 1e30, 3e38], np.float64: [1e18, 1e154, 1e200, 1e308]}


def directions(num_directions, event_size, seed=0):
    """Vectors whose largest entry is one."""
    u = np.random.default_rng(seed).standard_normal([num_directions, event_size])
    return u / np.abs(u).max(axis=1, keepdims=True)


def limit(parameters, covariance_type, u):
    """The most likely component far out along u: the widest, or the furthest of equal widths."""
    precision = np.linalg.inv(full_covariances(parameters, covariance_type).astype(np.float64))
    squared = np.einsum("ni,kij,nj->nk", u, precision, u)
    if covariance_type == "tied":
        linear = np.einsum("ni,kij,kj->nk", u, precision, np.asarray(parameters.loc, np.float64))
        return linear.argmax(axis=1)
    return squared.argmin(axis=1)


def scaled(parameters, covariance_type, scale):
    """The parameters in another unit."""
    probs, loc, covariance = parameters
    if covariance_type == "low_rank":
        powers = np.where(np.arange(covariance.shape[-1]) == 0, 2, 1)
        return mixtures.MixtureParameters(probs, loc * scale, covariance * scale**powers)
    return mixtures.MixtureParameters(probs, loc * scale, covariance * scale**2)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, 1.0), (np.float32, 1e-8), (np.float32, 1e12), (np.float64, 1.0)],
)
@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ALL_TYPES)
def test_posterior_far_out_is_that_of_the_limit(dtype, scale, covariance_type):
    parameters = random_parameters(4, 3, covariance_type, seed=3)
    u = directions(50, 3)
    expected = limit(parameters, covariance_type, u)
    assert len(set(expected)) > 1 or covariance_type == "spherical"
    parameters = scaled(parameters, covariance_type, scale)
    mixture = mixture_with(parameters, covariance_type, dtype=dtype)
    log_posterior = tf.function(lambda z: mixtures.log_posterior(mixture, z))
    for distance in DISTANCES[dtype]:
        z = tf.constant(distance * u, dtype)
        values = log_posterior(z).numpy()
        assert np.isfinite(values).all()
        np.testing.assert_allclose(np.exp(values).sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(values.argmax(axis=1), expected)
        assert np.exp(values).max(axis=1).min() > 0.999
    np.testing.assert_array_equal(mixture.posterior_mode(z), expected)
    np.testing.assert_allclose(mixture.posterior_marginal(z).logits, values, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", ALL_TYPES)
def test_posterior_nearby_is_bayes_rule(dtype, covariance_type):
    parameters = random_parameters(4, 3, covariance_type, seed=1)
    mixture = mixture_with(parameters, covariance_type, dtype=dtype)
    z = tf.constant(3 * np.random.default_rng(0).standard_normal([5, 20, 3]), dtype)
    expected = tf.nn.log_softmax(mixtures.component_log_joint(mixture, z))
    rounding = 1e-11 if dtype == np.float64 else 5e-4
    np.testing.assert_allclose(mixtures.log_posterior(mixture, z), expected, atol=rounding)

    def gradient(function):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = tf.reduce_sum(function()[..., 1])
        return tape.gradient(value, z)

    np.testing.assert_allclose(
        gradient(lambda: mixtures.log_posterior(mixture, z)),
        gradient(lambda: tf.nn.log_softmax(mixtures.component_log_joint(mixture, z))),
        atol=20 * rounding,
    )


def test_equal_covariances_are_told_apart_by_their_means_at_any_distance():
    """In float32 the squares of 1e8 and of 1e8 + 1 are equal."""
    for dtype in (np.float32, np.float64):
        mixture = gmnvp.gaussian_mixture(3, 2, "full", dtype=dtype)
        mixture.components_distribution.loc.assign([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        for distance in (1e6, 1e8, 1e12, 1e18, 1e25, 1e37):
            z = tf.constant([[distance, 0.0], [0.0, distance], [-distance, -distance]], dtype)
            probs = tf.exp(mixtures.log_posterior(mixture, z)).numpy()
            np.testing.assert_allclose(probs, [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_weights_of_zero_and_nan_stay_what_they_are():
    mixture = mixtures.as_mixture(
        mixtures.MixtureParameters([0.0, 0.5, 0.5], [[0.0], [1.0], [2.0]], [9.0, 4.0, 1.0]),
        "spherical",
    )
    probs = tf.exp(mixtures.log_posterior(mixture, [[0.0], [1e30], [-1e30]])).numpy()
    np.testing.assert_allclose(probs[:, 0], 0.0)
    np.testing.assert_allclose(probs[1:], [[0, 1, 0]] * 2)
    assert np.isnan(mixtures.log_posterior(mixture, [[np.nan]])).all()
    one = mixtures.as_mixture(mixtures.MixtureParameters([1.0], [[3.0]], [4.0]), "spherical")
    assert mixtures.log_posterior(one, [[1e35], [0.0]]).numpy().tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_gradient_of_the_log_density_far_out(jit_compile):
    parameters = random_parameters(3, 2, "full", seed=3)
    mixture = mixture_with(parameters, "full", dtype=np.float32)
    u = directions(20, 2)
    precision = np.linalg.inv(full_covariances(parameters, "full"))
    widest = precision[limit(parameters, "full", u)]

    def log_prob_and_gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = mixture.log_prob(z)
        return log_prob, tape.gradient(log_prob, z)

    if jit_compile is not None:
        log_prob_and_gradient = tf.function(log_prob_and_gradient, jit_compile=jit_compile)
    for distance in (1e15, 1e22, 1e30):
        log_prob, gradient = log_prob_and_gradient(tf.constant(distance * u, tf.float32))
        assert np.all(np.asarray(log_prob) == -np.inf) == (distance > 1e20)
        expected = -np.einsum("nij,nj->ni", widest, u)
        np.testing.assert_allclose(gradient / distance, expected, rtol=1e-4, atol=1e-5)


def test_first_and_second_derivatives_nearby():
    mixture = mixture_with(random_parameters(3, 2, "full"), "full")
    z = tf.constant(np.random.default_rng(0).standard_normal([6, 2]))

    def derivatives(log_prob):
        with tf.GradientTape() as outer:
            outer.watch(z)
            with tf.GradientTape() as inner:
                inner.watch(z)
                value = tf.reduce_sum(log_prob(z))
            first = inner.gradient(value, z)
        return first, outer.batch_jacobian(first, z)

    expected = derivatives(
        lambda z: tf.reduce_logsumexp(mixtures.component_log_joint(mixture, z), axis=-1)
    )
    for actual, wanted in zip(derivatives(mixture.log_prob), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-12)


FLOWS = {
    "affine": {},
    "spline": {"coupling": "spline"},
    "lu": {"normalization": "act_norm", "mixing": "lu"},
    "sine": {"activation": "sine"},
}


@pytest.mark.parametrize(
    ("kind", "dtype"), [*((kind, np.float32) for kind in FLOWS), ("affine", np.float64)]
)
def test_posteriors_of_flows_are_finite_at_all_finite_points(kind, dtype):
    flow = gmnvp.gaussian_mixture_flow(
        2, 3, num_couplings=4, hidden_units=(16,), dtype=dtype, seed=0, **FLOWS[kind]
    )
    perturb(flow, scale=0.3)
    u = directions(10, 2)
    for distance in (1.0, *DISTANCES[dtype], 0.99 * float(np.finfo(dtype).max)):
        x = tf.constant(distance * u, dtype)
        probs = gmnvp.posterior(flow, x).probs_parameter().numpy()
        assert np.isfinite(probs).all()
        np.testing.assert_array_equal(gmnvp.predict_component(flow, x), probs.argmax(axis=1))
        np.testing.assert_allclose(on_arrays.responsibilities(flow, x.numpy()), probs, atol=1e-6)
        if distance > 1:
            assert (probs.max(axis=1) > 0.999).all()
    assert np.isnan(gmnvp.posterior(flow, [np.nan, 0.0]).probs_parameter()).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_exported_posteriors_far_out(tmp_path):
    flow = perturb(gmnvp.gaussian_mixture_flow(2, 3, num_couplings=2, hidden_units=(4,), seed=0))
    export_flow(flow, tmp_path / "flow")
    loaded = tf.saved_model.load(str(tmp_path / "flow"))
    u = directions(6, 2)
    x = tf.constant(np.concatenate([d * u for d in (1.0, 1e10, 1e20, 1e30, 3e38)]), tf.float32)
    expected = gmnvp.posterior(flow, x).probs_parameter()
    served = loaded.signatures["serving_default"](x=x)
    for probs in (served["posterior"], loaded.posterior(x)):
        np.testing.assert_allclose(probs, expected, atol=1e-5)
    for component in (served["component"], loaded.predict_component(x)):
        np.testing.assert_array_equal(component, np.argmax(expected, axis=1))
    log_prob = served["log_prob"].numpy()
    assert np.isfinite(log_prob[:12]).all() and (log_prob[12:] == -np.inf).all()
    runner = tf.lite.Interpreter(model_content=to_tflite(flow, "posterior")).get_signature_runner()
    np.testing.assert_allclose(runner(x=x.numpy())["posterior"], expected, atol=1e-5)


def test_responsibilities_and_labels_far_out():
    mixture = mixture_with(random_parameters(3, 2, "full", seed=3), "full", dtype=np.float32)
    z = tf.constant([[0.0, 0.0], [1e25, 0.0], [0.0, -1e25]])
    log_joint = mixtures.component_log_joint(mixture, z)
    responsibilities, log_prob = em.expectation(log_joint)
    np.testing.assert_allclose(responsibilities[1:], np.full([2, 3], 1 / 3), rtol=1e-6)
    assert np.isneginf(log_prob).tolist() == [False, True, True]
    ordered, _ = em.expectation(mixtures.finite_log_joint(mixture, z))
    np.testing.assert_allclose(ordered, tf.exp(mixtures.log_posterior(mixture, z)), atol=1e-6)
    found = e_step(mixture, z)
    np.testing.assert_allclose(found.statistics.mass, np.sum(ordered, axis=0), rtol=1e-5)
    y = tf.constant([1, 0, -1])
    objective = labels.labelled_log_prob(log_prob, log_joint, y).numpy()
    assert np.isfinite(objective[0]) and np.isneginf(objective[1:]).all()
    correct, _ = labels.is_correct(log_joint, tf.constant([1, 0, 0]))
    assert correct[1:].numpy().tolist() == [0.0, 0.0]


def test_scores_far_out():
    flow = gmnvp.gaussian_mixture_flow(2, 3, num_couplings=1, seed=0)
    known = np.random.default_rng(0).normal(size=[50, 2])
    detector = gmnvp.OutlierDetector(flow, known)
    far = np.array([[1e20, 0.0], [3e38, 3e38]])
    assert detector.score(far).tolist() == [1.0, 1.0] and detector.is_outlier(far).all()


def test_mixtures_that_are_not_ours():
    foreign = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.5]), tfd.MultivariateNormalDiag(tf.eye(2), tf.ones([2, 2]))
    )
    log_posterior = mixtures.log_posterior(foreign, tf.constant([[0.0, 0.0], [9.0, 0.0]]))
    np.testing.assert_allclose(tf.exp(log_posterior)[0], [0.5, 0.5], rtol=1e-6)
    assert log_posterior[1, 0] > log_posterior[1, 1]
