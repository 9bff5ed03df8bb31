"""The flow as one density: its integral, samples, posterior, units and special cases."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support import (
    COVARIANCE_TYPES,
    assert_samples_agree_with_log_prob,
    count_ops,
    perturb,
    points,
    random_parameters,
    tfp_mixture,
)
from tensorflow_probability import distributions as tfd

from tfp_gmnvp import gaussian_mixture_flow, posterior, predict_component, sample_component
from tfp_gmnvp.mixtures import MixtureParameters, assign_parameters

DATA = np.random.default_rng(0).standard_normal([40, 2]) @ [[3.0, 1.0], [0.0, 0.2]] + [50.0, -3.0]


def perturbed_flow(
    num_components=3, event_size=2, covariance_type="full", *, dtype=tf.float64, **kwargs
):
    kwargs = {"num_couplings": 4, "hidden_units": (6,), "activation": "tanh", "seed": 0, **kwargs}
    flow = gaussian_mixture_flow(
        event_size, num_components, covariance_type=covariance_type, dtype=dtype, **kwargs
    )
    perturb(flow.bijector, scale=0.2)
    parameters = random_parameters(num_components, event_size, covariance_type)
    assign_parameters(flow.distribution, parameters)
    return flow, parameters


def integral(flow, num_points=500):
    """The trapezoidal sum over a box around all of the flow's mass, and the mass at its border."""
    x = flow.sample(2000, seed=[0, 1]).numpy()
    low, high = x.min(axis=0), x.max(axis=0)
    axes = np.linspace(low - 0.5 * (high - low), high + 0.5 * (high - low), num_points, axis=1)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    prob = np.exp(flow.log_prob(grid.reshape(-1, 2))).reshape(num_points, num_points)
    cell = np.prod(axes[:, 1] - axes[:, 0])
    border = sum(edge.sum() for edge in (prob[0], prob[-1], prob[:, 0], prob[:, -1]))
    return cell * prob.sum(), cell * border


@pytest.mark.slow
@pytest.mark.parametrize("standardize", [None, DATA])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_density_integrates_to_one(covariance_type, standardize):
    flow, _ = perturbed_flow(covariance_type=covariance_type, standardize=standardize)
    total, border = integral(flow)
    assert border < 1e-5
    np.testing.assert_allclose(total, 1.0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("standardize", [None, DATA])
def test_samples_agree_with_log_prob(standardize):
    flow, _ = perturbed_flow(standardize=standardize, dtype=tf.float32)
    radius = 0.7 if standardize is None else 0.5  # the density is far from zero in the ball
    for component in range(3):
        center = flow.bijector.forward(flow.distribution.components_distribution.loc[component])
        assert_samples_agree_with_log_prob(flow, radius=radius, center=center, rtol=0.1)


def test_sample_and_log_prob():
    flow, _ = perturbed_flow(standardize=DATA)
    x, log_prob = flow.experimental_sample_and_log_prob(20, seed=[0, 1])
    np.testing.assert_allclose(log_prob, flow.log_prob(tf.identity(x)), atol=1e-10)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_one_component_is_the_ordinary_real_nvp(covariance_type):
    flow, (_, loc, _) = perturbed_flow(1, 3, covariance_type)
    scale_tril = np.linalg.cholesky(flow.distribution.components_distribution.covariance()[0])
    ordinary = tfd.TransformedDistribution(
        tfd.MultivariateNormalTriL(loc[0], scale_tril), flow.bijector
    )
    x = points(20, 3)
    np.testing.assert_allclose(flow.log_prob(x), ordinary.log_prob(x), atol=1e-11)
    np.testing.assert_allclose(posterior(flow, x).probs_parameter(), np.ones([20, 1]))


def test_an_untrained_flow_of_one_component_is_the_standard_normal():
    flow, x = gaussian_mixture_flow(3, dtype=tf.float64), points(10, 3)
    desired = tfd.MultivariateNormalDiag(np.zeros(3)).log_prob(x)
    np.testing.assert_allclose(flow.log_prob(x), desired, atol=1e-12)


def test_permuting_the_components_changes_nothing():
    flow, parameters = perturbed_flow()
    x, order = points(20, 2), [2, 0, 1]
    log_prob, probs = flow.log_prob(x), posterior(flow, x).probs_parameter().numpy()
    assign_parameters(
        flow.distribution, MixtureParameters(*(tf.gather(p, order) for p in parameters))
    )
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=1e-12)
    np.testing.assert_allclose(posterior(flow, x).probs_parameter(), probs[:, order], atol=1e-12)


@pytest.mark.slow
@given(
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    event_size=st.integers(2, 4),
    num_components=st.integers(1, 4),
    batch=st.lists(st.integers(1, 4), max_size=2),
)
def test_posterior_is_bayes_rule(covariance_type, event_size, num_components, batch):
    flow, parameters = perturbed_flow(num_components, event_size, covariance_type)
    x = points(*batch, event_size)
    components = tfp_mixture(parameters, covariance_type).components_distribution
    z = flow.bijector.inverse(x)
    joint = parameters.probs * components.prob(z[..., tf.newaxis, :])
    desired = joint / tf.reduce_sum(joint, axis=-1, keepdims=True)
    actual = posterior(flow, x)
    assert isinstance(actual, tfd.Categorical)
    assert actual.batch_shape == batch
    np.testing.assert_allclose(actual.probs_parameter(), desired, atol=1e-10)
    np.testing.assert_allclose(tf.reduce_sum(actual.probs_parameter(), axis=-1), np.ones(batch))
    predicted = predict_component(flow, x)
    assert predicted.dtype == tf.int32
    np.testing.assert_array_equal(predicted, np.argmax(desired, axis=-1))


@pytest.mark.slow
def test_posterior_is_never_stale():
    flow, _ = perturbed_flow()
    x = points(20, 2)
    compiled = tf.function(lambda x: posterior(flow, x).probs_parameter())
    for seed in range(2):
        before = posterior(flow, x).probs_parameter()
        compiled(x)
        perturb(flow, seed=seed)
        after = posterior(flow, x).probs_parameter()
        assert np.abs(after - before).max() > 1e-3
        np.testing.assert_array_equal(after, posterior(flow, tf.identity(x)).probs_parameter())
        np.testing.assert_allclose(after, compiled(x), atol=1e-12)


def test_the_flow_is_never_stale():
    flow, _ = perturbed_flow(standardize=DATA)
    x = tf.constant(DATA)
    for seed in range(2):
        before = flow.log_prob(x)
        perturb(flow, seed=seed)
        after = flow.log_prob(x)
        assert np.abs(after - before).min() > 1e-6
        np.testing.assert_array_equal(after, flow.log_prob(tf.identity(x)))


@pytest.mark.parametrize("component", [0, 2, np.int64(1)])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_sample_component_has_the_components_latents(component, covariance_type):
    flow, _ = perturbed_flow(covariance_type=covariance_type, standardize=DATA)
    x = sample_component(flow, component, 20_000, seed=1)
    z = flow.bijector.inverse(tf.identity(x)).numpy()
    components = flow.distribution.components_distribution
    covariance = components.covariance()[component].numpy()
    error = 4 * np.sqrt(np.diagonal(covariance) / len(z))
    assert np.all(np.abs(z.mean(axis=0) - components.loc[component]) < error)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.05 * np.abs(covariance).max())


def test_sample_component_shapes_and_seeds():
    flow, _ = perturbed_flow()
    for shape, expected in [((), [2]), (3, [3, 2]), ([4, 3], [4, 3, 2])]:
        assert sample_component(flow, 1, shape, seed=0).shape == expected
    first, again, other = (sample_component(flow, 1, 5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("component", [-1, 3])
def test_sample_component_that_is_none(component):
    with pytest.raises(ValueError, match=rf"`component` must be in 0 .. 2, got {component}"):
        sample_component(gaussian_mixture_flow(2, 3), component)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_standardize_puts_the_density_in_the_datas_units(dtype):
    flow, _ = perturbed_flow(standardize=DATA, dtype=dtype)
    plain, _ = perturbed_flow(dtype=dtype)
    mean, std = DATA.mean(axis=0), DATA.std(axis=0)
    x = tf.constant(DATA, dtype)
    desired = plain.log_prob(tf.constant((DATA - mean) / std, dtype)) - np.log(std).sum()
    tolerance = 1e-3 if dtype == tf.float32 else 1e-10
    np.testing.assert_allclose(flow.log_prob(x), desired, atol=tolerance, rtol=tolerance)
    sample, standardized = (f.sample(10, seed=[0, 1]) for f in (flow, plain))
    np.testing.assert_allclose(sample, mean + std * standardized, rtol=1e-4, atol=1e-4)
    assert len(flow.trainable_variables) == len(plain.trainable_variables)


@pytest.mark.parametrize("standardize", [None, DATA])
def test_every_variable_has_a_gradient(standardize):
    flow, _ = perturbed_flow(standardize=standardize)
    x = points(40, 2) if standardize is None else tf.constant(DATA)  # where no unit is saturated
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x))
    variables = flow.trainable_variables
    assert len(variables) == 4 + 3
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).min() > 0.0, variable.name


def test_one_pass_and_one_contraction():
    flow, _ = perturbed_flow(standardize=DATA)
    counts = count_ops(flow.log_prob, tf.TensorSpec([None, 2], tf.float64))
    assert counts["MatMul"] == 4 * 2 + 1
    assert "Einsum" not in counts


def test_seeds():
    def values(seed):
        return [
            v.numpy() for v in gaussian_mixture_flow(3, 2, hidden_units=(4,), seed=seed).variables
        ]

    for seed, other in [(1, 2), ([0, 1], [0, 2])]:
        for a, b in zip(values(seed), values(seed), strict=True):
            np.testing.assert_array_equal(a, b)
        drawn = [np.abs(a - b).max() for a, b in zip(values(seed), values(other), strict=True)]
        assert sum(difference > 1e-3 for difference in drawn) == 8 + 1  # hidden kernels, means


def test_arguments_reach_the_bijector():
    kernel = tf.Variable(tf.zeros([1, 2]))
    flow = gaussian_mixture_flow(
        2, num_couplings=2, conditioner_fn=lambda *sizes: lambda x: x @ kernel
    )
    assert any(variable is kernel for variable in flow.trainable_variables)
    flow = perturb(gaussian_mixture_flow(3, num_couplings=1, max_log_scale=0.1), scale=50.0)
    log_det = flow.bijector.forward_log_det_jacobian(points(50, 3, dtype=np.float32))
    assert 0.15 < np.abs(log_det).max() <= 0.2 + 1e-6


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"event_size": 0}, "`event_size` .*got 0"),
        ({"num_components": 0}, "`num_components` .*got 0"),
        ({"num_couplings": 0}, "`num_couplings` .*got 0"),
        ({"covariance_type": "diagonal"}, "Did you mean 'diag'"),
        ({"activation": "rellu"}, "`activation` .*got 'rellu'"),
        (
            {"standardize": np.ones([4, 3])},
            r"`standardize` .* size 2.* got shape \[4, 3\]",
        ),
        ({"standardize": np.full([4, 2], np.nan)}, "`standardize` must hold finite"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture_flow(**{"event_size": 2, **kwargs})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("max_logscale", "max_log_scale"), ("num_component", "num_components"), ("bins", "mixing")],
)
def test_an_argument_of_an_unknown_name(name, nearest):
    with pytest.raises(TypeError, match=f"no argument `{name}`: did you mean `{nearest}`"):
        gaussian_mixture_flow(3, **{name: 3})
