"""Single-pass bijectors: one evaluation, handed over once, and nothing stale."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from support import points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp.bijectors import Coupling, SinglePassBijector, SinglePassChain, standardization
from tfp_gmnvp.seeds import stateless_seed


class Scaling(SinglePassBijector):
    """y = factor * times * x, which counts how often it is evaluated."""

    def __init__(self, factor=2.0):
        self.factor = tf.Variable(factor, dtype=tf.float64)
        self.evaluations = 0
        super().__init__(dtype=tf.float64)

    def _forward_and_log_det(self, x, times=1.0):
        self.evaluations += 1
        factor = self.factor * times
        log_det = tf.cast(tf.shape(x)[-1], x.dtype) * tf.math.log(factor)
        return factor * x, log_det + tf.zeros_like(x[..., 0])

    def _inverse_and_log_det(self, y, times=1.0):
        x, log_det = Scaling._forward_and_log_det(self, y, 1 / (self.factor**2 * times))
        return x, log_det


ENDS = {
    "forward": ("forward", "forward_log_det_jacobian"),
    "inverse": ("inverse", "inverse_log_det_jacobian"),
}
METHODS = [name for names in ENDS.values() for name in names]


def expected(method, factor, x):
    """Closed forms of `Scaling` on x [N, 3]."""
    return {
        "forward": factor * x,
        "inverse": x / factor,
        "forward_log_det_jacobian": np.full(x.shape[0], 3 * np.log(factor)),
        "inverse_log_det_jacobian": np.full(x.shape[0], -3 * np.log(factor)),
    }[method]


@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_stale_eagerly(method):
    bijector, x = Scaling(), points(4, 3)
    call = getattr(bijector, method)
    for factor in (2.0, 5.0, 0.5):
        bijector.factor.assign(factor)
        np.testing.assert_allclose(call(x), expected(method, factor, x.numpy()), rtol=1e-14)
        np.testing.assert_array_equal(call(x), call(tf.identity(x)))


@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_stale_within_one_function(method):
    bijector, x = Scaling(), points(4, 3)

    @tf.function
    def twice(x):
        before = getattr(bijector, method)(x)
        bijector.factor.assign(5.0)
        return before, getattr(bijector, method)(x)

    for value, factor in zip(twice(x), (2.0, 5.0), strict=True):
        np.testing.assert_allclose(value, expected(method, factor, x.numpy()), rtol=1e-14)


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_log_det_at_either_end_is_handed_over_once(first, second):
    bijector, start = Scaling(), points(4, 3)
    end = getattr(bijector, first)(start)
    at = start if first == second else end
    log_det = getattr(bijector, ENDS[second][1])
    for evaluations in (1, 2, 3):
        np.testing.assert_allclose(log_det(at), expected(ENDS[second][1], 2.0, start.numpy()))
        assert bijector.evaluations == evaluations


@pytest.mark.parametrize("end", ENDS)
def test_lone_log_det_after_an_update_belongs_to_the_value_and_then_is_fresh(end):
    bijector, x = Scaling(), points(4, 3)
    value, log_det = (getattr(bijector, name) for name in ENDS[end])
    value(x)
    bijector.factor.assign(5.0)
    np.testing.assert_allclose(log_det(x), expected(ENDS[end][1], 2.0, x.numpy()))
    np.testing.assert_allclose(log_det(x), expected(ENDS[end][1], 5.0, x.numpy()))


def test_only_the_call_that_directly_follows_is_handed_the_log_det():
    bijector, x, other = Scaling(), points(4, 3), points(4, 3, seed=1)
    bijector.forward(x)
    bijector.forward_log_det_jacobian(other)
    assert bijector.evaluations == 2
    bijector.factor.assign(5.0)
    log_det = bijector.forward_log_det_jacobian(x)
    np.testing.assert_allclose(log_det, 3 * np.log(5.0) * np.ones(4))


def test_a_value_in_between_takes_the_place_of_the_first():
    bijector, x, other = Scaling(), points(4, 3), points(4, 3, seed=1)
    bijector.forward(x)
    bijector.forward(other)
    bijector.forward_log_det_jacobian(x)
    assert bijector.evaluations == 3


def test_bijectors_do_not_hand_over_to_each_other():
    first, second, x = Scaling(2.0), Scaling(5.0), points(4, 3)
    first.forward(x)
    np.testing.assert_allclose(second.forward_log_det_jacobian(x), 3 * np.log(5.0) * np.ones(4))


def test_hand_over_is_per_condition():
    bijector, x = Scaling(1.0), points(4, 3)
    times = tf.constant(3.0, tf.float64)
    bijector.forward(x, times=times)
    log_det = bijector.forward_log_det_jacobian(x, times=times)
    assert bijector.evaluations == 1
    np.testing.assert_allclose(log_det, 3 * np.log(3.0) * np.ones(4))
    bijector.forward(x, times=times)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), np.zeros(4))


def test_a_condition_in_the_place_of_a_dead_one_is_another_one():
    bijector, x = Scaling(1.0), points(4, 3)
    for times in range(2, 22):
        bijector.forward(x, times=float(times))
        log_det = bijector.forward_log_det_jacobian(x, times=float(times + 100))
        np.testing.assert_allclose(log_det, 3 * np.log(times + 100) * np.ones(4))


def test_hand_over_is_per_thread():
    bijector, x = Scaling(), points(4, 3)
    bijector.forward(x)
    bijector.factor.assign(5.0)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(bijector.forward_log_det_jacobian(x)))
    thread.start()
    thread.join()
    np.testing.assert_allclose(seen[0], 3 * np.log(5.0) * np.ones(4))
    assert bijector.evaluations == 2
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), 3 * np.log(2.0) * np.ones(4))
    assert bijector.evaluations == 2


def test_no_hand_over_from_before_a_loop_into_its_body():
    bijector, x = Scaling(), points(4, 3)

    @tf.function
    def log_dets(x):
        bijector.forward(x)
        collected = tf.TensorArray(tf.float64, 3)
        for i in tf.range(3):
            collected = collected.write(i, bijector.forward_log_det_jacobian(x)[0])
            bijector.factor.assign(2 * bijector.factor)
        return collected.stack()

    np.testing.assert_allclose(log_dets(x), 3 * np.log([2.0, 4.0, 8.0]))


def test_no_hand_over_from_eager_code_into_a_function():
    bijector, x = Scaling(), points(4, 3)
    bijector.forward(x)
    log_det = tf.function(lambda: bijector.forward_log_det_jacobian(x))
    np.testing.assert_allclose(log_det(), 3 * np.log(2.0) * np.ones(4))
    bijector.factor.assign(5.0)
    np.testing.assert_allclose(log_det(), 3 * np.log(5.0) * np.ones(4))


def test_no_hand_over_from_a_function_into_eager_code():
    bijector, x = Scaling(), points(4, 3)
    tf.function(bijector.forward)(x)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), 3 * np.log(2.0) * np.ones(4))


def test_a_tape_must_have_seen_the_value_for_its_log_det_as_documented():
    bijector, x = Scaling(), points(4, 3)
    bijector.forward(x)
    gradients = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            log_det = tf.reduce_mean(bijector.forward_log_det_jacobian(x))
        gradients.append(tape.gradient(log_det, bijector.factor))
    assert gradients[0] is None
    np.testing.assert_allclose(gradients[1], 3 / 2.0)
    with tf.GradientTape() as tape:
        bijector.forward(x)
        log_det = tf.reduce_mean(bijector.forward_log_det_jacobian(x))
    np.testing.assert_allclose(tape.gradient(log_det, bijector.factor), 3 / 2.0)


def test_log_det_over_several_event_dimensions_is_the_sum():
    bijector, x = Scaling(), points(5, 4, 3)
    bijector.forward(x)
    for _ in range(2):  # handed over, then computed
        np.testing.assert_allclose(
            bijector.forward_log_det_jacobian(x, event_ndims=2), 12 * np.log(2.0) * np.ones(5)
        )


def test_values_are_not_kept_alive():
    bijector, x = Scaling(), points(4, 3)
    y = bijector.forward(x)
    ends = [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    assert [end() for end in ends] == [None, None]


def test_round_trip_computes_rather_than_remembers():
    bijector, x = Scaling(), points(4, 3)
    again = bijector.inverse(bijector.forward(x))
    assert again is not x
    assert bijector.evaluations == 2
    np.testing.assert_allclose(again, x)


def scaled_normal(bijector):
    zeros = np.zeros(3)
    return tfd.TransformedDistribution(tfd.MultivariateNormalDiag(zeros), bijector)


def scaled_normal_log_prob(factor, x):
    return tfd.MultivariateNormalDiag(np.zeros(3), factor * np.ones(3)).log_prob(x).numpy()


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: tfb.Invert(tfb.Invert(b))])
def test_a_transformed_distribution_is_never_stale(wrap):
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(wrap(bijector))
    for factor in (2.0, 5.0, 0.5):
        bijector.factor.assign(factor)
        np.testing.assert_allclose(distribution.log_prob(x), scaled_normal_log_prob(factor, x))
        np.testing.assert_allclose(distribution.bijector.inverse(x), x / factor)
        np.testing.assert_allclose(distribution.bijector.forward(x), x * factor)


def test_a_transformed_distribution_is_never_stale_within_one_function():
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(bijector)

    @tf.function
    def update(x):
        before = distribution.log_prob(x)
        bijector.factor.assign(5.0)
        return before, distribution.log_prob(x), bijector.inverse(x)

    before, after, z = update(x)
    np.testing.assert_allclose(before, scaled_normal_log_prob(2.0, x))
    np.testing.assert_allclose(after, scaled_normal_log_prob(5.0, x))
    np.testing.assert_allclose(z, x / 5.0)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_after_an_update_are_those_of_a_fresh_tensor(compiled):
    bijector, x = Scaling(), points(4, 3)
    distribution = scaled_normal(bijector)

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_sum(distribution.log_prob(x))
        return tape.gradient(loss, bijector.factor)

    gradient = tf.function(gradient) if compiled else gradient
    for factor in (2.0, 0.7):
        bijector.factor.assign(factor)
        closed_form = 3 * 4 / factor - np.sum(x.numpy() ** 2) / factor**3
        np.testing.assert_allclose(gradient(x), closed_form)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda distribution: distribution.log_prob(points(4, 3)),
        lambda distribution: distribution.sample(4, seed=[0, 1]),
        lambda distribution: distribution.experimental_sample_and_log_prob(4, seed=[0, 1]),
    ],
    ids=["log_prob", "sample", "sample_and_log_prob"],
)
def test_a_distribution_evaluates_its_bijector_once(use, compiled):
    bijector = Scaling()
    distribution = scaled_normal(bijector)
    call = tf.function(lambda: use(distribution)) if compiled else lambda: use(distribution)
    call()
    assert bijector.evaluations == 1


def test_sample_and_log_prob_agree():
    distribution = scaled_normal(Scaling(5.0))
    x, log_prob = distribution.experimental_sample_and_log_prob(6, seed=[0, 1])
    np.testing.assert_allclose(log_prob, scaled_normal_log_prob(5.0, x))


def tfp_parts():
    return [
        tfb.Shift(tf.constant([1.0, -2.0, 0.5], tf.float64)),
        tfb.ScaleMatvecTriL(
            tf.constant([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.3, -1.0, 3.0]], tf.float64)
        ),
        tfb.Permute([2, 0, 1]),
        tfb.Sinh(),
        tfb.Scale(tf.constant(0.7, tf.float64)),
    ]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_chain_equals_tfp_chain(shape):
    chain, oracle, x = SinglePassChain(tfp_parts()), tfb.Chain(tfp_parts()), points(*shape)
    assert chain.dtype == tf.float64
    y = oracle.forward(x)
    for method, at in zip(METHODS, (x, x, y, y), strict=True):
        kwargs = {"event_ndims": 1} if "log_det" in method else {}
        actual = getattr(chain, method)(tf.identity(at), **kwargs)
        desired = getattr(oracle, method)(tf.identity(at), **kwargs)
        np.testing.assert_allclose(actual, desired, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_chain_of_tfp_parts_with_variables_is_never_stale(method):
    shift, log_scale = tf.Variable([1.0, 2.0]), tf.Variable([0.5, -0.5])
    chain = SinglePassChain(
        [tfb.Chain([tfb.Shift(shift)]), Coupling(lambda x: tf.concat([x, x], -1), 2)]
        + [tfb.Scale(log_scale=log_scale)]
    )
    assert {v.ref() for v in chain.trainable_variables} == {shift.ref(), log_scale.ref()}
    x = points(4, 2, dtype=np.float32)
    call, graph_call = getattr(chain, method), tf.function(getattr(chain, method))
    before = call(x)
    shift.assign([-3.0, 0.1])
    log_scale.assign([1.0, 2.0])
    assert not np.allclose(before, call(tf.identity(x)), atol=1e-3)
    np.testing.assert_array_equal(call(x), call(tf.identity(x)))
    np.testing.assert_allclose(graph_call(x), call(tf.identity(x)), rtol=1e-5, atol=1e-5)


def test_chain_takes_chains_apart_and_passes_conditions_on():
    inner, outer = Scaling(2.0), Scaling(3.0)
    chain = SinglePassChain([outer, SinglePassChain([inner, tfb.Shift(tf.ones(3, tf.float64))])])
    assert chain.bijectors[:2] == (outer, inner)
    assert len(chain.bijectors) == 3
    x = points(4, 3)
    y = chain.forward(x, times=0.5)
    np.testing.assert_allclose(y, 1.5 * (x + 1.0))
    log_det = chain.forward_log_det_jacobian(x, event_ndims=1, times=0.5)
    np.testing.assert_allclose(log_det, 3 * np.log(1.5) * np.ones(4))
    np.testing.assert_allclose(chain.inverse(y, times=0.5), x)


def test_coupling_passes_conditions_to_its_conditioner():
    def conditioner(x, context):
        return tf.concat([context * x, 0.0 * x], axis=-1)

    coupling = Coupling(conditioner, 2)
    x = tf.constant([[1.0, 5.0]])
    context = tf.constant(10.0)
    np.testing.assert_allclose(coupling.forward(x, context=context), [[1.0, 15.0]])
    np.testing.assert_allclose(coupling.inverse(x, context=context), [[1.0, -5.0]])


@pytest.mark.parametrize(
    ("bijectors", "error", "message"),
    [
        ([], ValueError, "at least one"),
        ([tf.identity], TypeError, "tfb.Bijector"),
        ([tfb.FillTriangular(), tfb.CholeskyOuterProduct()], ValueError, "rank 2"),
        ([tfb.Scale(tf.ones([], t)) for t in (tf.float32, tf.float64)], ValueError, "one dtype"),
    ],
)
def test_chain_says_what_is_wrong(bijectors, error, message):
    with pytest.raises(error, match=message):
        SinglePassChain(bijectors)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_standardization_standardizes(dtype):
    data = np.random.default_rng(0).normal([1e4, 0.0, -5.0], [1.0, 1e-3, 30.0], [500, 3])
    bijector = standardization(data, dtype=dtype)
    z = bijector.inverse(tf.constant(data, dtype)).numpy().astype(np.float64)
    tolerance = 2e-3 if dtype == tf.float32 else 1e-10
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=tolerance)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=tolerance)
    log_det = bijector.forward_log_det_jacobian(tf.zeros(3, dtype), event_ndims=1)
    np.testing.assert_allclose(log_det, np.log(data.std(axis=0)).sum(), rtol=1e-5)
    assert len(bijector.variables) == 2
    assert not bijector.trainable_variables


def test_standardization_keeps_the_scale_of_a_constant_column():
    bijector = standardization([[1e5 + 0.1, 1.0], [1e5 + 0.1, 3.0]], dtype=tf.float64)
    np.testing.assert_allclose(bijector.inverse([[1e5 + 1.1, 3.0]]), [[1.0, 1.0]], rtol=1e-9)


def test_standardization_counts_its_log_det_once_a_row():
    bijector = standardization([[0.0, 10.0], [2.0, 30.0]], dtype=tf.float64)
    log_det = bijector.forward_log_det_jacobian(points(4, 2), event_ndims=2)
    np.testing.assert_allclose(log_det, 4 * np.log(10.0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0, 2.0], r"\[N, D\]"),
        (np.zeros([0, 2]), r"\[0, 2\]"),
        ([[0.0, 1.0], [np.nan, 1.0], [np.inf, 0.0]], "row 1"),
    ],
)
def test_standardization_says_what_is_wrong(data, message):
    with pytest.raises(ValueError, match=f"`data` .*{message}"):
        standardization(data)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**40 + 1, -3])
def test_integer_seeds_do_not_depend_on_any_state(seed):
    tf.random.set_seed(1)
    first = stateless_seed(seed)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(first, stateless_seed(seed))
    assert not np.array_equal(first, stateless_seed(int(seed) + 1))
    np.testing.assert_array_equal(stateless_seed(first), first)


def test_no_seed_draws_one():
    assert not np.array_equal(stateless_seed(None), stateless_seed(None))
