"""ActNorm: the first data are standardised, and later data have no effect."""

import numpy as np
import pytest
import tensorflow as tf
from support import perturb, points
from tensorflow_probability import bijectors as tfb
from test_real_nvp import normal_over, slogdet_of_jacobian

import tfp_gmnvp as gmnvp
from tfp_gmnvp.bijectors import ActNorm, SinglePassChain, initialize, real_nvp

keras = tf.keras


def data(size=200, event_size=3, seed=0, dtype=np.float64):
    scale = np.arange(1.0, event_size + 1)
    return tf.cast(5.0 + scale * points(size, event_size, seed=seed), dtype)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_initial_latents_have_mean_zero_and_variance_one(dtype):
    act_norm, x = ActNorm(3, dtype=dtype), data(dtype=dtype)
    act_norm.initialize(x)
    z = act_norm.inverse(x).numpy()
    atol = 1e-5 if dtype == tf.float32 else 1e-12
    np.testing.assert_allclose(z.mean(axis=0), np.zeros(3), atol=atol)
    np.testing.assert_allclose(z.var(axis=0), np.ones(3), atol=atol)


def test_weights_weigh():
    x, weights = data(), tf.constant(np.arange(200) % 3, tf.float64)
    weighted, repeated = ActNorm(3, dtype=tf.float64), ActNorm(3, dtype=tf.float64)
    weighted.initialize(x, weights)
    repeated.initialize(tf.repeat(x, np.arange(200) % 3, axis=0))
    np.testing.assert_allclose(weighted.loc, repeated.loc, atol=1e-12)
    np.testing.assert_allclose(weighted.log_scale, repeated.log_scale, atol=1e-12)


def test_constant_entry_keeps_its_scale():
    act_norm = ActNorm(2)
    act_norm.initialize(tf.constant([[3.0, 1.0], [3.0, 5.0]]))
    np.testing.assert_allclose(act_norm.inverse([3.0, 5.0]), [0.0, 1.0], atol=1e-6)
    assert act_norm.log_scale[0] == 0.0


@pytest.mark.parametrize("shape", [[3], [4, 3], [2, 4, 3]])
def test_agrees_with_tfp_and_is_never_stale(shape):
    act_norm, x = ActNorm(3, dtype=tf.float64), points(*shape)
    for seed in range(2):
        perturb(act_norm, seed=seed)
        oracle = tfb.Shift(act_norm.loc)(tfb.Scale(log_scale=act_norm.log_scale))
        for run in (lambda f: f, tf.function):
            np.testing.assert_allclose(run(act_norm.forward)(x), oracle.forward(tf.identity(x)))
            np.testing.assert_allclose(run(act_norm.inverse)(x), oracle.inverse(tf.identity(x)))
            np.testing.assert_allclose(
                run(act_norm.forward_log_det_jacobian)(tf.identity(x)),
                oracle.forward_log_det_jacobian(tf.identity(x), event_ndims=1),
            )


def test_chain_is_initialised_from_the_data_on():
    """The second standardises the output of the first and of the couplings in between."""
    flow = perturb(real_nvp(3, 4, (5,), normalization="act_norm", dtype=tf.float64))
    chain = SinglePassChain([tfb.Shift(tf.constant(3.0, tf.float64)), flow])
    x = data()
    initialize(chain, x)
    z, checked = x, 0
    for part in chain.bijectors:
        z = part.inverse(tf.identity(z))
        if isinstance(part, ActNorm):
            np.testing.assert_allclose(np.mean(z, axis=0), np.zeros(3), atol=1e-9)
            np.testing.assert_allclose(np.var(z, axis=0), np.ones(3), atol=1e-9)
            checked += 1
    assert checked == 4


def test_second_initialisation_changes_nothing():
    bijector = real_nvp(3, 2, (5,), normalization="act_norm")
    initialize(bijector, data(dtype=np.float32))
    before = [v.numpy() for v in bijector.variables]
    initialize(bijector, 7 * data(seed=1, dtype=np.float32))
    for variable, value in zip(bijector.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_flow_is_the_identity_before_data_and_its_log_det_the_jacobians_after():
    bijector, x = real_nvp(3, 3, (5,), normalization="act_norm", dtype=tf.float64), data(20)
    np.testing.assert_array_equal(bijector.inverse(tf.identity(x)), x)
    initialize(bijector, x)
    perturb(bijector, scale=0.1)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(x), slogdet_of_jacobian(bijector.inverse, x), atol=1e-9
    )
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(normal_over(bijector, 3).log_prob(x))
    variables = bijector.trainable_variables
    assert len(variables) == 3 * (1 + 2)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).max() > 1e-6, variable.name


@pytest.mark.slow
def test_first_fit_initialises_and_the_file_remembers(tmp_path):
    x = data(event_size=2, dtype=np.float32).numpy()
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(4,), normalization="act_norm", seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile(keras.optimizers.SGD(0.0), mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    model.fit(x, epochs=1, batch_size=50, verbose=0)
    outermost = flow.bijector.bijectors[0]
    np.testing.assert_allclose(outermost.loc, x.mean(axis=0), rtol=1e-5)
    flags = [v for v in flow.variables if v.dtype == tf.bool]
    assert [bool(flag) for flag in flags] == [True] * 2
    assert model.count_params() == sum(v.shape.num_elements() for v in flow.variables) - 2

    path = str(tmp_path / "model.keras")
    model.save(path)
    other = keras.models.load_model(path)
    np.testing.assert_array_equal(other.distribution.log_prob(x), flow.log_prob(x))
    before = other.distribution.bijector.bijectors[0].loc.numpy()
    other.initialize_mixture(3 * x)
    np.testing.assert_array_equal(other.distribution.bijector.bijectors[0].loc, before)
