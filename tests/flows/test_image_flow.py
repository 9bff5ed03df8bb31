"""Flows of images: densities of pixels, training, bits per dimension, saving and serving."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support import perturb
from tensorflow_probability import distributions as tfd

import tfp_gmnvp
from tfp_gmnvp import datasets
from tfp_gmnvp.flows.building import build_flow
from tfp_gmnvp.flows.configuration import flow_config

SHAPE, LEVELS = (4, 4, 1), 17


def images(num_images=60, seed=0):
    """Two kinds of stripes, with noise."""
    rng = np.random.default_rng(seed)
    stripes = np.where(rng.integers(0, 2, num_images)[:, None, None], np.eye(4), np.ones([4, 4]))
    return np.clip(np.round(12 * stripes + rng.normal(0, 2, [num_images, 4, 4])), 0, 16).astype(int)


def small_flow(num_components=2, dtype=tf.float32, **kwargs):
    arguments = {
        "num_scales": 1,
        "num_filters": 4,
        "num_blocks": 0,
        "num_levels": LEVELS,
        "covariance_type": "low_rank",
        "rank": 2,
        "standardize": datasets.dequantize(images(), seed=0),
        "seed": 0,
        **kwargs,
    }
    return tfp_gmnvp.image_flow(SHAPE, num_components, dtype=dtype, **arguments)


@pytest.mark.slow
def test_log_prob_is_of_the_pixels():
    """By the change of variables, with the Jacobian by autodiff."""
    flow = perturb(small_flow(dtype=tf.float64), scale=0.05)
    x = tf.constant(datasets.dequantize(images(1), seed=1, dtype=np.float64)[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = flow.bijector.inverse(x)
    _, log_det = np.linalg.slogdet(tf.reshape(tape.jacobian(z, x), [16, 16]))
    np.testing.assert_allclose(
        flow.log_prob(tf.identity(x)), flow.distribution.log_prob(z) + log_det, rtol=1e-10
    )
    for batch in ((), (3,), (2, 3)):
        assert flow.sample(batch, seed=[0, 1]).shape == (*batch, *SHAPE)
        assert tfp_gmnvp.sample_component(flow, 1, batch, seed=0).shape == (*batch, *SHAPE)
        points = tf.broadcast_to(x, [*batch, *SHAPE])
        assert tfp_gmnvp.posterior(flow, points).probs_parameter().shape == (*batch, 2)
    sample = flow.sample(100, seed=[0, 1])
    assert float(tf.reduce_min(sample)) > -1.0 and float(tf.reduce_max(sample)) < LEVELS + 1


def test_standardization_sees_to_the_first_latents():
    x = datasets.dequantize(images(500), seed=0)
    z = small_flow(standardize=x, seed=1).bijector.inverse(x).numpy()
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.2)


def test_bits_per_dimension_in_closed_form():
    """Pixels uniform over the levels take log2 L bits, whatever the images."""
    x = np.random.default_rng(0).uniform(0, 16, [50, *SHAPE]).astype(np.float32)

    class Uniform(tfp_gmnvp.bijectors.SinglePassBijector):
        """Adds to every log-density what makes the flow uniform over [0, 16]."""

        def _forward_and_log_det(self, x):
            raise NotImplementedError

        def _inverse_and_log_det(self, y):
            z = tf.reshape(y, [-1, 16])
            normal = 0.5 * tf.reduce_sum(z**2 + math.log(2 * math.pi), axis=-1)
            return z, normal - 16 * math.log(16.0)

    flow = tfp_gmnvp.bijectors.SinglePassChain([Uniform(domain_shape=[16], codomain_shape=SHAPE)])
    flow = tfd.TransformedDistribution(tfp_gmnvp.gaussian_mixture(1, 16), flow)
    model = tfp_gmnvp.FlowModel(flow, initialize=False)
    model.compile("adam", jit_compile=False)
    report = model.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_allclose(report["bits_per_dim"], 4.0, rtol=1e-5)
    np.testing.assert_allclose(report["loss"], 4.0 * 16 * math.log(2), rtol=1e-5)


@pytest.mark.slow
def test_fit_save_and_serve(tmp_path):
    flow = small_flow()
    x_test = datasets.dequantize(images(20, seed=1), seed=1)
    model = tfp_gmnvp.FlowModel(flow, seed=0)
    model.compile(tf.keras.optimizers.Adam(3e-3), mixture_update=tfp_gmnvp.FullBatchEM())
    batches = datasets.image_batches(images(), 25, seed=0)
    before = [variable.numpy() for variable in flow.trainable_variables]
    history = model.fit(batches, epochs=3, validation_data=x_test, verbose=0).history
    of_data = {"loss", "bits_per_dim", "val_loss", "val_bits_per_dim"}
    assert set(history) == {*of_data, "skipped_steps"}
    for variable, old in zip(flow.trainable_variables, before, strict=True):
        assert (variable.numpy() != old).any(), variable.name
    for prefix in ("", "val_"):
        bits = np.array(history[prefix + "loss"]) / (16 * math.log(2))
        np.testing.assert_allclose(history[prefix + "bits_per_dim"], bits, rtol=1e-5)
    log_prob = model.predict(x_test, verbose=0)
    np.testing.assert_allclose(-log_prob.mean(), history["val_loss"][-1], rtol=1e-5)
    path = str(tmp_path / "model.keras")
    model.save(path)
    again = tf.keras.models.load_model(path)
    np.testing.assert_allclose(again.predict(x_test, verbose=0), log_prob, rtol=1e-5)
    tfp_gmnvp.export_flow(flow, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(served.log_prob(x_test), log_prob, rtol=1e-4)
    np.testing.assert_allclose(served.forward(served.inverse(x_test)), x_test, atol=0.01 * LEVELS)
    posterior = tfp_gmnvp.posterior(flow, x_test).probs_parameter()
    np.testing.assert_allclose(served.posterior(x_test), posterior, atol=1e-4)
    assert served.sample(3, [0, 1]).shape == (3, *SHAPE)
    description = {name: value.numpy() for name, value in served.describe().items()}
    assert description["event_shape"].tolist() == list(SHAPE) and description["event_size"] == 16


def test_flow_is_built_again_from_its_configuration():
    flow = small_flow(alpha=0.01, activation=tf.nn.elu)
    config = flow_config(flow)
    assert config["factory"] == "image_flow" and config["activation"] == "elu"
    again = build_flow(config)
    for variable, other in zip(again.variables, flow.variables, strict=True):
        variable.assign(other)
    x = datasets.dequantize(images(5), seed=0)
    np.testing.assert_allclose(again.log_prob(x), flow.log_prob(x), rtol=1e-5)


def test_layer_takes_images():
    layer = tfp_gmnvp.FlowLayer(small_flow())
    assert layer(tf.fill([3, *SHAPE], 8.0)).shape == (3,)
    assert layer.compute_output_shape((None, *SHAPE)) == (None,)
    with pytest.raises(ValueError, match=r"events of shape \(4, 4, 1\)"):
        layer.build((None, 5, 4, 1))


def test_dequantisation_is_uniform_and_keeps_the_level():
    x = datasets.dequantize(np.full([200, 8, 8], 255), seed=0)
    np.testing.assert_array_equal(np.floor(x), 255)
    noise = x.ravel() - 255
    np.testing.assert_allclose(np.quantile(noise, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)
    np.testing.assert_array_equal(x, datasets.dequantize(np.full([200, 8, 8], 255), seed=0))
    assert np.abs(x - datasets.dequantize(np.full([200, 8, 8], 255), seed=1)).max() > 0.1


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_batches_are_new_in_every_pass_and_follow_from_the_seed(dtype):
    ramp = np.arange(40 * 16).reshape(40, 4, 4)

    def passes(seed, flip=False):
        batches = datasets.image_batches(ramp, 16, seed=seed, flip=flip, dtype=dtype)
        return [np.concatenate(list(batches.as_numpy_iterator())) for _ in range(2)]

    first, second = passes(0)
    assert first.dtype == dtype.as_numpy_dtype and first.shape == (40, 4, 4, 1)
    for images_of_a_pass in (first, second):
        np.testing.assert_array_equal(np.sort(np.floor(images_of_a_pass).ravel()), ramp.ravel())
    assert (first != second).mean() > 0.99
    aligned = [np.sort(a.ravel()) % 1 for a in (first, second)]
    assert np.abs(np.corrcoef(aligned)[0, 1]) < 0.2  # the noise is another, not only the order
    np.testing.assert_array_equal(passes(0)[0], first)
    flipped = passes(0, flip=True)[0]
    is_flipped = np.floor(flipped)[:, 0, 0, 0] > np.floor(flipped)[:, 0, 3, 0]
    assert 5 < is_flipped.sum() < 35
    unflipped = np.where(is_flipped[:, None, None, None], flipped[:, :, ::-1], flipped)
    np.testing.assert_array_equal(np.floor(unflipped), np.floor(first))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small_flow(standardize=np.zeros([5, 4, 3, 1])), r"`standardize` .*got \[5, 4, 3"),
        (lambda: small_flow(standardize=np.full([5, 4, 4, 1], 18.0)), r"pixels in \[0, 17\]"),
        (lambda: small_flow(standardize=np.full([5, 4, 4, 1], np.nan)), r"pixels in \[0, 17\]"),
        (lambda: datasets.dequantize(np.zeros([4]), seed=0), "`images` must have shape"),
        (lambda: datasets.image_batches(np.full([2, 4, 4], 0.5), 1, seed=0), "whole numbers"),
    ],
)
def test_says_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()
