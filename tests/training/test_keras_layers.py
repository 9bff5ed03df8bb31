"""A flow as a layer of other Keras models; all tests also run under tf_keras."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from keras_models import make_flow, points

import tfp_gmnvp as gmnvp

keras = tf.keras
tfd = tfp.distributions
IS_KERAS_3 = hasattr(keras, "Variable")


@pytest.fixture(autouse=True)
def the_same_layers_every_time():
    """Seeds Keras' layers and TFP's draws, which have no seeds of their own."""
    keras.utils.set_random_seed(0)


def encoder_and_flow(**arguments):
    """A functional model: points, a linear layer, and the flow's log-density of its output."""
    inputs = keras.Input([4])
    features = keras.layers.Dense(3, name="features")(inputs)
    log_prob = gmnvp.FlowLayer(make_flow(), **arguments)(features)
    return keras.Model(inputs, log_prob)


def inputs(size=60):
    return np.random.default_rng(1).normal(size=(size, 4)).astype(np.float32)


def test_log_density_of_any_rank():
    flow = make_flow()
    layer = gmnvp.FlowLayer(flow)
    x = points(24)
    np.testing.assert_array_equal(layer(x), flow.log_prob(x))
    np.testing.assert_allclose(
        layer(x.reshape(4, 6, 3)), flow.log_prob(x.reshape(4, 6, 3)), rtol=1e-6
    )
    assert tuple(layer.compute_output_shape((4, 6, 3))) == (4, 6)
    with pytest.raises(ValueError, match=r"vectors of size 3, got inputs of shape \(5, 2\)"):
        gmnvp.FlowLayer(flow)(tf.zeros([5, 2]))


def test_weights_of_the_layer_are_the_flows_and_can_be_frozen():
    layer = gmnvp.FlowLayer(make_flow())
    flow = layer.distribution
    assert len(layer.trainable_weights) == len(flow.trainable_variables)
    assert len(layer.weights) == len(flow.variables)
    assert layer.count_params() == sum(int(tf.size(v)) for v in flow.variables)
    layer.trainable = False
    assert layer.trainable_weights == []


@pytest.mark.slow
def test_trains_jointly_with_earlier_layers():
    model = encoder_and_flow()
    flow = model.layers[-1].distribution
    x = inputs()

    def loss():
        return -tf.reduce_mean(flow.log_prob(model.layers[1](x)))

    dense = model.layers[1]
    kernel = dense.kernel.value if IS_KERAS_3 else dense.kernel
    bias = dense.bias.value if IS_KERAS_3 else dense.bias
    variables = [kernel, bias, *flow.trainable_variables]
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    expected = [v - 0.1 * g for v, g in zip(variables, gradients, strict=True)]
    model.compile(keras.optimizers.SGD(0.1), loss=lambda _, log_prob: -log_prob, run_eagerly=True)
    reported = model.train_on_batch(x, np.zeros(len(x)))
    assert float(np.ravel(reported)[0]) == pytest.approx(float(value), abs=1e-4)
    for variable, after in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, after, atol=1e-5)


@pytest.mark.slow
def test_the_layer_adds_its_loss_to_the_model():
    model = encoder_and_flow(loss_weight=0.5)
    x = inputs()
    log_prob = model(x)
    [loss] = model.losses
    assert float(loss) == pytest.approx(-0.5 * np.mean(log_prob), abs=1e-5)
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(x, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "weights.h5", "ckpt"])
def test_layers_are_saved_and_loaded(form, tmp_path):
    path = str(tmp_path / f"model.{form}")
    model, other = encoder_and_flow(loss_weight=1.0), encoder_and_flow(loss_weight=1.0)
    for variable in model.layers[-1].distribution.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    if form == "keras":
        model.save(path)
        other = keras.models.load_model(path)
    elif form == "weights.h5":
        model.save_weights(path)
        other.load_weights(path)
    else:
        tf.train.Checkpoint(model=model).write(path)
        tf.train.Checkpoint(model=other).read(path).expect_partial()
    np.testing.assert_array_equal(other(inputs()), model(inputs()))
    assert other.layers[-1].loss_weight == 1.0


def test_saving_a_flow_not_built_by_a_factory_is_refused():
    layer = gmnvp.FlowLayer(make_flow().copy(name="other"))
    with pytest.raises(ValueError, match="not built by `gaussian_mixture_flow`"):
        layer.get_config()


def test_float64():
    layer = gmnvp.FlowLayer(make_flow(dtype=tf.float64))
    assert layer(points()).dtype == tf.float64
    assert layer(points().astype(np.float64)).dtype == tf.float64


@pytest.mark.slow
@pytest.mark.skipif(IS_KERAS_3, reason="`tfp.layers` are layers of tf_keras")
def test_prior_of_a_variational_autoencoder_of_tfp_layers():
    tfpl = tfp.layers
    prior = gmnvp.FlowLayer(make_flow(standardize=None))
    divergence = tfpl.KLDivergenceRegularizer(
        prior.distribution, use_exact_kl=False, test_points_fn=lambda q: q.sample(3)
    )
    encoder = keras.Sequential(
        [
            keras.layers.Dense(tfpl.IndependentNormal.params_size(3)),
            tfpl.IndependentNormal(3, activity_regularizer=divergence),
        ]
    )
    decoder = keras.Sequential(
        [keras.layers.Dense(tfpl.IndependentNormal.params_size(4)), tfpl.IndependentNormal(4)]
    )

    class Autoencoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder, self.prior = encoder, decoder, prior

        def call(self, x):
            return self.decoder(self.encoder(x))

    model = Autoencoder()
    model.compile(keras.optimizers.Adam(0.01), loss=lambda x, p: -p.log_prob(x))
    before = [v.numpy() for v in prior.distribution.trainable_variables]
    history = model.fit(inputs(), inputs(), epochs=15, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for a, b in zip(before, prior.distribution.trainable_variables, strict=True):
        assert not np.array_equal(a, b)
