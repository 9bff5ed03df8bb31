"""Flows as distributions: quantities without closed form, dtypes, event-space bijectors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from support import perturb

import tfp_gmnvp as gmnvp

tfd, tfb = tfp.distributions, tfp.bijectors
X = np.random.default_rng(0).normal(size=[30, 2]) * [1.0, 3.0] + [0.0, 9.0]
SMALL = {"num_couplings": 2, "hidden_units": (4,), "seed": 0}


def make_flow(**arguments):
    arguments = {"standardize": X, "dtype": tf.float64, **SMALL, **arguments}
    return perturb(gmnvp.gaussian_mixture_flow(2, 3, **arguments), scale=0.2)


FLOW = make_flow()
FLOWS = {
    "vectors": FLOW,
    "copy": FLOW.copy(name="other"),
    "at a context": gmnvp.condition(make_flow(context_size=1), [[0.5]]),
    "context": make_flow(context_size=1),
    "images": gmnvp.image_flow([2, 2, 1], num_scales=1, num_filters=2, num_blocks=0),
}
each_flow = pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)


@each_flow
def test_what_has_no_closed_form_says_what_to_use_instead(flow):
    for name, instead in {
        "entropy": "summaries.entropy",
        "mean": r"flow\.sample",
        "variance": r"flow\.sample",
        "stddev": r"flow\.sample",
        "covariance": r"flow\.sample",
        "mode": r"flow\.log_prob",
    }.items():
        with pytest.raises(NotImplementedError, match=f"no `{name}` in closed form.*{instead}"):
            getattr(flow, name)()


@pytest.mark.parametrize("name", ["cdf", "log_cdf", "survival_function", "log_survival_function"])
def test_there_is_no_distribution_function(name):
    with pytest.raises(NotImplementedError, match="in closed form: count samples"):
        getattr(FLOW, name)(X)


def test_there_are_no_quantiles():
    with pytest.raises(NotImplementedError, match="`quantile` in closed form: count samples"):
        FLOW.quantile(tf.constant(0.5, tf.float64))


def test_divergences_point_to_summaries():
    normal = tfd.MultivariateNormalDiag(np.zeros(2))
    plain = tfd.TransformedDistribution(normal, tfb.Exp())
    hand_made = tfd.TransformedDistribution(FLOW.distribution, FLOW.bijector)
    for a, b in [(FLOW, make_flow(seed=1)), (FLOW, normal), (normal, FLOW), (plain, FLOW)]:
        with pytest.raises(NotImplementedError, match=r"summaries\.kl_divergence\(flow, other"):
            tfd.kl_divergence(a, b)
        with pytest.raises(NotImplementedError, match=r"summaries\.kl_divergence\(flow, other"):
            a.kl_divergence(b)
    with pytest.raises(NotImplementedError, match=r"summaries\.kl_divergence"):
        FLOW.kl_divergence(hand_made)
    with pytest.raises(NotImplementedError, match="no `cross_entropy` in closed form"):
        FLOW.cross_entropy(normal)


def test_what_has_a_closed_form_keeps_it():
    loc, scale = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    normals = [tfd.MultivariateNormalDiag(shift, scale) for shift in (loc, 2 * loc)]
    one, other = (FLOW.copy(distribution=normal) for normal in normals)
    np.testing.assert_allclose(
        tfd.kl_divergence(one, other), tfd.kl_divergence(*normals), rtol=1e-12
    )
    shifted = one.copy(bijector=gmnvp.standardization([[0.0, 1.0], [2.0, 5.0]], dtype=tf.float64))
    np.testing.assert_allclose(shifted.mean(), [1.0 + 1.0, 3.0 + 2 * 2.0])
    np.testing.assert_allclose(shifted.entropy(), normals[0].entropy() + np.log(2.0))


TENSORS = {
    "log_prob": lambda flow, x: flow.log_prob(x),
    "prob": lambda flow, x: flow.prob(x),
    "posterior": gmnvp.posterior,
    "predict_component": gmnvp.predict_component,
    "inverse": lambda flow, x: flow.bijector.inverse(x),
    "forward": lambda flow, x: flow.bijector.forward(x),
    "interpolate": lambda flow, x: gmnvp.interpolate(flow, x, x, 3),
    "in a graph": lambda flow, x: tf.function(flow.log_prob)(x),
    "variable": lambda flow, x: flow.log_prob(tf.Variable(x)),
}


@pytest.mark.parametrize("call", TENSORS.values(), ids=TENSORS)
def test_tensors_of_another_dtype_are_told_how_to_be_cast(call):
    flow = make_flow(dtype=tf.float32, standardize=None)
    with pytest.raises(TypeError, match=r"float32, .*got float64: cast it by `tf\.cast\(\w, tf\.f"):
        call(flow, tf.constant(X))
    with pytest.raises(TypeError, match=r"got float32: cast it by .* `dtype=tf\.float32`"):
        call(FLOW, tf.constant(X, tf.float32))
    assert flow.log_prob(X).dtype == tf.float32  # an array is TFP's to convert
    with pytest.raises(TypeError, match=r"got int32: cast it"):
        flow.log_prob(tf.constant([[1, 2]]))


def test_a_posterior_takes_float64_where_data_is_standardised_first():
    flow = make_flow(dtype=tf.float32)
    wide = gmnvp.posterior(flow, tf.constant(X)).probs_parameter()
    cast = gmnvp.posterior(flow, tf.constant(X, tf.float32)).probs_parameter()
    assert wide.dtype == tf.float32
    np.testing.assert_allclose(wide, cast, rtol=1e-4, atol=1e-6)


@each_flow
def test_the_space_to_move_in_is_that_of_the_latents_and_has_no_variables(flow):
    bijector = flow.experimental_default_event_space_bijector()
    assert bijector.variables == ()
    context = {"context": np.ones([4, 1])} if flow is FLOWS["context"] else {}
    z = np.random.default_rng(0).normal(size=[4, *flow.distribution.event_shape])
    z = tf.constant(z, flow.dtype)
    x = bijector.forward(z, **context)
    np.testing.assert_allclose(x, flow.bijector.forward(z, **context), atol=1e-6)
    np.testing.assert_allclose(bijector.inverse(tf.identity(x), **context), z, atol=1e-4)
    log_det = bijector.forward_log_det_jacobian(z, **context)
    expected = flow.bijector.forward_log_det_jacobian(z, **context)
    np.testing.assert_allclose(log_det, expected, rtol=1e-5)


def test_the_space_to_move_in_is_never_stale():
    flow, z = make_flow(), tf.constant(X)
    bijector = flow.experimental_default_event_space_bijector()
    before = bijector.forward(z)
    perturb(flow, seed=1)
    np.testing.assert_array_equal(bijector.forward(z), flow.bijector.forward(z))
    assert np.abs(before - bijector.forward(z)).max() > 1e-3


def test_over_another_distribution_the_space_is_that_distributions():
    of_rates = FLOW.copy(distribution=tfd.Independent(tfd.Exponential(np.ones(2)), 1))
    bijector = of_rates.experimental_default_event_space_bijector()
    raw = tf.constant([[-1.0, 2.0]], tf.float64)
    expected = FLOW.bijector.forward(tf.nn.softplus(raw))
    np.testing.assert_allclose(bijector.forward(raw), expected, atol=1e-9)
    mixture = FLOW.distribution.experimental_default_event_space_bijector()
    np.testing.assert_array_equal(mixture.forward(raw), raw)


def joint_with(flow):
    """The flow as a prior of the mean of a normal."""
    parts = {"x": flow, "y": lambda x: tfd.Independent(tfd.Normal(x, np.float64(1.0)), 1)}
    return tfd.JointDistributionNamed(parts)


Y = np.array([0.5, 8.0])


@pytest.mark.slow
def test_hamiltonian_monte_carlo_with_a_flow_as_prior():
    """Without couplings flow and likelihood are normal, and the posterior has a closed form."""
    flow = gmnvp.gaussian_mixture_flow(2, standardize=X, dtype=tf.float64, **SMALL)

    @tf.function(autograph=False)
    def draws():
        return tfp.experimental.mcmc.windowed_adaptive_hmc(
            100,
            joint_with(flow),
            n_chains=100,
            num_leapfrog_steps=4,
            num_adaptation_steps=60,
            seed=[0, 1],
            y=Y,
        )[0]

    x = draws()["x"].numpy().reshape(-1, 2)
    precision = 1 / X.var(axis=0)
    expected = (precision * X.mean(axis=0) + Y) / (precision + 1.0)
    np.testing.assert_allclose(x.mean(axis=0), expected, atol=0.1)
    np.testing.assert_allclose(x.var(axis=0), 1 / (precision + 1.0), rtol=0.2)


@pytest.mark.slow
def test_a_surrogate_posterior_with_a_flow_as_prior_trains_itself_alone():
    flow = make_flow()
    before = [variable.numpy() for variable in flow.variables]
    target = joint_with(flow).experimental_pin(y=Y)
    surrogate = tfp.experimental.vi.build_affine_surrogate_posterior(
        event_shape=target.event_shape,
        bijector=target.experimental_default_event_space_bijector(),
        operators="tril",
        dtype=tf.float64,
        seed=[0, 1],
    )
    losses = tfp.vi.fit_surrogate_posterior(
        target.unnormalized_log_prob,
        surrogate,
        tf.optimizers.Adam(0.1),
        num_steps=20,
        sample_size=10,
        trainable_variables=surrogate.trainable_variables,
        seed=[0, 1],
    )
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    for variable, value in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
