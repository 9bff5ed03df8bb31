"""Clones of models and layers: fresh weights, but statistics of the data are kept."""

import json

import keras_models
import numpy as np
import pytest
import tensorflow as tf
from support import perturb

import tfp_gmnvp as gmnvp

keras = tf.keras
X = keras_models.points() * np.float32([100.0, 0.1, 1.0]) + np.float32([500.0, -3.0, 1e4])


def trained(**arguments):
    """A model whose variables differ from their initial values."""
    model = gmnvp.FlowModel(keras_models.make_flow(standardize=X, **arguments), seed=0)
    model.initialize_mixture(X)
    perturb(model.distribution, scale=0.1)
    return model


@pytest.mark.parametrize("arguments", [{}, {"normalization": "act_norm", "dtype": tf.float64}])
def test_a_clone_has_fresh_weights_and_the_datas_standardisation(arguments):
    model = trained(**arguments)
    clone = keras.models.clone_model(model)
    untrained = keras_models.make_flow(standardize=X, **arguments)
    for ours, expected in zip(clone.distribution.variables, untrained.variables, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert -np.mean(clone.distribution.log_prob(X)) < 15.0  # 1e7 if not standardised


def test_a_clone_keeps_the_standardisation_that_was_loaded(tmp_path):
    model, path = trained(), str(tmp_path / "model.weights.h5")
    model.save_weights(path)
    other = gmnvp.FlowModel(keras_models.make_flow())
    other.load_weights(path)
    clone = keras.models.clone_model(other).distribution
    ours, expected = clone.bijector.bijectors[0], model.distribution.bijector.bijectors[0]
    np.testing.assert_array_equal(ours.mean, expected.mean)
    np.testing.assert_array_equal(ours.std, expected.std)


def test_a_clone_of_a_layer():
    inputs = keras.Input([3])
    model = keras.Model(inputs, gmnvp.FlowLayer(keras_models.make_flow(standardize=X))(inputs))
    clone = keras.models.clone_model(model)
    np.testing.assert_allclose(clone(X), model(X), rtol=1e-6)


@pytest.mark.slow
def test_a_clone_of_images_starts_from_the_statistics_of_the_images():
    images = np.random.default_rng(0).uniform(0, 17, [30, 4, 4, 1])
    arguments = {"num_filters": 4, "num_blocks": 0, "num_levels": 17, "seed": 0}
    flow = gmnvp.image_flow([4, 4, 1], 2, standardize=images, **arguments)
    expected = [variable.numpy() for variable in flow.variables]
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    clone = keras.models.clone_model(keras.models.clone_model(gmnvp.FlowModel(flow)))
    for variable, value in zip(clone.distribution.variables, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_old_files_that_store_only_a_flag_for_data_load(tmp_path):
    """Early versions stored `True` instead of the statistics."""
    model, path = gmnvp.FlowModel(keras_models.make_flow(standardize=X)), str(tmp_path / "m.keras")
    model.save(path)

    def older(config):

        config = json.loads(config)
        config["config"]["distribution"]["standardize"] = True
        return json.dumps(config)

    keras_models.rewrite(path, "config.json", older)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.distribution.log_prob(X), model.distribution.log_prob(X))
