"""Flows under a context: each row is the flow at its own context, density and samples."""

import numpy as np
import pytest
import tensorflow as tf
from support import assert_samples_agree_with_log_prob, count_ops, perturb, points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_gmnvp as gmnvp
from tfp_gmnvp import bijectors

KINDS = {
    "affine": {},
    "spline": {"coupling": "spline", "mixing": "lu"},
    "act_norm": {"normalization": "act_norm", "conditioner": "residual"},
    "gate": {"gate_units": (6,)},
}


def make_flow(event_size=3, context_size=2, dtype=tf.float64, **arguments):
    flow = gmnvp.gaussian_mixture_flow(
        event_size,
        3,
        num_couplings=3,
        context_size=context_size,
        dtype=dtype,
        seed=0,
        **{"hidden_units": (6, 6), **arguments},
    )
    return perturb(flow)


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_det_is_that_of_the_jacobian_at_the_context(kind):
    flow = make_flow(**KINDS[kind])
    bijector = gmnvp.condition(flow, points(2, seed=5)).bijector
    x = points(3, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = bijector.inverse(x)
    log_det = np.linalg.slogdet(tape.batch_jacobian(z, x))[1]
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), log_det, atol=1e-10)
    np.testing.assert_allclose(bijector.forward(tf.identity(z)), x, atol=1e-10)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_contexts_is_a_flow_for_each_row(kind, dtype):
    flow = make_flow(dtype=dtype, **KINDS[kind])
    x, context = tf.cast(points(4, 3), dtype), tf.cast(points(4, 2, seed=1), dtype)
    rows = [gmnvp.condition(flow, c).log_prob(v) for v, c in zip(x, context, strict=True)]
    tolerance = {"rtol": 1e-4 if dtype == tf.float32 else 1e-10}
    bound = gmnvp.condition(flow, context)
    assert (bound.batch_shape, bound.event_shape, bound.dtype) == ([4], [3], dtype)
    np.testing.assert_allclose(bound.log_prob(x), rows, **tolerance)
    np.testing.assert_allclose(flow.log_prob(x, context=context), rows, **tolerance)
    deep = gmnvp.condition(flow, tf.reshape(context, [2, 2, 2]))
    log_prob = deep.log_prob(tf.reshape(x, [2, 2, 3]))
    np.testing.assert_allclose(tf.reshape(log_prob, [4]), rows, **tolerance)
    posterior = gmnvp.posterior(bound, x).probs_parameter()
    one = gmnvp.posterior(gmnvp.condition(flow, context[2]), x[2]).probs_parameter()
    np.testing.assert_allclose(posterior[2], one, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["affine", "gate"])
def test_one_point_at_several_contexts_and_unknown_sizes(kind):
    flow = make_flow(**KINDS[kind])
    x, context = points(4, 3), points(4, 2, seed=1)
    crossed = gmnvp.condition(flow, context).log_prob(x[:, tf.newaxis])
    assert crossed.shape == [4, 4]
    np.testing.assert_allclose(np.diag(crossed), flow.log_prob(x, context=context))
    at_one = gmnvp.condition(flow, context).log_prob(x[1])
    np.testing.assert_allclose(at_one, crossed[1])
    spec = [tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None, 2], tf.float64)]
    compiled = tf.function(lambda x, c: flow.log_prob(x, context=c), input_signature=spec)
    np.testing.assert_allclose(compiled(x, context), np.diag(crossed))
    sample = tf.function(lambda c: flow.sample(5, context=c, seed=[0, 1]), spec[1:])
    np.testing.assert_allclose(sample(context), flow.sample(5, context=context, seed=[0, 1]))


@pytest.mark.parametrize("kind", ["affine", "gate"])
def test_samples_are_those_of_the_density_at_the_context(kind):
    flow = make_flow(2, hidden_units=(4,), **KINDS[kind])
    bound = gmnvp.condition(flow, [[0.5, -1.0], [-1.5, 1.0]])
    samples = bound.sample(20_000, seed=[0, 1])
    assert samples.shape == [20_000, 2, 2]
    assert abs(np.corrcoef(samples[:, 0, 0], samples[:, 1, 0])[0, 1]) < 0.03
    one = gmnvp.condition(flow, [0.5, -1.0])
    log_prob = one.log_prob(samples[:, 0])
    center = samples[tf.argmax(log_prob), 0]
    assert_samples_agree_with_log_prob(one, radius=0.5, center=center, rtol=0.05)
    others = one.log_prob(one.sample(20_000, seed=[2, 3]))
    error = np.sqrt((np.var(log_prob) + np.var(others)) / 20_000)
    assert abs(np.mean(log_prob) - np.mean(others)) < 4 * error
    assert gmnvp.sample_component(bound, 1, [3, 4], seed=0).shape == [3, 4, 2, 2]


def test_the_keyword_arguments_of_tfp():
    flow = make_flow()
    x, context = points(4, 3), points(4, 2, seed=1)
    expected = flow.log_prob(x, context=context)
    np.testing.assert_allclose(flow.log_prob(x, bijector_kwargs={"context": context}), expected)
    gated = make_flow(gate_units=())
    both = {name: {"context": context} for name in ("bijector_kwargs", "distribution_kwargs")}
    expected = gated.log_prob(x, context=context)
    np.testing.assert_allclose(gated.log_prob(x, **both), expected)
    normal = tfd.MultivariateNormalDiag(tf.zeros(3, tf.float64))
    plain = tfd.TransformedDistribution(normal, flow.bijector)
    bound = gmnvp.condition(plain, context)
    by_keyword = plain.log_prob(x, bijector_kwargs={"context": context})
    np.testing.assert_allclose(bound.log_prob(x), by_keyword)


@pytest.mark.parametrize("use", ["log_prob", "sample", "sample_and_log_prob", "posterior"])
def test_each_conditioner_and_the_gate_are_evaluated_once(use):
    flow = make_flow(gate_units=(5,), activation="relu", hidden_units=(6, 6))
    perturb(flow)
    uses = {
        "log_prob": lambda x, c: flow.log_prob(x, context=c),
        "sample": lambda x, c: flow.sample(4, context=c, seed=[0, 1]),
        "sample_and_log_prob": lambda x, c: flow.experimental_sample_and_log_prob(
            4, context=c, seed=[0, 1]
        ),
        "posterior": lambda x, c: gmnvp.posterior(gmnvp.condition(flow, c), x).logits_parameter(),
    }
    gates = 2 if use == "sample_and_log_prob" else 1  # TFP's mixture samples, then evaluates
    counts = count_ops(uses[use], points(4, 3), points(4, 2))
    assert counts["Relu"] == 3 * 2
    silu = count_ops(tf.nn.silu, points(4, 5))["Sigmoid"]
    assert counts["Sigmoid"] == gates * silu


def test_nothing_is_stale_and_all_variables_are_seen():
    flow = make_flow(gate_units=(5,))
    x, context = points(4, 3), points(4, 2, seed=1)
    bound = gmnvp.condition(flow, context)
    seen = {id(v) for v in bound.trainable_variables}
    assert seen == {id(v) for v in flow.trainable_variables}
    before = bound.log_prob(x)
    for part in (flow.bijector, flow.distribution.gate):
        perturb(part, seed=3, scale=0.1)
        after = bound.log_prob(x)
        assert np.abs(after - before).min() > 1e-4
        np.testing.assert_array_equal(after, gmnvp.condition(flow, context).log_prob(x + 0.0))
        before = after
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bound.log_prob(x))
    gradients = tape.gradient(loss, bound.trainable_variables)
    assert all(g is not None and np.abs(g).max() > 0 for g in gradients)


def test_in_a_joint_distribution():
    flow = make_flow(gate_units=(5,))
    joint = tfd.JointDistributionNamed(
        {
            "c": tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), 2),
            "x": lambda c: gmnvp.condition(flow, c),
        }
    )
    draw = joint.sample(5, seed=[0, 1])
    expected = flow.log_prob(draw["x"], context=draw["c"])
    expected += tf.reduce_sum(tfd.Normal(tf.zeros([], tf.float64), 1.0).log_prob(draw["c"]), -1)
    np.testing.assert_allclose(joint.log_prob(draw), expected)


def test_a_conditioner_of_the_users_gets_the_context_behind_its_part():
    calls = []

    def conditioner_fn(input_size, output_size):
        calls.append((input_size, output_size))
        return lambda inputs: tf.tile(inputs[:, -1:], [1, output_size])

    bijector = gmnvp.real_nvp(
        2, 1, coupling=Shift(), conditioner_fn=conditioner_fn, context_size=3, dtype=tf.float64
    )
    x = bijector.forward(points(4, 2), context=points(4, 3, seed=1))
    assert calls == [(4, 1)]
    np.testing.assert_allclose(x[:, 1], points(4, 2)[:, 1] + points(4, 3, seed=1)[:, 2])


class Shift(gmnvp.CouplingTransform):
    num_parameters = 1

    def __call__(self, parameters):
        return tfb.Shift(parameters)


def test_without_a_context_nothing_changes():
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=2, seed=0)
    assert bijectors.context_size(flow.bijector) == 0
    assert type(flow) is not type(make_flow())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flow, x: flow.log_prob(x), "requires a `context` of size 2"),
        (lambda flow, x: flow.sample(3), "requires a `context` of size 2"),
        (lambda flow, x: gmnvp.posterior(flow, x), "requires a `context` of size 2"),
        (lambda flow, x: flow.log_prob(x, context=x), r"must have shape \[..., 2\], got \(4, 3\)"),
        (lambda flow, x: flow.log_prob(x, context=x[:3, :2]), "do not broadcast"),
        (lambda flow, x: gmnvp.condition(gmnvp.condition(flow, x[:, :2]), x), "takes no context"),
        (lambda flow, x: gmnvp.condition(gmnvp.gaussian_mixture_flow(3), x), "takes no context"),
        (lambda flow, x: gmnvp.gaussian_mixture_flow(3, gate_units=()), "pass `context_size`"),
        (lambda flow, x: gmnvp.real_nvp(3, context_size=-1), "`context_size` must be"),
        (
            lambda flow, x: make_flow(gate_units=(), reparameterize=True),
            "does not support `gate_units`",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(make_flow(), points(4, 3))
