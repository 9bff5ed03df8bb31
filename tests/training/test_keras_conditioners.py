"""Keras layers as conditioners: regularizers, constraints, freezing, and errors for the rest."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import points

import tfp_gmnvp as gmnvp

keras = tf.keras
layers = keras.layers


def flow_over(make_layer, **arguments):
    return gmnvp.gaussian_mixture_flow(
        3, 2, num_couplings=2, conditioner_fn=lambda _, size: make_layer(size), seed=0, **arguments
    )


def dense(size, **arguments):
    return layers.Dense(
        size, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.1, seed=1), **arguments
    )


def stepped(flow, **arguments):
    """Kernel and bias of each conditioner after a step of gradient descent, and the loss."""
    model = gmnvp.FlowModel(flow, initialize=False, seed=0)
    update = arguments.pop("mixture_update", gmnvp.MixtureUpdate())
    model.compile(keras.optimizers.SGD(0.1), mixture_update=update, jit_compile=False, **arguments)
    loss = model.fit(points(), batch_size=120, verbose=0).history["loss"][0]
    return [v.numpy().copy() for v in flow.bijector.trainable_variables], loss


@pytest.mark.slow
def test_a_kernel_regularizer_is_trained_on_but_not_reported():
    regularizer = keras.regularizers.L2(0.25)
    flows = [flow_over(dense), flow_over(lambda n: dense(n, kernel_regularizer=regularizer))]
    for variable, other in zip(*(f.bijector.trainable_variables for f in flows), strict=True):
        other.assign(variable)
    before = [v.numpy().copy() for v in flows[0].bijector.trainable_variables]
    (free, loss), (pulled, same_loss) = (stepped(flow) for flow in flows)
    assert same_loss == pytest.approx(loss, rel=1e-6)
    for start, a, b in zip(before, free, pulled, strict=True):
        expected = 0.1 * 0.25 * 2 * start if start.ndim == 2 else np.zeros_like(start)
        np.testing.assert_allclose(a - b, expected, atol=1e-6)


def test_regularizers_of_nested_layers_are_trained_on():
    def network(size):
        hidden = dense(5, activation="tanh", kernel_regularizer=keras.regularizers.L2(1.0))
        return keras.Sequential([hidden, dense(size)])

    bijector = flow_over(network).bijector
    kernels = [v for v in bijector.trainable_variables if v.shape[-1] == 5 and v.shape.rank == 2]
    expected = sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert len(kernels) == 2
    assert float(gmnvp.bijectors.penalty(bijector)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_constraint_holds():
    flow = flow_over(lambda size: dense(size, kernel_constraint=keras.constraints.NonNeg()))
    after, _ = stepped(flow)
    kernels = [values for values in after if values.ndim == 2]
    assert all((kernel >= 0).all() for kernel in kernels)
    assert any((values < 0).any() for values in after if values.ndim == 1)


@pytest.mark.slow
def test_a_frozen_layer_does_not_change():
    def network(size):
        hidden = dense(5, activation="tanh")
        hidden.trainable = False
        return keras.Sequential([keras.Input([_input_size(size)]), hidden, dense(size)])

    flow = flow_over(network)
    before = [v.numpy().copy() for v in flow.bijector.trainable_variables]
    after, _ = stepped(flow)
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [a.shape[-1] != 5 for a in before]
    assert sum(moved) == 4


def _input_size(output_size):
    """The numbers of entries, of three, that a coupling conditions on."""
    return 3 - output_size // 2


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dropout(0.5),
        lambda: layers.BatchNormalization(),
        lambda: layers.GaussianNoise(0.1),
    ],
    ids=["dropout", "batch", "noise"],
)
@pytest.mark.parametrize("is_alone", [False, True])
def test_layers_that_differ_in_training_are_refused(layer, is_alone):
    def network(size):
        if is_alone:
            return keras.Sequential([dense(size), layer()])
        return keras.Sequential([dense(5), keras.Sequential([layer()]), dense(size)])

    with pytest.raises(ValueError, match=r"behaves differently in training.*`LayerNormalization`"):
        flow_over(network)


def test_layers_that_are_the_same_in_training_are_accepted():
    def network(size):
        batch = layers.BatchNormalization()
        batch.trainable = False  # always as in inference
        parts = [layers.LayerNormalization(), layers.Dropout(0.0), batch]
        return keras.Sequential([dense(5), *parts, dense(size)])

    flow = flow_over(network)
    assert np.isfinite(flow.log_prob(points())).all()
    assert not any("gamma" in v.name and not v.trainable for v in flow.trainable_variables)


class Penalised(layers.Layer):
    def __init__(self, size):
        super().__init__()
        self.dense = layers.Dense(size)

    def call(self, x):
        self.add_loss(tf.reduce_mean(x**2))
        return self.dense(x)


@pytest.mark.parametrize(
    "make_layer",
    [Penalised, lambda n: layers.Dense(n, activity_regularizer=keras.regularizers.L2(0.1))],
)
def test_losses_of_activations_are_refused(make_layer):
    with pytest.raises(ValueError, match=r"losses of its activations.*`kernel_regularizer`"):
        flow_over(make_layer)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.by_xla
def test_a_regularizer_is_compiled():
    def make(size):
        return dense(size, kernel_regularizer=keras.regularizers.L2(0.25))

    flows = [flow_over(make), flow_over(make)]
    for variable, other in zip(*(f.bijector.trainable_variables for f in flows), strict=True):
        other.assign(variable)
    plain, _ = stepped(flows[0])
    model = gmnvp.FlowModel(flows[1], initialize=False, seed=0)
    model.compile(keras.optimizers.SGD(0.1), mixture_update=gmnvp.MixtureUpdate(), jit_compile=True)
    model.fit(points(), batch_size=120, verbose=0)
    for a, b in zip(plain, flows[1].bijector.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
