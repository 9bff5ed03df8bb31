"""Flows in many threads at once: on their own, and while another thread trains them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_flow, make_model, points
from support import perturb

import tfp_gmnvp as gmnvp
from tfp_gmnvp import bijectors
from tfp_gmnvp.bijectors.single_pass import inverse_and_log_det

keras = tf.keras
NUM_THREADS = 8


def traced(flow):
    """The flow, after so many calls of `log_prob` that all others are traced.

    The rounding of the first, eager ones is another one.
    """
    for _ in range(4):
        flow.log_prob(points(2))
    return flow


def values_of(flow, number):
    """A log-density and a sample, of a size for each number."""
    x = points(2 + number, seed=number)
    return flow.log_prob(x).numpy(), flow.sample(3 + number, seed=[number, 1]).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"mixing": "lu", "normalization": "act_norm"}])
def test_each_thread_gets_what_it_would_alone(arguments):
    flow = traced(perturb(make_flow(num_couplings=2, **arguments)))
    expected = [values_of(flow, number) for number in range(NUM_THREADS)]
    start = threading.Barrier(NUM_THREADS)

    def work(number):
        start.wait()
        return [values_of(flow, number) for _ in range(3)]

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for found, (log_prob, sample) in zip(pool.map(work, range(8)), expected, strict=True):
            for actual in found:
                np.testing.assert_array_equal(actual[0], log_prob)
                np.testing.assert_array_equal(actual[1], sample)


def test_each_thread_is_handed_its_own_log_det():
    """All wait for each other between the value and the log-det of the same tensor."""
    bijector, step = perturb(bijectors.real_nvp(3, 2, (8,))), threading.Barrier(NUM_THREADS)

    def work(number):
        x = tf.constant(points(5, seed=number))
        step.wait()
        z = bijector.inverse(x)
        step.wait()
        return z, bijector.inverse_log_det_jacobian(x)

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = list(pool.map(work, range(NUM_THREADS)))
    for number, (z, log_det) in enumerate(found):
        expected = inverse_and_log_det(bijector, tf.constant(points(5, seed=number)))
        np.testing.assert_array_equal(z, expected[0])
        np.testing.assert_array_equal(log_det, expected[1])


class CopyAtEpochEnd(keras.callbacks.Callback):
    """Gives the readers a copy, and stores its values while no other thread can change it."""

    def __init__(self, flow, x):
        super().__init__()
        self._flow, self._x, self.known = traced(flow), x, []
        self._copy()

    def on_epoch_end(self, epoch, logs=None):
        self._copy()

    def _copy(self):
        self.known.append(self._flow.log_prob(self._x).numpy())
        self.copied = traced(gmnvp.copy_flow(self._flow))


@pytest.mark.slow
def test_during_training_values_are_finite_and_those_of_copies_of_one_moment():
    model, x = make_model("stepwise"), points(4, seed=5)
    model.initialize_mixture(points())
    flow, live, of_copies = model.distribution, [], []
    copies, done = CopyAtEpochEnd(flow, x), threading.Event()

    def read(number):
        while not done.is_set():
            live.extend(values_of(flow, number))
            of_copies.append(copies.copied.log_prob(x).numpy())
            time.sleep(0.1)  # the one that trains is to have its turn

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        readers = [pool.submit(read, number) for number in range(NUM_THREADS)]
        try:
            model.fit(points(), batch_size=40, epochs=3, callbacks=[copies], verbose=0)
        finally:
            done.set()
    for reader in readers:
        reader.result()  # which raises what it raised
    assert len(of_copies) >= NUM_THREADS
    assert all(np.isfinite(values).all() for values in live)
    known = {values.tobytes() for values in copies.known}
    assert len(known) == 4
    assert {values.tobytes() for values in of_copies} <= known


@pytest.mark.parametrize(
    "flow",
    [
        make_flow(),
        gmnvp.image_flow([4, 4, 1], 2, num_filters=2, num_blocks=0, num_levels=4),
        gmnvp.gaussian_mixture_flow(2, 2, context_size=1, gate_units=(4,)),
    ],
    ids=["vectors", "images", "context"],
)
def test_a_copy_has_the_values_and_none_of_the_variables(flow):
    copied = gmnvp.copy_flow(perturb(flow))
    mine, others = {id(v) for v in flow.variables}, {id(v) for v in copied.variables}
    assert not mine & others
    for a, b in zip(copied.variables, flow.variables, strict=True):
        assert (a.name, a.trainable) == (b.name, b.trainable)
        np.testing.assert_array_equal(a, b)
