"""Data of all scales and sizes: training stays finite, covariances regular, the flow invertible.

`TFP_GMNVP_SEEDS` is how many seeds each is trained with, by flows of the default size then.
"""

import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

# Some data has no density, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::tfp_gmnvp.DegenerateDataWarning")

SEEDS = range(int(os.environ.get("TFP_GMNVP_SEEDS", "1")))
SIZE = {} if "TFP_GMNVP_SEEDS" in os.environ else {"num_couplings": 2, "hidden_units": (16,)}


def clusters(rng, size=200, event_size=2):
    centers = 3 * rng.standard_normal([3, event_size])
    return centers[rng.integers(3, size=size)] + rng.standard_normal([size, event_size])


#: The data by a generator, the number of components, and the dtype.
CASES = {
    "times 1e-6": (lambda rng: 1e-6 * clusters(rng), 3, tf.float32),
    "times 1e6": (lambda rng: 1e6 * clusters(rng), 3, tf.float32),
    "times 1e6 in float64": (lambda rng: 1e6 * clusters(rng), 3, tf.float64),
    "each column another scale": (lambda rng: clusters(rng) * [1e-6, 1e6], 3, tf.float32),
    "shifted by 1e6": (lambda rng: clusters(rng) + 1e6, 3, tf.float32),
    "shifted by 1e6 in float64": (lambda rng: clusters(rng) + 1e6, 3, tf.float64),
    "Cauchy": (lambda rng: rng.standard_cauchy([200, 2]), 3, tf.float32),
    "Cauchy in float64": (lambda rng: rng.standard_cauchy([200, 2]), 3, tf.float64),
    "D = 200": (lambda rng: clusters(rng, event_size=200), 2, tf.float32),
    "K = 100, N = K + 1": (lambda rng: clusters(rng, size=101), 100, tf.float32),
    "K = 1, N = K + 1": (lambda rng: clusters(rng, size=2), 1, tf.float32),
    "integers on a grid": (lambda rng: rng.integers(3, size=[200, 2]), 3, tf.float32),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_training_stays_finite(name, seed):
    make, num_components, dtype = CASES[name]
    x = make(np.random.default_rng(seed)).astype(dtype.as_numpy_dtype)
    flow = gmnvp.gaussian_mixture_flow(
        x.shape[1], num_components, standardize=x, dtype=dtype, seed=seed, **SIZE
    )
    model = gmnvp.FlowModel(flow, seed=seed)
    model.compile("adam", mixture_update=gmnvp.FullBatchEM(), run_eagerly=True)
    batches = tf.data.Dataset.from_tensor_slices(x).batch(50)
    history = model.fit(batches, epochs=2, verbose=0).history
    assert history["skipped_steps"] == [0, 0]
    assert np.isfinite(history["loss"]).all()
    parameters = mixtures.mixture_parameters(flow.distribution)
    assert np.linalg.eigvalsh(parameters.covariance).min() > 0
    assert np.isfinite(flow.sample(10, seed=[0, 1])).all()
    assert gmnvp.round_trip_error(flow, x) < 1e-4


def test_the_error_of_a_round_trip_is_that_of_the_farthest_point():
    class Inexact(tfp.bijectors.Shift):
        """Its way back misses by a hundredth where it starts above two."""

        def _forward(self, z):
            return super()._forward(z) + tf.where(z > 2, 0.01, 0.0)

    mixture = mixtures.gaussian_mixture(1, 2, seed=0)
    flow = tfp.distributions.TransformedDistribution(mixture, Inexact([0.0, 0.0]))
    x = [[1.0, 2.0], [-4.0, 1.0], [2.5, 0.0]]
    assert gmnvp.round_trip_error(flow, x) == pytest.approx(0.01 / 4, rel=1e-4)
    assert gmnvp.round_trip_error(flow, x[:2]) == 0
