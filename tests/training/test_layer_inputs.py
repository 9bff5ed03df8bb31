"""A flow as a layer: default names, contexts, and sample weights of the loss that it adds."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_flow, points

import tfp_gmnvp as gmnvp

keras = tf.keras
X = points(24)
C = np.random.default_rng(2).normal(size=[24, 1]).astype(np.float32)
WEIGHTS = np.random.default_rng(1).uniform(size=24).astype(np.float32)
ZEROS = np.zeros(24, np.float32)


def test_several_layers_with_default_names_in_one_model(tmp_path):
    inputs = keras.Input([3])
    layers = [gmnvp.FlowLayer(make_flow(seed)) for seed in (0, 1)]
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    path = str(tmp_path / "model.keras")
    model.save(path)
    for ours, theirs in zip(keras.models.load_model(path)(X), model(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_conditional_flow_takes_pairs_or_rows(tmp_path):
    flow = make_flow(context_size=1)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    layer, expected = gmnvp.FlowLayer(flow), flow.log_prob(X, context=C)
    for pair in ((X, C), [X, C], np.concatenate([X, C], axis=1)):
        np.testing.assert_allclose(layer(pair), expected, rtol=1e-6)
    assert tuple(layer.compute_output_shape([(None, 3), (None, 1)])) == (None,)
    inputs = [keras.Input([3]), keras.Input([1])]
    model = keras.Model(inputs, gmnvp.FlowLayer(flow)(inputs))
    path = str(tmp_path / "model.keras")
    model.save(path)
    np.testing.assert_allclose(keras.models.load_model(path)([X, C]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "inputs", "message"),
    [
        (1, X, r"pairs `\(x, context\)` of vectors of size 3 and 1, got inputs of shape \(24, 3\)"),
        (1, (X, X), r"of vectors of size 3 and 1, got .* \(24, 3\) and \(24, 3\)"),
        (0, (X, C), r"vectors of size 3, got inputs of shape \(24, 3\) and \(24, 1\)"),
    ],
)
def test_inputs_of_wrong_shape_are_refused(size, inputs, message):
    with pytest.raises(ValueError, match=message):
        gmnvp.FlowLayer(make_flow(context_size=size))(inputs)


def model_with_loss(**arguments):
    inputs = keras.Input([3])
    model = keras.Model(inputs, gmnvp.FlowLayer(make_flow(), loss_weight=2.0)(inputs))
    model.compile(keras.optimizers.SGD(0.0), **arguments)
    return model


def batches(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(12)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"run_eagerly": True}])
def test_weights_that_do_not_reach_the_loss_are_refused(arguments):
    model = model_with_loss(**arguments)
    for call in (
        lambda model: model.fit(X, ZEROS, sample_weight=WEIGHTS, verbose=0),
        lambda model: model.fit(X, sample_weight=WEIGHTS, verbose=0),
        lambda model: model.fit(batches(X, ZEROS, WEIGHTS), shuffle=False, verbose=0),
        lambda model: model.evaluate(X, ZEROS, sample_weight=WEIGHTS, verbose=0),
        lambda model: model.train_on_batch(X, ZEROS, sample_weight=WEIGHTS),
        lambda model: model.fit(X, ZEROS, validation_data=(X, ZEROS, WEIGHTS), verbose=0),
    ):
        with pytest.raises(ValueError, match=r"`sample_weight` does not reach the loss"):
            call(model)
    loss = model.fit(X, ZEROS, verbose=0, batch_size=24).history["loss"][0]
    flow = model.layers[-1].distribution
    assert loss == pytest.approx(-2 * np.mean(flow.log_prob(X)), rel=1e-5)


@pytest.mark.parametrize("column", [False, True])
def test_sample_weights_of_the_layer_weight_its_loss(column):
    inputs, weights = keras.Input([3]), keras.Input([1] if column else [])
    layer = gmnvp.FlowLayer(make_flow(), loss_weight=2.0)
    model = keras.Model([inputs, weights], layer(inputs, sample_weight=weights))
    model.compile(keras.optimizers.SGD(0.0))
    given = WEIGHTS[:, np.newaxis] if column else WEIGHTS
    loss = model.evaluate([X, given], ZEROS, batch_size=24, verbose=0)
    expected = -2 * np.average(layer.distribution.log_prob(X), weights=WEIGHTS)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_points_of_weight_zero_do_not_influence_the_loss():
    layer = gmnvp.FlowLayer(make_flow(), loss_weight=1.0)
    x = X.reshape(4, 6, 3).copy()
    x[0] = np.inf
    layer(x, sample_weight=[0.0, 1.0, 1.0, 2.0])
    weights = np.repeat([1.0, 1.0, 2.0], 6).reshape(3, 6)
    expected = -np.average(layer.distribution.log_prob(x[1:]), weights=weights)
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-5)
    layer(x, sample_weight=np.zeros([4]))
    assert float(layer.losses[0]) == 0.0


def test_keras_applies_sample_weights_to_a_compiled_loss():
    inputs = keras.Input([3])
    layer = gmnvp.FlowLayer(make_flow())
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.0), loss=lambda _, log_prob: -log_prob)
    loss = model.evaluate(X, ZEROS, sample_weight=WEIGHTS, batch_size=24, verbose=0)
    expected = -np.mean(WEIGHTS * layer.distribution.log_prob(X).numpy())
    assert loss == pytest.approx(expected, rel=1e-4)
