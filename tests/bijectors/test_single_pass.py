"""Single-pass bijectors: one evaluation, handed over once, and nothing stale."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tensorflow as tf
from support import points

from tfp_gmnvp.bijectors import SinglePassBijector


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
