"""Float32 statistics of ten million rows against float64's."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures

tfd, tfb = tfp.distributions, tfp.bijectors
NUM_BATCHES, BATCH_SIZE = 10, 10**6


def batches(dtype):
    """Float32 rows of two clusters far from the origin, the same at every call."""
    for number in range(NUM_BATCHES):
        noise = tf.random.stateless_normal([BATCH_SIZE, 2], [0, number])
        is_second = tf.random.stateless_uniform([BATCH_SIZE, 1], [1, number]) < 0.3
        x = noise + tf.where(is_second, [53.0, -1.0], [50.0, 1.0])
        yield tf.cast(x, dtype), None, None


def updated(dtype):
    """The parameters after an iteration of EM from means that are off."""
    mixture = mixtures.gaussian_mixture(2, 2, dtype=dtype)
    mixture.components_distribution.loc.assign([[49.0, 0.3], [52.5, -0.7]])
    flow = tfd.TransformedDistribution(mixture, tfb.Identity())
    update = gmnvp.FullBatchEM()
    update.build(flow)
    update.on_epoch_begin(flow, 0, lambda: batches(dtype))
    return mixtures.mixture_parameters(mixture)


@pytest.mark.slow
def test_full_batch_em_of_ten_million_rows():
    actual, expected = (updated(dtype) for dtype in (tf.float32, tf.float64))
    for value, exact in zip(actual, expected, strict=True):
        np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("covariance_type", "event_size"), [("full", 1), ("tied", 1), ("diag", 1), ("diag", 2)]
)
def test_one_batch_of_ten_million_rows(covariance_type, event_size):
    """No batch is too large for float32: sums within it lose no digits either."""
    rows = NUM_BATCHES * BATCH_SIZE
    z = 50.0 + tf.random.stateless_normal([rows, event_size], [0, 0])
    responsibilities = tf.random.stateless_uniform([rows, 2], [0, 1])
    reference = tf.repeat([[49.0], [50.5]], event_size, axis=1)
    statistics, exact = (
        em.sufficient_statistics(
            *(tf.cast(t, dtype) for t in (z, responsibilities, reference)), covariance_type
        )
        for dtype in (tf.float32, tf.float64)
    )
    for value, expected in zip(statistics, exact, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4)
