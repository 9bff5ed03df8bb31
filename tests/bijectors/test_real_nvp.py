"""Real NVP against autodiff's Jacobian, and all that may vary: sizes, ranks, dtypes, networks."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import perturb, points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp.bijectors import Affine, Coupling, RationalQuadratic, real_nvp


def perturbed(event_size=3, num_couplings=4, hidden_units=(8,), *, weights=0.3, **kwargs):
    kwargs = {"activation": "tanh", "dtype": tf.float64, "seed": 1, **kwargs}
    bijector = real_nvp(event_size, num_couplings, hidden_units, **kwargs)
    return perturb(bijector, scale=weights)


def slogdet_of_jacobian(function, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        entries = tf.unstack(function(x), axis=-1)
    jacobian = tf.stack([tape.gradient(entry, x) for entry in entries], axis=-2)
    return tf.linalg.slogdet(jacobian).log_abs_determinant


def normal_over(bijector, event_size, dtype=tf.float64):
    return tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(event_size, dtype)), bijector
    )


SHAPES = {"event_size": st.integers(1, 7), "num_couplings": st.integers(1, 5)}


@pytest.mark.slow
@given(**SHAPES, seed=st.integers(0, 100))
def test_log_det_is_that_of_the_jacobian(event_size, num_couplings, seed):
    bijector = perturbed(event_size, num_couplings, seed=seed)
    x = points(4, event_size, seed=seed)
    for value, log_det in [
        (bijector.forward, bijector.forward_log_det_jacobian),
        (bijector.inverse, bijector.inverse_log_det_jacobian),
    ]:
        oracle = slogdet_of_jacobian(value, x)
        assert np.abs(oracle).max() > 1e-3
        np.testing.assert_allclose(log_det(tf.identity(x)), oracle, atol=1e-10)
        value(x)
        np.testing.assert_allclose(log_det(x), oracle, atol=1e-10)  # the one handed over


@pytest.mark.slow
@given(
    **SHAPES,
    batch=st.lists(st.integers(1, 3), max_size=2),
    dtype=st.sampled_from([tf.float32, tf.float64]),
    compiled=st.booleans(),
)
def test_round_trip(event_size, num_couplings, batch, dtype, compiled):
    bijector = perturbed(event_size, num_couplings, weights=0.2, dtype=dtype)
    x = points(*batch, event_size, dtype=dtype.as_numpy_dtype)
    forward, inverse = bijector.forward, bijector.inverse
    if compiled:
        forward, inverse = tf.function(forward), tf.function(inverse)
    y = forward(x)
    again = inverse(tf.identity(y))
    assert again is not x
    assert y.dtype == again.dtype == dtype
    assert y.shape == again.shape == x.shape
    assert np.abs(y - x).max() > 1e-2
    np.testing.assert_allclose(again, x, atol=1e-4 if dtype == tf.float32 else 1e-11)
    log_det = bijector.forward_log_det_jacobian(tf.identity(x))
    assert log_det.shape == x.shape[:-1]
    np.testing.assert_allclose(
        log_det,
        -bijector.inverse_log_det_jacobian(tf.identity(y)),
        atol=1e-4 if dtype == tf.float32 else 1e-11,
    )


def test_rank_does_not_change_the_numbers():
    bijector, x = perturbed(5), points(2, 3, 5)
    for method in ("forward", "inverse", "forward_log_det_jacobian", "inverse_log_det_jacobian"):
        whole = getattr(bijector, method)(x)
        for i, j in np.ndindex(2, 3):
            np.testing.assert_allclose(getattr(bijector, method)(x[i, j]), whole[i, j], atol=1e-12)


@pytest.mark.parametrize("shape", [[None, 3], [4, None], [None, None], [None, 2, 3], [None] * 3])
def test_unknown_sizes(shape):
    distribution = normal_over(perturbed(3), 3)
    x = points(*[4, 2, 3][-len(shape) :] if len(shape) == 3 else [4, 3])
    compiled = tf.function(
        lambda x: (distribution.log_prob(x), distribution.bijector.forward(x)),
        input_signature=[tf.TensorSpec(shape, tf.float64)],
    )
    log_prob, y = compiled(x)
    np.testing.assert_allclose(log_prob, distribution.log_prob(x), atol=1e-12)
    np.testing.assert_allclose(y, distribution.bijector.forward(x), atol=1e-12)


def test_static_shapes_survive():
    bijector = perturbed(3)
    compiled = tf.function(
        lambda x: (bijector.inverse(x), bijector.inverse_log_det_jacobian(x))
    ).get_concrete_function(tf.TensorSpec([None, 2, 3], tf.float64))
    z, log_det = compiled.structured_outputs
    assert z.shape.as_list() == [None, 2, 3]
    assert log_det.shape.as_list() == [None, 2]


@pytest.mark.parametrize("event_size", range(1, 10))
@pytest.mark.parametrize("num_couplings", [1, 2, 3, 5, 6])
def test_identity_at_initialisation(event_size, num_couplings):
    bijector = real_nvp(event_size, num_couplings, (4,), seed=event_size)
    x = points(3, event_size, dtype=np.float32)
    np.testing.assert_array_equal(bijector.forward(x), x)
    np.testing.assert_array_equal(bijector.inverse(x), x)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(tf.identity(x)), np.zeros(3))


@pytest.mark.parametrize("event_size", [1, 2, 3, 6, 7])
def test_from_two_couplings_on_every_entry_moves(event_size):
    x = points(3, event_size)
    moved = perturbed(event_size, 2).forward(x) - x
    assert np.abs(moved).min() > 1e-8
    moved = perturbed(event_size, 1).forward(x) - x
    still = event_size // 2
    np.testing.assert_array_equal(moved[:, :still], np.zeros([3, still]))
    assert np.abs(moved[:, still:]).min() > 1e-8


@pytest.mark.parametrize("event_size", [6, 7])
def test_every_pair_sees_another_partition_and_moves_every_entry(event_size):
    """Follows the entries' numbers through the permutations, from z to x."""
    labels, partitions = np.arange(event_size), []
    for part in reversed(real_nvp(event_size, 8, (4,), seed=0).bijectors):
        if isinstance(part, Coupling):
            parts = labels[: event_size // 2], labels[event_size // 2 :]
            partitions.append(frozenset(map(frozenset, parts)))
        else:
            labels = part.forward(labels).numpy()
    np.testing.assert_array_equal(labels, np.arange(event_size))
    assert len(partitions) == 8
    assert partitions[::2] == partitions[1::2]
    assert len(set(partitions)) == 4


@pytest.mark.parametrize("event_size", [1, 2, 5])
@pytest.mark.parametrize("num_couplings", [2, 3])
def test_every_variable_has_a_gradient(event_size, num_couplings):
    bijector = perturbed(event_size, num_couplings, (6, 5))
    distribution, x = normal_over(bijector, event_size), points(20, event_size)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(distribution.log_prob(x))
    variables = bijector.trainable_variables
    assert len(variables) == num_couplings
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, variable.name
        assert np.abs(gradient).min() > 0.0, variable.name


def test_gradient_is_that_of_finite_differences():
    bijector = perturbed(3, 3, (4,))
    distribution, x = normal_over(bijector, 3), points(10, 3)
    for variable in bijector.trainable_variables[:4]:
        direction = points(*variable.shape, seed=3)
        with tf.GradientTape() as tape:
            log_prob = tf.reduce_mean(distribution.log_prob(x))
        slope = tf.reduce_sum(direction * tape.gradient(log_prob, variable))
        values = []
        for step in (1e-5, -2e-5):
            variable.assign_add(step * direction)
            values.append(tf.reduce_mean(distribution.log_prob(x)))
        variable.assign_add(1e-5 * direction)
        np.testing.assert_allclose(slope, (values[0] - values[1]) / 2e-5, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seeds", [(3, 4), ([3, 0], [4, 0]), (np.int64(3), 4)])
def test_seeds(seeds):
    def values(seed):
        return [v.numpy() for v in real_nvp(5, 4, (6,), seed=seed).variables]

    same, again, other = values(seeds[0]), values(seeds[0]), values(seeds[1])
    for a, b in zip(same, again, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [np.abs(a - b).max() for a, b in zip(same, other, strict=True) if a.any()]
    assert min(kernels) > 1e-3


def test_variables_tell_all_whatever_the_seed():
    """So weights that were saved from a flow of one seed are right in a flow of another."""
    trained, restored = (
        perturbed(5, 6, (6,)),
        real_nvp(5, 6, (6,), activation="tanh", dtype=tf.float64, seed=99),
    )
    for variable, value in zip(restored.variables, trained.variables, strict=True):
        variable.assign(value)
    x = points(7, 5)
    np.testing.assert_array_equal(restored.forward(x), trained.forward(x))


def test_couplings_start_differently():
    bijectors = real_nvp(4, 4, (6,), seed=0).bijectors
    hidden = [b.conditioner.kernels[0] for b in bijectors if isinstance(b, Coupling)]
    assert len(hidden) == 4
    for i in range(1, 4):
        assert np.abs(hidden[i] - hidden[0]).max() > 1e-3


def test_affine_is_the_formula():
    parameters = points(5, 6, seed=2) * 10
    shift, raw = np.split(parameters.numpy(), 2, axis=-1)
    z = points(5, 3)
    log_scale = 1.5 * np.tanh(raw / 1.5)
    bijector = Affine(1.5)(parameters)
    np.testing.assert_allclose(bijector.forward(z), np.exp(log_scale) * z + shift)
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(z, event_ndims=1), log_scale.sum(axis=-1)
    )


@pytest.mark.parametrize("bound", [0.5, 3.0])
def test_log_scale_is_bounded(bound):
    bijector = perturbed(5, 1, weights=100.0, max_log_scale=bound)
    log_det = np.abs(bijector.forward_log_det_jacobian(points(200, 5)))
    assert log_det.max() <= 3 * bound + 1e-9
    assert log_det.max() > 0.9 * 3 * bound


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, np.float64, "float64"])
def test_dtypes(dtype):
    bijector = real_nvp(3, 3, (4,), dtype=dtype)
    assert bijector.dtype == tf.as_dtype(dtype)
    assert {v.dtype for v in bijector.variables} == {tf.as_dtype(dtype)}
    assert bijector.forward([1.0, 2.0, 3.0]).dtype == tf.as_dtype(dtype)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_size": 0}, "`event_size` .*>= 1, got 0"),
        ({"event_size": 2.5}, "`event_size` .*got 2.5"),
        ({"event_size": None}, "`event_size` .*got None"),
        ({"event_size": "3"}, "`event_size` .*got '3'"),
        ({"num_couplings": 0}, "`num_couplings` .*>= 1, got 0"),
        ({"num_couplings": 2.0}, "`num_couplings` .*got 2.0"),
        ({"max_log_scale": 0.0}, "`max_log_scale` .*got 0.0"),
        ({"max_log_scale": float("nan")}, "`max_log_scale` .*got nan"),
        ({"hidden_units": (4, 0)}, "`hidden_units` .*0"),
        ({"hidden_units": (4.5,)}, "`hidden_units` .*4.5"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        real_nvp(**{"event_size": 3, **kwargs})


@pytest.mark.parametrize("event_size", [-1, 0, "2"])
def test_coupling_needs_an_entry(event_size):
    with pytest.raises(ValueError, match="`event_size`"):
        Coupling(tf.identity, event_size)


def test_the_only_entry_moves():
    with pytest.raises(ValueError, match="`first_moves` must be false where `event_size` is 1"):
        Coupling(tf.identity, 1, first_moves=True)


def test_a_network_of_one_entry_reads_the_context_or_nothing():
    bijector = perturbed(1, 2, coupling="spline", context_size=3, dtype=tf.float64)
    x, context = points(5, 1), points(5, 3)
    log_dets = bijector.forward_log_det_jacobian(x, event_ndims=1, context=context)
    assert len(np.unique(log_dets)) == 5
    alike = bijector.forward(np.zeros([5, 1]), context=np.ones([5, 3]))
    np.testing.assert_array_equal(alike, np.broadcast_to(alike[0], [5, 1]))
    with pytest.raises(ValueError, match="`conditioner_fn` has nothing to read"):
        real_nvp(1, conditioner_fn=lambda n, m: tf.identity)
    with pytest.raises(ValueError, match="`hidden_units`"):
        real_nvp(1, hidden_units=(0,))


@pytest.mark.parametrize("method", ["forward", "inverse"])
@pytest.mark.parametrize("shape", [[5], [3, 5], [4, 3, 2], []])
def test_points_of_the_wrong_size(method, shape):
    with pytest.raises(ValueError, match="vectors of size 4, got a tensor of shape"):
        getattr(real_nvp(4), method)(tf.zeros(shape))


def test_points_of_unknown_rank_are_refused_clearly():
    inverse = tf.function(real_nvp(4).inverse, input_signature=[tf.TensorSpec(None)])
    with pytest.raises(ValueError, match="vectors of size 4, got a tensor of shape <unknown>"):
        inverse(tf.zeros([3, 4]))


def test_coupling_with_another_bijector():
    """Any elementwise bijector may move the second part: here, a power of it."""
    coupling = Coupling(
        tf.identity,
        2,
        bijector_fn=functools.partial(tfb.Scale),
        first_moves=True,
        dtype=tf.float64,
    )
    x = tf.constant([[5.0, 2.0]], tf.float64)
    np.testing.assert_allclose(coupling.forward(x), [[10.0, 2.0]])
    np.testing.assert_allclose(coupling.forward_log_det_jacobian(x), [np.log(2.0)])
    np.testing.assert_allclose(coupling.inverse(x), [[2.5, 2.0]])


def test_checkpoint_restores_the_variables(tmp_path):
    bijector, x = perturbed(3), points(4, 3)
    y = bijector.forward(x)
    path = tf.train.Checkpoint(bijector).write(str(tmp_path / "bijector"))
    perturb(bijector, seed=9)
    assert np.abs(bijector.forward(x) - y).max() > 1e-3
    tf.train.Checkpoint(bijector).read(path).assert_consumed()
    np.testing.assert_array_equal(bijector.forward(x), y)


@pytest.mark.parametrize("transform", [Affine(), RationalQuadratic(num_bins=4)])
def test_functions_of_a_transform_are_those_of_its_bijector(transform):
    rng = np.random.default_rng(0)
    parameters = tf.constant(rng.normal(size=[50, 3 * transform.num_parameters]))
    x = tf.constant(rng.normal(size=[50, 3]))
    bijector = transform(parameters)
    for direction in ("forward", "inverse"):
        y, log_det = getattr(transform, f"{direction}_and_log_det")(x, parameters)
        np.testing.assert_allclose(y, getattr(bijector, direction)(x), rtol=1e-12)
        expected = getattr(bijector, f"{direction}_log_det_jacobian")(x, event_ndims=1)
        np.testing.assert_allclose(log_det, expected, rtol=1e-12, atol=1e-12)
