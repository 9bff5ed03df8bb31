"""Pathwise gradients against the inverse distribution functions, closed forms and TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import tfp_gmnvp
from tfp_gmnvp.mixtures import mixture_parameters
from tfp_gmnvp.mixtures.components import DiagComponents, TriLComponents
from tfp_gmnvp.mixtures.distribution import ReparameterizedMixture

tfd = tfp.distributions

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def draw_parameters(covariance_type, num_components=3, event_size=3, seed=0, dtype=np.float64):
    """Logits, means and scales of a mixture whose components overlap."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=num_components)
    loc = rng.normal(size=[num_components, event_size])
    if covariance_type in ("full", "tied"):
        batch = num_components if covariance_type == "full" else 1
        scale = np.tril(rng.normal(size=[batch, event_size, event_size]), -1) * 0.5
        scale = scale + np.eye(event_size) * rng.uniform(0.5, 1.5, size=[batch, event_size, 1])
    else:
        size = event_size if covariance_type == "diag" else 1
        scale = rng.uniform(0.5, 1.5, size=[num_components, size])
    return tuple(np.asarray(p, dtype) for p in (logits, loc, scale))


def build(parameters, covariance_type):
    logits, loc, scale = parameters
    family = TriLComponents if covariance_type in ("full", "tied") else DiagComponents
    return ReparameterizedMixture(
        tfd.Categorical(logits=logits),
        family(loc, scale, covariance_type=covariance_type),
        reparameterize=True,
    )


def attach(z, parameters, covariance_type):
    """`z` with gradients with respect to logits, loc and scale."""
    return build(parameters, covariance_type)._with_pathwise_gradients(z)


def gradient(function, parameters):
    parameters = [tf.constant(p) for p in parameters]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        value = function(parameters)
    return tape.gradient(value, parameters)


def dense_scale_tril(parameters, covariance_type):
    _, loc, scale = parameters
    num_components, event_size = loc.shape
    if covariance_type in ("full", "tied"):
        return np.broadcast_to(scale, [num_components, event_size, event_size])
    return np.stack([np.diag(s) for s in np.broadcast_to(scale, loc.shape)])


def conditional_cdf(z, d, parameters, covariance_type):
    """F(z_d | z_<d) of points `[N, D]`, by Schur complements and scipy."""
    logits, loc, _ = parameters
    scale_tril = dense_scale_tril(parameters, covariance_type)
    covariance = scale_tril @ np.swapaxes(scale_tril, -1, -2)
    log_weights, cdfs = [], []
    for k, (mean, cov) in enumerate(zip(loc, covariance, strict=True)):
        past = stats.multivariate_normal(mean[:d], cov[:d, :d]).logpdf(z[:, :d]) if d else 0.0
        slope = np.linalg.solve(cov[:d, :d], cov[:d, d])
        center = mean[d] + (z[:, :d] - mean[:d]) @ slope
        stddev = np.sqrt(cov[d, d] - cov[:d, d] @ slope)
        log_weights.append(logits[k] + past + np.zeros(len(z)))
        cdfs.append(stats.norm.cdf(z[:, d], center, stddev))
    return np.sum(special.softmax(log_weights, axis=0) * cdfs, axis=0)


def inverse_transform(u, parameters, covariance_type):
    """The z with F(z) = u, by bisection, one coordinate after the other."""
    z = np.zeros_like(u)
    for d in range(u.shape[-1]):
        low, high = np.full(len(u), -30.0), np.full(len(u), 30.0)
        for _ in range(60):
            z[:, d] = (low + high) / 2
            is_below = conditional_cdf(z, d, parameters, covariance_type) < u[:, d]
            low, high = np.where(is_below, z[:, d], low), np.where(is_below, high, z[:, d])
    return z


def random_direction(shape, rng):
    """Lower triangular where the parameter is a matrix for each component."""
    direction = rng.normal(size=shape)
    return np.tril(direction) if len(shape) == 3 else direction


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_gradients_are_those_of_the_inverse_transform(covariance_type):
    """d(g . z)/dphi along random directions, by central differences with u fixed."""
    parameters = draw_parameters(covariance_type)
    rng = np.random.default_rng(2)
    u = rng.uniform(0.03, 0.97, size=[20, 3])
    g = rng.normal(size=[20, 3])
    z = tf.constant(inverse_transform(u, parameters, covariance_type))
    gradients = gradient(lambda p: tf.reduce_sum(g * attach(z, p, covariance_type)), parameters)
    step = 1e-4
    for which in [0, 0, 1, 1, 2, 2]:
        direction = random_direction(parameters[which].shape, rng)
        ends = []
        for s in (-step, step):
            moved = [p + s * direction if i == which else p for i, p in enumerate(parameters)]
            ends.append(inverse_transform(u, moved, covariance_type))
        expected = np.sum(g * (ends[1] - ends[0])) / (2 * step)
        actual = np.sum(gradients[which] * direction)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_mean_gradient_is_that_of_the_closed_form(covariance_type):
    """E[c . z + z^T Q z] = c . E[z] + tr Q E[z z^T] in groups of samples, within 4 errors."""
    parameters = draw_parameters(covariance_type, dtype=np.float32)
    rng = np.random.default_rng(3)
    c, Q = rng.normal(size=[3]).astype(np.float32), rng.normal(size=[3, 3]).astype(np.float32)

    def closed_form(p):
        logits, loc, scale = p
        scale = tf.linalg.band_part(scale, -1, 0) if covariance_type == "full" else scale
        mixture = build((logits, loc, scale), covariance_type)
        mean = mixture.mean()
        second = mixture.covariance() + mean[:, tf.newaxis] * mean
        return tf.tensordot(c, mean, 1) + tf.reduce_sum(Q * second)

    @tf.function
    def monte_carlo(p, seed):
        with tf.GradientTape() as tape:
            tape.watch(p)
            z = build(p, covariance_type).sample(500, seed=seed)
            h = tf.linalg.matvec(z, c) + tf.einsum("ni,ij,nj->n", z, Q, z)
            value = tf.reduce_mean(h)
        return tape.gradient(value, p)

    groups = [
        monte_carlo([tf.constant(p) for p in parameters], tf.constant([4, i])) for i in range(40)
    ]
    for values, expected in zip(
        zip(*groups, strict=True), gradient(closed_form, parameters), strict=True
    ):
        error = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
        np.testing.assert_array_less(abs(np.mean(values, axis=0) - expected), 4 * error + 1e-4)
        assert np.max(error) < 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_tfp_where_tfp_can(dtype):
    """Independent coordinates: the same samples, the same gradients."""
    parameters = draw_parameters("diag", num_components=4, event_size=5, dtype=dtype)
    z = build(parameters, "diag").sample([2, 20], seed=[0, 1])
    g = np.random.default_rng(4).normal(size=z.shape).astype(dtype)

    def tfp_samples(p):
        logits, loc, scale = p
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits),
            tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1),
            reparameterize=True,
        )
        return mixture._reparameterize_sample(z, [5])

    ours = gradient(lambda p: tf.reduce_sum(g * attach(z, p, "diag")), parameters)
    theirs = gradient(lambda p: tf.reduce_sum(g * tfp_samples(p)), parameters)
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    for actual, expected in zip(ours, theirs, strict=True):
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance)


def test_one_component_is_the_ordinary_reparameterization():
    parameters = draw_parameters("full", num_components=1, event_size=4)
    noise = np.random.default_rng(5).normal(size=[10, 4])
    g = np.random.default_rng(6).normal(size=[10, 4])

    def ordinary(p):
        return p[1] + tf.linalg.matvec(tf.linalg.band_part(p[2][0], -1, 0), noise)

    z = ordinary(parameters)
    ours = gradient(lambda p: tf.reduce_sum(g * attach(z, p, "full")), parameters)
    theirs = gradient(lambda p: tf.reduce_sum(g * ordinary(p)), parameters)
    np.testing.assert_allclose(ours[0], 0.0, atol=1e-12)
    for actual, expected in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


def test_float32_agrees_with_float64_in_many_dimensions():
    parameters = draw_parameters("full", num_components=16, event_size=32, seed=7)
    parameters = (parameters[0], parameters[1], parameters[2] * 0.7 + np.eye(32))
    z = build(parameters, "full").sample(20, seed=[0, 2]).numpy()

    def evaluate(dtype):
        samples = tf.constant(z, dtype)
        return gradient(
            lambda p: tf.reduce_sum(tf.square(attach(samples, p, "full"))),
            [p.astype(dtype) for p in parameters],
        )

    for single, double in zip(evaluate(np.float32), evaluate(np.float64), strict=True):
        np.testing.assert_allclose(single, double, atol=1e-3 * np.max(np.abs(double)))


@pytest.mark.parametrize("distance", [6.0, 13.0, 40.0, -6.0, -13.0, -40.0])
def test_far_tails_agree_with_float64(distance):
    """phi(13) underflows in float32, and phi(40) in float64; their ratios do not."""
    parameters = draw_parameters("full", event_size=2, seed=8)
    z = parameters[1][0] + distance * np.array([[1.0, 0.5], [1.0, -0.5], [0.3, 1.0]])

    def evaluate(dtype):
        samples = tf.constant(z, dtype)
        return gradient(
            lambda p: tf.reduce_sum(attach(samples, p, "full")),
            [p.astype(dtype) for p in parameters],
        )

    for single, double in zip(evaluate(np.float32), evaluate(np.float64), strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=2e-3 * np.max(np.abs(double)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
def test_gradients_stay_finite_anywhere(scale, dtype):
    parameters = draw_parameters("full", dtype=dtype)
    z = tf.constant(np.random.default_rng(9).normal(size=[30, 3]) * scale, dtype)
    for g in gradient(lambda p: tf.reduce_sum(attach(z, p, "full")), parameters):
        assert np.all(np.isfinite(g))


def test_a_sample_amid_a_gap_contributes_nothing_and_spares_the_others():
    """At 100 standard deviations from both components 1 / p(z) is about e^5000."""
    parameters = (
        np.zeros([2], np.float32),
        np.array([[-100.0], [100.0]], np.float32),
        np.ones([2, 1, 1], np.float32),
    )
    ordinary = np.array([[-100.5], [101.0]], np.float32)
    both = np.concatenate([ordinary, [[0.01]]]).astype(np.float32)
    gradients = [
        gradient(lambda p, z=z: tf.reduce_sum(attach(z, p, "full")), parameters)
        for z in (tf.constant(ordinary), tf.constant(both))
    ]
    for without, with_gap in zip(*gradients, strict=True):
        np.testing.assert_allclose(with_gap, without, rtol=1e-6)


def test_a_component_without_weight_gets_no_gradient():
    logits, loc, scale = draw_parameters("full", dtype=np.float32)
    logits[1] = -np.inf
    z = tf.constant(np.random.default_rng(10).normal(size=[10, 3]), tf.float32)
    gradients = gradient(lambda p: tf.reduce_sum(attach(z, p, "full")), (logits, loc, scale))
    for g in gradients:
        np.testing.assert_array_equal(g[1], 0.0)
        assert np.all(np.isfinite(g))


@pytest.mark.slow
@pytest.mark.parametrize(("covariance_type", "jit_compile"), [("full", True), ("tied", False)])
def test_eager_graph_and_xla_agree(covariance_type, jit_compile):
    parameters = [tf.constant(p) for p in draw_parameters(covariance_type, dtype=np.float32)]
    z = tf.random.stateless_normal([7, 3], [0, 3])

    def evaluate(*p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = tf.reduce_sum(tf.square(attach(z, p, covariance_type)))
        return tape.gradient(value, p)

    compiled = tf.function(evaluate, jit_compile=jit_compile)
    for actual, expected in zip(compiled(*parameters), evaluate(*parameters), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_unknown_number_of_samples():
    parameters = draw_parameters("full", dtype=np.float32)

    @tf.function
    def evaluate(n, *p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = tf.reduce_sum(build(p, "full").sample(n, seed=[0, 1]))
        return tape.gradient(value, p)

    logits_gradient, loc_gradient, _ = evaluate(tf.constant(5), *map(tf.constant, parameters))
    assert np.any(logits_gradient != 0)
    np.testing.assert_allclose(np.sum(loc_gradient), 5 * 3, rtol=1e-4)


@pytest.mark.parametrize("sample_shape", [(), (5,), (2, 3), (0,)])
def test_ranks_of_samples(sample_shape):
    """Moving all the means moves every sample as much."""
    mixture = tfp_gmnvp.gaussian_mixture(3, 2, reparameterize=True, seed=0)
    with tf.GradientTape() as tape:
        z = mixture.sample(sample_shape, seed=[1, 2])
        value = tf.reduce_sum(z)
    assert z.shape == (*sample_shape, 2)
    loc_gradient = tape.gradient(value, mixture.components_distribution.loc)
    np.testing.assert_allclose(
        np.sum(loc_gradient, axis=0), np.prod(sample_shape) * np.ones(2), rtol=1e-4
    )


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_samples_and_densities_are_those_without_gradients(covariance_type):
    plain = tfp_gmnvp.gaussian_mixture(3, 2, covariance_type, seed=0)
    pathwise_mixture = tfp_gmnvp.gaussian_mixture(
        3, 2, covariance_type, reparameterize=True, seed=0
    )
    z = plain.sample(10, seed=[1, 2])
    np.testing.assert_array_equal(pathwise_mixture.sample(10, seed=[1, 2]), z)
    np.testing.assert_array_equal(pathwise_mixture.log_prob(z), plain.log_prob(z))
    assert plain.reparameterization_type == tfd.NOT_REPARAMETERIZED
    assert pathwise_mixture.reparameterization_type == tfd.FULLY_REPARAMETERIZED
    assert isinstance(pathwise_mixture, type(plain))


def test_second_derivatives_are_refused():
    mixture = tfp_gmnvp.gaussian_mixture(2, 2, reparameterize=True, seed=0)
    loc = mixture.components_distribution.loc
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = tf.reduce_sum(mixture.sample(3, seed=[0, 1]) ** 3)
        first = tf.reduce_sum(inner.gradient(value, loc) ** 2)
    with pytest.raises(LookupError, match="second derivative"):
        outer.gradient(first, loc)


def test_composes_as_a_mixture_of_tfp_does():
    mixture = tfp_gmnvp.gaussian_mixture(2, 2, reparameterize=True, seed=0)
    assert not isinstance(mixture, tf.__internal__.CompositeTensor)
    assert mixture.copy().reparameterization_type == tfd.FULLY_REPARAMETERIZED
    joint = tfd.JointDistributionNamed({"a": mixture, "b": tfd.Normal(0.0, 1.0)})
    assert len(joint.trainable_variables) == 3
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(joint.sample(4, seed=[0, 1])["a"] ** 2)
    gradients = tape.gradient(value, joint.trainable_variables)
    assert all(np.any(g != 0) for g in gradients)


def perturbed_flow(covariance_type="full"):
    flow = tfp_gmnvp.gaussian_mixture_flow(
        2,
        3,
        num_couplings=2,
        hidden_units=[8],
        activation="tanh",
        covariance_type=covariance_type,
        reparameterize=True,
        dtype=tf.float64,
        seed=0,
    )
    for i, variable in enumerate(flow.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [11, i], dtype=variable.dtype)
        variable.assign_add(0.3 * noise)
    return flow


@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
def test_expectations_under_a_flow_against_common_uniforms(covariance_type):
    """All variables, the mixture's and the couplings', along one direction with u fixed."""
    flow = perturbed_flow(covariance_type)
    mixture = flow.distribution
    components = mixture.components_distribution

    def numpy_parameters():
        scale = (
            components.scale_diag if hasattr(components, "scale_diag") else components.scale_tril
        )
        tensors = (mixture.mixture_distribution.logits, components.loc, scale)
        return tuple(tf.convert_to_tensor(t).numpy() for t in tensors)

    def expectation(z):
        return tf.reduce_mean(tf.sin(flow.bijector.forward(z)) ** 2)

    u = np.random.default_rng(12).uniform(0.02, 0.98, size=[40, 2])
    z = tf.constant(inverse_transform(u, numpy_parameters(), covariance_type))
    variables = flow.trainable_variables
    with tf.GradientTape() as tape:
        value = expectation(mixture._with_pathwise_gradients(z))
    gradients = tape.gradient(value, variables)
    directions = [
        tf.random.stateless_normal(v.shape, [13, i], dtype=v.dtype) for i, v in enumerate(variables)
    ]
    ends, step = [], 3e-5
    for s in (-step, 2 * step):
        for variable, direction in zip(variables, directions, strict=True):
            variable.assign_add(s * direction)
        moved = inverse_transform(u, numpy_parameters(), covariance_type)
        ends.append(expectation(tf.constant(moved)))
    expected = (ends[1] - ends[0]) / (2 * step)
    actual = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.slow
def test_the_rest_of_the_library_takes_a_reparameterized_flow():
    x = np.random.default_rng(14).normal(size=[64, 2]).astype(np.float32)
    flow = tfp_gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, reparameterize=True, seed=0)
    model = tfp_gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=tfp_gmnvp.FullBatchEM(), run_eagerly=True)
    model.fit(x, epochs=1, verbose=0)
    assert np.sum(mixture_parameters(flow.distribution).probs) == pytest.approx(1.0)
    np.testing.assert_allclose(
        tfp_gmnvp.posterior(flow, x).probs_parameter(),
        flow.distribution.posterior_marginal(flow.bijector.inverse(x)).probs_parameter(),
        atol=1e-5,
    )


@pytest.mark.slow
def test_fit_surrogate_posterior_finds_the_weights():
    """A mixture fitted to a mixture: what only gradients of the logits can find."""
    target = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.2, 0.8]),
        tfd.MultivariateNormalDiag(loc=[[-2.0, 0.0], [2.0, 0.0]], scale_diag=[[1.0, 0.5]] * 2),
    )
    surrogate = tfp_gmnvp.gaussian_mixture(2, 2, reparameterize=True)
    surrogate.components_distribution.loc.assign([[-1.0, 0.0], [1.0, 0.0]])
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=tf.keras.optimizers.Adam(0.05),
        num_steps=300,
        sample_size=64,
        seed=[0, 1],
    )
    assert np.mean(losses[-50:]) == pytest.approx(0.0, abs=0.02)
    probs = surrogate.mixture_distribution.probs_parameter()
    np.testing.assert_allclose(probs, [0.2, 0.8], atol=0.05)
