"""Flows follow TFP's documented contract of distributions; otherwise errors say so."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from support import perturb, points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp import SinglePassChain, gaussian_mixture, gaussian_mixture_flow

DATA = np.random.default_rng(0).standard_normal([40, 2]) * [3.0, 0.5] + [5.0, -3.0]
SEED = [0, 1]
NUM_TRAINABLE = 2 + 3


def small_flow(standardize=DATA, dtype=tf.float64, **kwargs):
    arguments = {"num_couplings": 2, "hidden_units": (4,), "activation": "tanh", "seed": 0}
    flow = gaussian_mixture_flow(
        2, 3, standardize=standardize, dtype=dtype, **{**arguments, **kwargs}
    )
    return perturb(flow, scale=0.2)


def same_objects(variables, others):
    return [id(variable) for variable in variables] == [id(other) for other in others]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_shapes_and_dtypes(dtype):
    flow = small_flow(dtype=dtype)
    assert flow.event_shape == [2]
    assert flow.batch_shape == []
    np.testing.assert_array_equal(flow.event_shape_tensor(), [2])
    assert flow.batch_shape_tensor().shape == [0]
    assert (flow.dtype, flow.distribution.dtype, flow.bijector.dtype) == (dtype, dtype, dtype)
    for sample_shape, shape in [([], []), (3, [3]), ([2, 3], [2, 3]), (tf.constant([2]), [2])]:
        x = flow.sample(sample_shape, seed=SEED)
        assert (x.shape, x.dtype) == ([*shape, 2], dtype)
        assert (flow.log_prob(x).shape, flow.log_prob(x).dtype) == (shape, dtype)


def test_seeds():
    flow = small_flow()
    np.testing.assert_array_equal(flow.sample(5, seed=SEED), flow.sample(5, seed=SEED))
    assert np.abs(flow.sample(5, seed=SEED) - flow.sample(5, seed=[0, 2])).min() > 1e-6


def test_one_point_and_batches_agree():
    flow, x = small_flow(), points(2, 3, 2)
    log_prob = flow.log_prob(x)
    for i in range(2):
        np.testing.assert_allclose(flow.log_prob(x[i]), log_prob[i], atol=1e-12)
        for j in range(3):
            np.testing.assert_allclose(flow.log_prob(x[i, j]), log_prob[i, j], atol=1e-12)


@pytest.mark.parametrize("standardize", [None, DATA])
@pytest.mark.parametrize("shape", [[], [4, 1], [4, 3]])
def test_points_of_another_size_are_refused(shape, standardize):
    """Otherwise the standardization would broadcast a single number to a vector."""
    with pytest.raises(ValueError, match=r"vectors of size 2|rank at least 1"):
        small_flow(standardize).log_prob(points(*shape))


def test_points_of_another_dtype_are_refused():
    with pytest.raises(TypeError, match="of dtype float64, the flow's, got float32"):
        small_flow().log_prob(points(4, 2, dtype=np.float32))


def test_parameters():
    flow = small_flow()
    assert flow.parameters["distribution"] is flow.distribution
    assert flow.parameters["bijector"] is flow.bijector
    assert set(flow.parameter_properties(dtype=tf.float64)) == {"distribution", "bijector"}
    outermost, couplings = flow.bijector.parameters["bijectors"]
    assert outermost.parameters["mean"] is outermost.mean
    assert couplings.parameters["name"] == "real_nvp"
    coupling = couplings.bijectors[0]
    assert coupling.parameters["conditioner"] is coupling.conditioner
    mixture = flow.distribution
    assert mixture.parameters["components_distribution"] is mixture.components_distribution
    loc = mixture.components_distribution.parameters["loc"]
    assert loc is mixture.components_distribution.loc


@pytest.mark.parametrize("change", [{"name": "other"}, {"validate_args": True}, {}])
def test_copy_shares_the_variables(change):
    flow = small_flow()
    copied = flow.copy(**change)
    for name, value in change.items():
        assert getattr(copied, name) == value
    assert same_objects(copied.trainable_variables, flow.trainable_variables)
    x = points(4, 2)
    perturb(flow, scale=0.1)
    np.testing.assert_array_equal(copied.log_prob(x), flow.log_prob(x))


def test_copy_with_another_part():
    flow, x = small_flow(), points(4, 2)
    normal = tfd.MultivariateNormalDiag(np.zeros(2), np.ones(2))
    z = flow.bijector.inverse(x)
    desired = normal.log_prob(z) + flow.bijector.inverse_log_det_jacobian(x, event_ndims=1)
    np.testing.assert_allclose(flow.copy(distribution=normal).log_prob(x), desired, atol=1e-12)
    plain = flow.copy(bijector=tfb.Identity())
    np.testing.assert_allclose(plain.log_prob(x), flow.distribution.log_prob(x), atol=1e-12)


@pytest.mark.parametrize("reparameterize", [False, True])
def test_copy_of_a_mixture(reparameterize):
    mixture = gaussian_mixture(3, 2, reparameterize=reparameterize, dtype=tf.float64, seed=0)
    copied = mixture.copy(name="other", validate_args=True)
    assert (type(copied), copied.name) == (type(mixture), "other")
    assert copied.reparameterization_type == mixture.reparameterization_type
    assert same_objects(copied.trainable_variables, mixture.trainable_variables)
    x = points(4, 2)
    np.testing.assert_array_equal(copied.log_prob(x), mixture.log_prob(x))
    np.testing.assert_array_equal(copied.sample(3, seed=SEED), mixture.sample(3, seed=SEED))


def test_copy_of_a_bijector():
    bijector, x = small_flow().bijector, points(4, 2)
    for part in (bijector, *bijector.bijectors):
        copied = part.copy(name="other")
        assert copied.name == "other"
        assert same_objects(copied.variables, part.variables)
        np.testing.assert_array_equal(copied.inverse(x), part.inverse(x))


def test_names():
    assert small_flow().name == "single_pass_chaingaussian_mixture"
    flow = small_flow(name="eruptions")
    assert flow.name == "eruptions"
    text = '"eruptions", batch_shape=[], event_shape=[2], dtype=float64'
    assert text in str(flow)
    assert "'eruptions' batch_shape=[] event_shape=[2] dtype=float64" in repr(flow)
    assert "SinglePassChain" in repr(flow.bijector)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("reparameterize", [False, True])
def test_deepcopy_and_pickle(duplicate, reparameterize):
    """They fail for TFP's own `TransformedDistribution`s, but those are composite tensors."""
    flow, x = small_flow(reparameterize=reparameterize), points(4, 2)
    log_prob = flow.log_prob(x)
    duplicated = duplicate(flow)
    np.testing.assert_array_equal(duplicated.log_prob(x), log_prob)
    np.testing.assert_array_equal(duplicated.sample(3, seed=SEED), flow.sample(3, seed=SEED))
    assert len(duplicated.trainable_variables) == NUM_TRAINABLE
    perturb(duplicated)
    assert np.abs(duplicated.log_prob(x) - log_prob).min() > 1e-6
    np.testing.assert_array_equal(duplicated.log_prob(x), duplicated.log_prob(tf.identity(x)))
    np.testing.assert_array_equal(flow.log_prob(x), log_prob)


def test_slicing_of_a_batch_that_there_is_not():
    flow, x = small_flow(), points(4, 2)
    np.testing.assert_array_equal(flow[...].log_prob(x), flow.log_prob(x))
    assert same_objects(flow[...].trainable_variables, flow.trainable_variables)
    with pytest.raises(tf.errors.InvalidArgumentError, match="out of bounds"):
        flow[0]
    with pytest.raises(ValueError, match=r"`loc` must have shape \[K, D\].*BatchBroadcast"):
        flow[tf.newaxis]


WITHIN_BIJECTORS = {
    "SinglePassChain": (lambda b: SinglePassChain([tfb.Exp(), b]), True),
    "Invert": (tfb.Invert, True),
    "Chain": (lambda b: tfb.Chain([tfb.Exp(), b]), False),
    "call": (lambda b: b(tfb.Shift(np.ones(2))), False),
    "Blockwise": (lambda b: tfb.Blockwise([b], [2]), False),
}


@pytest.mark.parametrize("name", WITHIN_BIJECTORS)
def test_which_bijectors_around_it_are_stale(name):
    """TFP's composite bijectors keep their own caches; a `SinglePassChain` keeps none."""
    build, is_fresh = WITHIN_BIJECTORS[name]
    flow = small_flow(None)
    bijector = build(flow.bijector)
    y = tf.exp(points(4, 2))
    held = bijector.inverse(y)
    perturb(flow, scale=0.1)
    again, fresh = bijector.inverse(y), bijector.inverse(tf.identity(y))
    assert np.abs(fresh - held).max() > 1e-3
    assert (np.abs(again - fresh).max() < 1e-12) == is_fresh


OPTIMIZERS = {
    "keras": keras.optimizers.Adam,
    "tf_keras": tf_keras.optimizers.Adam,
    "tf.compat.v1": tf.compat.v1.train.AdamOptimizer,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("compiled", [False, True])
def test_tfp_math_minimize(name, compiled):
    flow, data, optimizer = small_flow(), tf.constant(DATA), OPTIMIZERS[name](1e-2)
    start = [variable.numpy() for variable in flow.trainable_variables]

    def minimize():
        return tfp.math.minimize(
            lambda: -tf.reduce_mean(flow.log_prob(data)),
            num_steps=15,
            optimizer=optimizer,
            trainable_variables=flow.trainable_variables,
        )

    losses = (tf.function(minimize) if compiled else minimize)().numpy()
    assert np.all(np.diff(losses) < 0)
    assert -np.mean(flow.log_prob(data)) < losses[-1]
    for variable, value in zip(flow.trainable_variables, start, strict=True):
        assert np.abs(variable - value).max() > 1e-2, variable.name
