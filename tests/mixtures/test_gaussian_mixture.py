"""The Gaussian mixture against TFP's own mixtures and closed forms."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import (
    COVARIANCE_TYPES,
    assert_samples_agree_with_log_prob,
    count_ops,
    full_covariances,
    mixture_with,
    perturb,
    points,
    random_parameters,
    tfp_mixture,
)
from tensorflow_probability import distributions as tfd

from tfp_gmnvp.mixtures import (
    MixtureParameters,
    as_mixture,
    assign_parameters,
    component_log_joint,
    gaussian_mixture,
    mixture_parameters,
)

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


class Plain(tfd.Distribution):
    """Minimal components that are not composite tensors."""

    def __init__(self):
        super().__init__(tf.float32, tfd.NOT_REPARAMETERIZED, False, True)

    def _batch_shape(self):
        return tf.TensorShape([3])

    def _event_shape(self):
        return tf.TensorShape([2])


@each_covariance_type
def test_it_is_what_tfp_returns(covariance_type):
    mixture = gaussian_mixture(3, 2, covariance_type)
    oracle = tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0] * 3), Plain())
    assert isinstance(mixture, type(oracle))
    assert mixture.batch_shape == []
    assert mixture.event_shape == [2]
    assert mixture.event_shape_tensor().numpy().tolist() == [2]
    assert mixture.components_distribution.batch_shape == [3]
    assert mixture.components_distribution.covariance_type == covariance_type


@each_covariance_type
def test_initial_parameters(covariance_type):
    mixture = gaussian_mixture(4, 3, covariance_type, seed=0)
    parameters = mixture_parameters(mixture)
    np.testing.assert_allclose(parameters.probs, np.full(4, 0.25))
    covariances = full_covariances(parameters, covariance_type)
    np.testing.assert_array_equal(covariances, np.broadcast_to(np.eye(3), [4, 3, 3]))
    assert len(np.unique(parameters.loc)) == 12
    alone = mixture_parameters(gaussian_mixture(1, 3, covariance_type, seed=0))
    np.testing.assert_array_equal(alone.loc, np.zeros([1, 3]))


@pytest.mark.parametrize("seeds", [(3, 4), ([3, 0], [3, 1])])
def test_seeds(seeds):
    first, again, other = (
        mixture_parameters(gaussian_mixture(3, 2, seed=seed)).loc
        for seed in (seeds[0], seeds[0], seeds[1])
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 1e-3


@pytest.mark.slow
@given(
    num_components=st.integers(1, 5),
    event_size=st.integers(1, 5),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    batch=st.lists(st.integers(1, 4), max_size=3),
)
def test_log_prob_is_tfps(num_components, event_size, covariance_type, batch):
    parameters = random_parameters(num_components, event_size, covariance_type)
    oracle = tfp_mixture(parameters, covariance_type)
    z = 2 * points(*batch, event_size)
    desired = oracle.log_prob(z)
    joint = tf.math.log(parameters.probs) + oracle.components_distribution.log_prob(
        z[..., tf.newaxis, :]
    )
    for mixture in (
        mixture_with(parameters, covariance_type),
        as_mixture(parameters, covariance_type),
    ):
        assert mixture.log_prob(z).shape == desired.shape
        np.testing.assert_allclose(mixture.log_prob(z), desired, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(component_log_joint(mixture, z), joint, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(
            tf.reduce_logsumexp(component_log_joint(mixture, z), axis=-1), desired, atol=1e-10
        )


@each_covariance_type
@pytest.mark.parametrize("shape", [(3,), (4, 3), (5, 4, 3), (1, 3), (5, 1, 3)])
def test_components_broadcast_as_tfps(covariance_type, shape):
    parameters = random_parameters(4, 3, covariance_type)
    actual = mixture_with(parameters, covariance_type).components_distribution
    desired = tfp_mixture(parameters, covariance_type).components_distribution
    z = points(*shape)
    np.testing.assert_allclose(actual.log_prob(z), desired.log_prob(z), atol=1e-10)
    unknown = tf.function(
        actual.log_prob, input_signature=[tf.TensorSpec([None] * len(shape), tf.float64)]
    )
    np.testing.assert_allclose(unknown(z), desired.log_prob(z), atol=1e-10)


@each_covariance_type
@pytest.mark.parametrize("shape", [None, [None, None], [None, 3], [None] * 3])
def test_unknown_shapes(covariance_type, shape):
    mixture = mixture_with(random_parameters(2, 3, covariance_type), covariance_type)
    compiled = tf.function(mixture.log_prob, input_signature=[tf.TensorSpec(shape, tf.float64)])
    z = points(5, 2, 3) if shape and len(shape) == 3 else points(5, 3)
    np.testing.assert_allclose(compiled(z), mixture.log_prob(z), atol=1e-12)


@each_covariance_type
def test_float32_is_accurate_far_from_the_origin(covariance_type):
    parameters = random_parameters(3, 4, covariance_type)
    far = parameters._replace(loc=tf.cast(tf.cast(parameters.loc + 1e4, tf.float32), tf.float64))
    oracle = tfp_mixture(far, covariance_type)
    z = tf.cast(oracle.sample(200, seed=[0, 1]), tf.float32)
    desired = oracle.log_prob(tf.cast(z, tf.float64))
    actual = mixture_with(far, covariance_type, dtype=tf.float32).log_prob(z)
    assert actual.dtype == tf.float32
    np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-3)


@each_covariance_type
def test_permuting_the_components_changes_nothing(covariance_type):
    parameters = random_parameters(4, 3, covariance_type)
    order = [2, 0, 3, 1]
    permuted = MixtureParameters(
        *(
            value
            if covariance_type == "tied" and value.shape == [3, 3]
            else tf.gather(value, order)
            for value in parameters
        )
    )
    mixture, other = (mixture_with(p, covariance_type) for p in (parameters, permuted))
    z = points(20, 3)
    np.testing.assert_allclose(mixture.log_prob(z), other.log_prob(z), atol=1e-12)
    np.testing.assert_allclose(
        tf.gather(component_log_joint(mixture, z), order, axis=-1),
        component_log_joint(other, z),
        atol=1e-12,
    )


@each_covariance_type
def test_moments(covariance_type):
    parameters = random_parameters(3, 2, covariance_type)
    mixture, oracle = (
        mixture_with(parameters, covariance_type),
        tfp_mixture(parameters, covariance_type),
    )
    for moment in ("mean", "covariance", "variance", "stddev"):
        for of in (lambda m: m, lambda m: m.components_distribution):
            actual, desired = (getattr(of(m), moment)() for m in (mixture, oracle))
            np.testing.assert_allclose(actual, desired, atol=1e-10, err_msg=moment)
    components, desired = mixture.components_distribution, oracle.components_distribution
    np.testing.assert_allclose(components.entropy(), desired.entropy(), atol=1e-10)
    np.testing.assert_array_equal(components.mode(), parameters.loc)


@each_covariance_type
def test_samples_have_the_moments(covariance_type):
    parameters = random_parameters(3, 2, covariance_type)
    mixture = mixture_with(parameters, covariance_type)
    z = mixture.sample(40_000, seed=[0, 1]).numpy()
    mean, covariance = mixture.mean().numpy(), mixture.covariance().numpy()
    error = 4 * np.sqrt(np.diagonal(covariance) / len(z))
    assert np.all(np.abs(z.mean(axis=0) - mean) < error)
    np.testing.assert_allclose(np.cov(z.T), covariance, rtol=0.05, atol=0.1)
    components = mixture.components_distribution.sample(40_000, seed=[0, 1]).numpy()
    assert components.shape == (40_000, 3, 2)
    for k, desired in enumerate(full_covariances(parameters, covariance_type)):
        stddev = np.sqrt(np.diagonal(desired))
        assert np.all(np.abs(components[:, k].mean(axis=0) - parameters.loc[k]) < 0.02 * stddev)
        np.testing.assert_allclose(
            np.cov(components[:, k].T), desired, atol=0.04 * stddev.max() ** 2
        )


@each_covariance_type
def test_components_are_sampled_independently(covariance_type):
    mixture = mixture_with(random_parameters(3, 2, covariance_type), covariance_type)
    z = mixture.components_distribution.sample(20_000, seed=[0, 1]).numpy()
    correlation = np.corrcoef(z[:, :, 0].T)
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.04)


@each_covariance_type
def test_samples_agree_with_log_prob(covariance_type):
    parameters = random_parameters(3, 2, covariance_type, dtype=np.float32)
    mixture = mixture_with(parameters, covariance_type)
    for center in parameters.loc:
        assert_samples_agree_with_log_prob(mixture, radius=1.0, center=center, rtol=0.05)


@pytest.mark.parametrize("size", [1, 2])
def test_sample_shapes_and_seeds(size):
    mixture = gaussian_mixture(3, size, seed=0)
    assert mixture.sample(seed=[0, 1]).shape == [size]
    assert mixture.sample([4, 2], seed=[0, 1]).shape == [4, 2, size]
    first, again, other = (mixture.sample(5, seed=[0, seed]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_one_contraction(covariance_type):
    mixture = gaussian_mixture(5, 3, covariance_type)
    counts = count_ops(mixture.log_prob, tf.TensorSpec([None, 3]))
    assert counts["MatMul"] == counts["MatrixTriangularSolve"] == 1
    assert counts["BatchMatMulV2"] == 1  # of the means alone
    assert counts.get("Einsum", 0) == counts.get("Cholesky", 0) == 0


PARAMETER_COUNTS = {"full": 5 * 6, "tied": 6, "diag": 5 * 3, "spherical": 5}


@each_covariance_type
def test_parameter_counts_and_gradients(covariance_type):
    mixture = perturb(gaussian_mixture(5, 3, covariance_type, dtype=tf.float64, seed=0))
    variables = mixture.trainable_variables
    sizes = {v.name.split("/")[-1].split(":")[0]: v.shape.num_elements() for v in variables}
    assert sizes == {"logits": 5, "loc": 15, "scale": PARAMETER_COUNTS[covariance_type]}
    with tf.GradientTape() as tape:
        log_prob = tf.reduce_mean(mixture.log_prob(points(20, 3)))
    for gradient in tape.gradient(log_prob, variables):
        assert np.all(np.abs(gradient) > 1e-9)


@each_covariance_type
def test_an_update_is_seen_at_once(covariance_type):
    mixture, z = gaussian_mixture(3, 2, covariance_type, dtype=tf.float64, seed=0), points(5, 2)
    compiled = tf.function(mixture.log_prob)
    for seed in range(2):
        compiled(z)
        parameters = random_parameters(3, 2, covariance_type, seed=seed)
        assign_parameters(mixture, parameters)
        desired = tfp_mixture(parameters, covariance_type).log_prob(z)
        np.testing.assert_allclose(mixture.log_prob(z), desired, atol=1e-10)
        np.testing.assert_allclose(compiled(z), desired, atol=1e-10)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, 2), "`num_components` .*>= 1, got 0"),
        ((2.0, 2), "`num_components` .*got 2.0"),
        ((2, 0), "`event_size` .*>= 1, got 0"),
        ((2, "2"), "`event_size` .*got '2'"),
        ((2, 2, "ful"), "`covariance_type` .*got 'ful'.*Did you mean 'full'"),
        ((2, 2, None), "`covariance_type` .*got None"),
    ],
)
def test_arguments_out_of_range(args, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture(*args)


def test_as_mixture_refuses_an_unknown_covariance_type():
    with pytest.raises(ValueError, match="Did you mean 'spherical'"):
        as_mixture(random_parameters(2, 2, "spherical"), "sperical")


def test_numpy_integers_are_integers():
    assert gaussian_mixture(np.int64(3), np.int32(2)).event_shape == [2]


@pytest.mark.parametrize(
    ("covariance_type", "operation"),
    [
        ("full", "MatrixBandPart"),
        ("tied", "MatrixBandPart"),
        ("diag", "Exp"),
        ("spherical", "Exp"),
        ("low_rank", "Cholesky"),
    ],
)
def test_a_density_reads_the_scales_once(covariance_type, operation):
    rank = 2 if covariance_type == "low_rank" else None
    mixture = gaussian_mixture(2, 4, covariance_type, rank=rank, seed=0)
    z = tf.zeros([5, 1, 4])
    assert count_ops(mixture.components_distribution.log_prob, z)[operation] == 1
