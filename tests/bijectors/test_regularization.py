"""Residual conditioners, and what holds conditioners back in training: dropout and L2."""

import numpy as np
import pytest
import tensorflow as tf
from support import count_ops, perturb, points
from test_real_nvp import normal_over
from test_real_nvp import perturbed as perturbed_flow

import tfp_gmnvp as gmnvp
from tfp_gmnvp.bijectors import MLP, ResidualMLP, real_nvp, uses_dropout

keras = tf.keras


def test_residual_network_is_the_formula():
    network = ResidualMLP(3, 2, hidden_units=(5, 5), activation="tanh", dtype=tf.float64, seed=0)
    perturb(network)
    x = points(4, 3)
    layers = [(k.numpy(), b.numpy()) for k, b in zip(network.kernels, network.biases, strict=True)]
    hidden = x @ layers[0][0] + layers[0][1]
    for (a, b), (c, d) in ((layers[1], layers[2]), (layers[3], layers[4])):
        hidden = hidden + np.tanh(np.tanh(hidden) @ a + b) @ c + d
    np.testing.assert_allclose(network(x), np.tanh(hidden) @ layers[5][0] + layers[5][1])
    np.testing.assert_allclose(network(x[0]), network(x)[0])


def test_residual_blocks_start_as_the_identity():
    kernels = ResidualMLP(3, 2, hidden_units=(5, 5), seed=0).kernels
    assert [bool(np.any(kernel)) for kernel in kernels] == [True, True, False, True, False, False]
    x = points(4, 5, dtype=np.float32)
    flow = real_nvp(5, 3, (6, 6), conditioner="residual")
    np.testing.assert_array_equal(flow.forward(x), x)


def test_every_variable_of_a_residual_flow_has_a_gradient():
    bijector, x = perturbed_flow(4, 2, (6, 6), conditioner="residual"), points(20, 4)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(normal_over(bijector, 4).log_prob(x))
    variables = bijector.trainable_variables
    assert len(variables) == 2
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).max() > 1e-7, variable.name


@pytest.mark.parametrize("network", [MLP, ResidualMLP])
def test_dropout_is_off_without_a_seed_and_unbiased_with_one(network):
    """With a linear activation and one hidden layer dropped, the mean over seeds is the output."""
    settings = {"hidden_units": (50,), "activation": tf.identity, "dtype": tf.float64, "seed": 0}
    plain, dropping = (perturb(network(3, 2, dropout=rate, **settings)) for rate in (0.0, 0.4))
    x = points(2, 3)
    np.testing.assert_array_equal(dropping(x), plain(x))
    np.testing.assert_array_equal(plain(x, dropout_seed=[0, 1]), plain(x))
    np.testing.assert_array_equal(
        dropping(x, dropout_seed=[0, 1]), dropping(x, dropout_seed=[0, 1])
    )
    draws = dropping(tf.repeat(x[:1], 20_000, axis=0), dropout_seed=[0, 1]).numpy()
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert draws.std(axis=0).min() > 0.1
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - plain(x)[0]), 5 * error)


def test_couplings_drop_different_units():
    networks = [
        perturb(bijector.conditioner)
        for bijector in real_nvp(4, 2, (40,), dropout=0.5, dtype=tf.float64, seed=0).bijectors
    ]
    for network in networks:
        for variable, value in zip(network.variables, networks[0].variables, strict=True):
            variable.assign(value)
    a, b = (network(points(3, 2), dropout_seed=[0, 1]) for network in networks)
    assert np.abs(a - b).max() > 1e-3


def test_a_value_and_its_log_det_drop_the_same_units():
    bijector = perturbed_flow(4, 4, (20,), dropout=0.5, normalization="act_norm", mixing="lu")
    x, seed = points(5, 4), tf.constant([0, 1])
    z = bijector.inverse(x, dropout_seed=seed)
    log_det = bijector.inverse_log_det_jacobian(x, dropout_seed=seed)
    again = bijector.forward(tf.identity(z), dropout_seed=seed)
    np.testing.assert_allclose(again, x, atol=1e-9)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(tf.identity(x), dropout_seed=seed), log_det, atol=1e-12
    )
    assert np.abs(z - bijector.inverse(x)).max() > 1e-3


def make_model(optimizer=None, **arguments):
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(8,), activation="tanh", seed=0, **arguments
    )
    perturb(flow.bijector, scale=0.1)
    model = gmnvp.FlowModel(flow, initialize=False, seed=0)
    optimizer = optimizer or keras.optimizers.SGD(0.0)
    model.compile(optimizer, mixture_update=gmnvp.MixtureUpdate(), jit_compile=False)
    return model


@pytest.mark.slow
def test_dropout_is_active_in_training_alone_and_differs_between_steps():
    x = points(60, 2, dtype=np.float32).numpy()
    model, plain = make_model(dropout=0.5), make_model()
    exact = plain.evaluate(x, verbose=0)
    np.testing.assert_allclose(model.evaluate(x, verbose=0), exact, rtol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=1e-5)
    losses = model.fit(x, batch_size=60, epochs=3, shuffle=False, verbose=0).history["loss"]
    assert len({exact, *losses}) == 4
    again = make_model(dropout=0.5).fit(x, batch_size=60, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(again.history["loss"], losses)


@pytest.mark.slow
def test_l2_pulls_the_kernels_and_stays_out_of_the_loss_reported():
    x = points(60, 2, dtype=np.float32).numpy()
    plain, model = (make_model(keras.optimizers.SGD(0.1), l2=l2) for l2 in (0.0, 0.25))
    [network, *_] = (b.conditioner for b in model.distribution.bijector.bijectors)
    before = [np.array(kernel) for kernel in network.kernels]
    losses = [m.fit(x, batch_size=60, verbose=0).history["loss"] for m in (plain, model)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    [other, *_] = (b.conditioner for b in plain.distribution.bijector.bijectors)
    for old, free, pulled in zip(before, other.kernels, network.kernels, strict=True):
        np.testing.assert_allclose(free - pulled, 0.1 * 0.25 * 2 * old, atol=1e-6)
    for free, pulled in zip(other.biases, network.biases, strict=True):
        np.testing.assert_allclose(free, pulled, atol=1e-6)


@pytest.mark.slow
def test_no_operation_more_where_neither_is_used():
    x = points(5, 2, dtype=np.float32)
    plain, dropping = make_model(), make_model(dropout=0.5)
    assert not uses_dropout(plain.distribution.bijector)
    counts = [count_ops(lambda x, m=m: m.train_step((x,))["loss"], x) for m in (plain, dropping)]
    drawn = [sum(n for op, n in c.items() if op.startswith("Stateless")) for c in counts]
    assert drawn[0] == 0 < drawn[1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\), got 1.0"),
        ({"l2": -1.0}, "`l2` must not be negative, got -1.0"),
        ({"conditioner": "cnn"}, "`conditioner` must be one of .*'residual'.*got 'cnn'"),
        ({"conditioner": "residual", "hidden_units": (4, 5)}, r"`hidden_units` .*\(4, 5\)"),
        ({"conditioner": "residual", "hidden_units": ()}, r"`hidden_units` .*\(\)"),
        ({"normalization": "batch"}, "`normalization` must be one of .*'act_norm'.*got 'batch'"),
        ({"mixing": "qr"}, "`mixing` must be one of .*'lu'.*got 'qr'"),
        ({"dropout": 0.1, "conditioner_fn": lambda a, b: None}, "`dropout` has no effect"),
    ],
)
def test_options_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        real_nvp(3, **kwargs)
