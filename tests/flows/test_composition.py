"""The flow as a part of TFP's distributions: values, shapes, variables, gradients, freshness."""

import numpy as np
import pytest
import tensorflow as tf
from support import perturb
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp import gaussian_mixture_flow

DATA = np.random.default_rng(0).standard_normal([40, 2]) * [3.0, 0.5] + [5.0, -3.0]
SEED = [0, 1]
LOGITS = np.array([0.3, -0.4])
LOC = np.array([[0.0, 1.0], [2.0, 0.0], [-1.0, -1.0]])
ROOT = tfd.JointDistributionCoroutine.Root


def small_flow(standardize=None, seed=0):
    flow = gaussian_mixture_flow(
        2,
        3,
        num_couplings=2,
        hidden_units=(4,),
        activation="tanh",
        standardize=standardize,
        dtype=tf.float64,
        seed=seed,
    )
    return perturb(flow, scale=0.2, seed=seed)


def observation(x):
    return tfd.MultivariateNormalDiag(x, np.array([1.0, 2.0]))


def joint_log_prob(flow, values):
    x, y = values
    return flow.log_prob(x) + observation(x).log_prob(y)


def coroutine(flow):
    def model():
        x = yield ROOT(flow)
        yield observation(x)

    return model


def sequential(family):
    return lambda flow: family([flow, observation])


def named(family):
    return lambda flow: family({"x": flow, "y": lambda x: observation(x)})


def from_coroutine(family):
    return lambda flow: family(coroutine(flow))


def mixture(flow):
    return tfd.Mixture(tfd.Categorical(logits=LOGITS), [flow, small_flow(seed=7)])


def mixture_log_prob(flow, x):
    log_weights = LOGITS - np.log(np.exp(LOGITS).sum())
    parts = [flow.log_prob(x), small_flow(seed=7).log_prob(x)]
    return tf.reduce_logsumexp(log_weights + tf.stack(parts, axis=-1), axis=-1)


def exp_log_prob(flow, y):
    return flow.log_prob(tf.math.log(y)) - tf.reduce_sum(tf.math.log(y), axis=-1)


def softplus_log_prob(flow, y):
    """With x = log(e^y - 1), dx/dy = 1 / (1 - e^-y)."""
    log_det = -tf.reduce_sum(tf.math.log(-tf.math.expm1(-y)), axis=-1)
    return flow.log_prob(tf.math.log(tf.math.expm1(y))) + log_det


def simplex_log_prob(flow, y):
    """Breaks a stick: piece i is the share v_i = sigmoid(x_i - log(2 - i)) of what is left."""
    left = tf.stack([tf.ones_like(y[..., 0]), 1 - y[..., 0]], axis=-1)
    share = y[..., :2] / left
    x = tf.math.log(share / (1 - share)) + np.log([2.0, 1.0])
    return flow.log_prob(x) - tf.reduce_sum(tf.math.log(share * (1 - share) * left), axis=-1)


# A distribution made of a flow, its log-density by hand, and the shapes of its event's parts.
COMPOSITIONS = {
    "Sequential": (sequential(tfd.JointDistributionSequential), joint_log_prob, [[2], [2]]),
    "Named": (
        named(tfd.JointDistributionNamed),
        lambda flow, v: joint_log_prob(flow, (v["x"], v["y"])),
        [[2], [2]],
    ),
    "Coroutine": (from_coroutine(tfd.JointDistributionCoroutine), joint_log_prob, [[2], [2]]),
    "SequentialAutoBatched": (
        sequential(tfd.JointDistributionSequentialAutoBatched),
        joint_log_prob,
        [[2], [2]],
    ),
    "NamedAutoBatched": (
        named(tfd.JointDistributionNamedAutoBatched),
        lambda flow, v: joint_log_prob(flow, (v["x"], v["y"])),
        [[2], [2]],
    ),
    "CoroutineAutoBatched": (
        from_coroutine(tfd.JointDistributionCoroutineAutoBatched),
        joint_log_prob,
        [[2], [2]],
    ),
    "Independent": (
        lambda flow: tfd.Independent(tfd.BatchBroadcast(flow, [4]), 1),
        lambda flow, x: tf.reduce_sum(flow.log_prob(x), axis=-1),
        [[4, 2]],
    ),
    "Sample": (
        lambda flow: tfd.Sample(flow, 4),
        lambda flow, x: tf.reduce_sum(flow.log_prob(x), axis=-1),
        [[4, 2]],
    ),
    "Mixture": (mixture, mixture_log_prob, [[2]]),
    "Blockwise": (
        lambda flow: tfd.Blockwise([flow, small_flow(seed=7)]),
        lambda flow, x: flow.log_prob(x[..., :2]) + small_flow(seed=7).log_prob(x[..., 2:]),
        [4],
    ),
    "Exp": (lambda flow: tfd.TransformedDistribution(flow, tfb.Exp()), exp_log_prob, [[2]]),
    "Softplus": (
        lambda flow: tfd.TransformedDistribution(flow, tfb.Softplus()),
        softplus_log_prob,
        [[2]],
    ),
    "Simplex": (
        lambda flow: tfd.TransformedDistribution(flow, tfb.IteratedSigmoidCentered()),
        simplex_log_prob,
        [[3]],
    ),
}
each_composition = pytest.mark.parametrize("name", COMPOSITIONS)
# `AutoBatched` ones take longest; what they share is tried on one of them.
most_compositions = pytest.mark.parametrize(
    "name",
    [name for name in COMPOSITIONS if name not in ("SequentialAutoBatched", "NamedAutoBatched")],
)


def compose(name, standardize=None):
    flow = small_flow(standardize)
    build, by_hand, shapes = COMPOSITIONS[name]
    return flow, build(flow), lambda value: by_hand(flow, value), shapes


def afresh(value):
    """The same values in tensors that no cache has seen."""
    return tf.nest.map_structure(tf.identity, value)


@pytest.mark.slow
@each_composition
def test_values_and_shapes(name):
    _, distribution, by_hand, shapes = compose(name)
    event_shapes = tf.nest.flatten(distribution.event_shape)
    assert event_shapes == [tf.TensorShape(shape) for shape in shapes]
    for sample_shape in ([], [2, 3]):
        batch = list(np.zeros(sample_shape).shape)
        value = distribution.sample(sample_shape, seed=SEED)
        assert [part.shape for part in tf.nest.flatten(value)] == [batch + s for s in event_shapes]
        log_prob = distribution.log_prob(value)
        assert log_prob.shape == batch
        np.testing.assert_allclose(log_prob, by_hand(afresh(value)), atol=1e-9)
    np.testing.assert_allclose(distribution.prob(value), np.exp(log_prob), rtol=1e-12)
    for part, again in zip(
        *(tf.nest.flatten(distribution.sample(seed=SEED)) for _ in "ab"), strict=True
    ):
        np.testing.assert_array_equal(part, again)


@most_compositions
def test_sample_and_log_prob(name):
    _, distribution, by_hand, _ = compose(name, DATA / 10)
    value, log_prob = distribution.experimental_sample_and_log_prob(3, seed=SEED)
    assert log_prob.shape == [3]
    np.testing.assert_allclose(log_prob, by_hand(afresh(value)), atol=1e-9)


@pytest.mark.slow
@each_composition
def test_every_variable_is_found_and_has_a_gradient(name):
    flow, distribution, by_hand, _ = compose(name, DATA / 10)
    found = {id(variable) for variable in distribution.trainable_variables}
    variables = flow.trainable_variables
    assert len(variables) == 2 + 3
    assert {id(variable) for variable in variables} <= found
    value = distribution.sample(seed=SEED)
    gradients = []
    for log_prob in (distribution.log_prob, by_hand):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(log_prob(afresh(value)))
        gradients.append(tape.gradient(total, variables))
    for actual, desired in zip(*gradients, strict=True):
        assert np.abs(actual).max() > 1e-9
        np.testing.assert_allclose(actual, desired, atol=1e-8)


@most_compositions
def test_never_stale(name):
    """A sample's own tensors, whose way through the bijectors TFP's caches still know."""
    flow, distribution, by_hand, _ = compose(name)
    value = distribution.sample(4, seed=SEED)
    before = distribution.log_prob(value)
    perturb(flow, scale=0.1, seed=5)
    after = distribution.log_prob(value)
    assert np.abs(after - before).min() > 1e-4
    np.testing.assert_allclose(after, by_hand(afresh(value)), atol=1e-9)


@pytest.mark.slow
@most_compositions
def test_as_the_argument_of_a_function(name):
    flow, distribution, by_hand, _ = compose(name)
    value = distribution.sample(4, seed=SEED)

    @tf.function
    def log_prob(distribution, value):
        return distribution.log_prob(value)

    before = log_prob(distribution, value)
    perturb(flow, scale=0.1, seed=5)
    after = log_prob(distribution, value)
    assert np.abs(after - before).min() > 1e-4
    np.testing.assert_allclose(after, by_hand(afresh(value)), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Sequential", "Mixture", "Exp"])
def test_never_stale_within_a_function(name):
    flow, distribution, _, _ = compose(name)
    value = distribution.sample(4, seed=SEED)

    @tf.function
    def before_and_after(value):
        before = distribution.log_prob(value)
        for variable in flow.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, tf.constant(0.1, tf.float64)))
        return before, distribution.log_prob(value)

    before, after = before_and_after(value)
    assert np.abs(after - before).min() > 1e-4
    np.testing.assert_allclose(after, distribution.log_prob(afresh(value)), atol=1e-9)


def test_two_flows_in_one_joint_distribution():
    """Neither is called by name, so that TFP gives each its own."""
    flows = small_flow(), small_flow(DATA)
    joint = tfd.JointDistributionSequential(
        [flows[0], flows[1], lambda second, first: first_of(first)]
    )
    values = joint.sample(3, seed=SEED)
    desired = sum(flow.log_prob(x) for flow, x in zip(flows, values[:2], strict=True))
    desired += first_of(values[0]).log_prob(values[2])
    np.testing.assert_allclose(joint.log_prob(values), desired, atol=1e-9)
    assert len(joint.trainable_variables) == 2 * 5


def first_of(x):
    return tfd.Normal(x[..., 0], np.float64(1.0))


def test_a_named_flow_keeps_its_name_in_a_joint_distribution():
    flow = gaussian_mixture_flow(2, name="place", dtype=tf.float64)
    joint = tfd.JointDistributionCoroutine(coroutine(flow))
    assert joint.sample(seed=SEED)._fields[0] == "place"


def test_mixture_same_family_of_a_batch_of_flows_with_one_bijector():
    """K flows that differ in their latents alone are one flow over the mixture of those."""
    bijector = small_flow(DATA).bijector
    weights = tfd.Categorical(logits=np.array([0.1, 0.2, 0.3]))
    latents = tfd.MultivariateNormalDiag(LOC, np.ones([3, 2]))
    flows = tfd.TransformedDistribution(latents, bijector)
    assert flows.batch_shape == [3]
    mixture_of_flows = tfd.MixtureSameFamily(weights, flows)
    flow_of_mixture = tfd.TransformedDistribution(tfd.MixtureSameFamily(weights, latents), bijector)
    x = mixture_of_flows.sample([2, 3], seed=SEED)
    perturb(bijector, scale=0.1)
    actual = mixture_of_flows.log_prob(x)
    np.testing.assert_allclose(actual, flow_of_mixture.log_prob(afresh(x)), atol=1e-9)
    found = {id(variable) for variable in mixture_of_flows.trainable_variables}
    assert {id(variable) for variable in bijector.trainable_variables} <= found


def test_mixture_same_family_of_one_flow_is_refused():
    """A bijector's networks are one set of weights, no batch; `tfd.Mixture` takes several flows."""
    with pytest.raises(ValueError, match="rank at least 1"):
        tfd.MixtureSameFamily(tfd.Categorical(logits=LOGITS), small_flow())
