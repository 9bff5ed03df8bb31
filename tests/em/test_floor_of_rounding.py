"""Covariances of dependent columns, under a floor that the dtype does not resolve, or none."""

import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em

# The rows have no density, on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::tfp_gmnvp.DegenerateDataWarning")

EACH_TYPE = pytest.mark.parametrize("covariance_type", [*COVARIANCE_TYPES, "low_rank"])
UPDATES = {"full_batch": gmnvp.FullBatchEM, "stepwise": gmnvp.StepwiseEM}


def dependent_rows(dtype=np.float32):
    """Two clusters; the third column is a sum of the others, the fourth a constant."""
    a = np.random.default_rng(0).normal(size=[400, 2])
    x = np.stack([a[:, 0], a[:, 1], a[:, 0] + 2 * a[:, 1], np.full(400, 3.3)], axis=1)
    x[:200] += [5.0, 0.0, 5.0, 0.0]
    return x.astype(dtype)


def make_flow(covariance_type, dtype=np.float32):
    rank = 2 if covariance_type == "low_rank" else None
    return gmnvp.gaussian_mixture_flow(
        4, 2, covariance_type=covariance_type, rank=rank, num_couplings=1, dtype=dtype, seed=0
    )


@pytest.mark.slow
@EACH_TYPE
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("floor", [0.0, 1e-8])
def test_fit_mixture(covariance_type, dtype, floor):
    flow, x = make_flow(covariance_type, dtype), dependent_rows(dtype)
    fit = gmnvp.fit_mixture(flow, x, n_init=0, covariance_floor=floor, max_iterations=500)
    assert np.isfinite(fit.objective).all()
    assert fit.objective[-1] > fit.objective[0]
    assert np.isfinite(flow.log_prob(tf.constant(x))).all()
    mean = flow.distribution.mean()
    np.testing.assert_allclose(mean, x.mean(axis=0, dtype=np.float64), atol=1e-4)


@pytest.mark.slow
@EACH_TYPE
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("floor", [0.0, 1e-8])
def test_training(covariance_type, update, floor):
    model = gmnvp.FlowModel(make_flow(covariance_type), seed=0)
    update = UPDATES[update](covariance_floor=floor)
    model.compile(tf.keras.optimizers.SGD(0.0), mixture_update=update, jit_compile=False)
    history = model.fit(dependent_rows(), epochs=3, batch_size=100, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert sum(history["skipped_steps"]) == 0


@EACH_TYPE
def test_without_a_floor_well_conditioned_covariances_are_the_points_own(covariance_type):
    z = tf.constant(np.random.default_rng(1).normal(size=[60, 3]) * [1.0, 1e-3, 10.0])
    if covariance_type == "low_rank":  # whose step does not match moments
        z, reference = z[:, :1], tf.constant([[[0.0, 1.0, 0.0]]], tf.float64)
    else:
        reference = tf.zeros([1, 3], tf.float64)
    ones = tf.ones([60, 1], tf.float64)
    statistics = em.sufficient_statistics(z, ones, reference, covariance_type)
    for dtype in (tf.float32, tf.float64):
        covariance = em.maximization(statistics, covariance_type, dtype=dtype).covariance
        expected = np.cov(z.numpy().T, bias=True)
        if covariance_type in ("full", "tied"):
            np.testing.assert_allclose(tf.reshape(covariance, [3, 3]), expected, rtol=1e-12)
        elif covariance_type == "low_rank":
            np.testing.assert_allclose(covariance[0, 0, 0], expected, rtol=1e-12)
        else:
            diagonal = np.diagonal(expected)
            diagonal = diagonal if covariance_type == "diag" else diagonal.mean()
            np.testing.assert_allclose(covariance[0], diagonal, rtol=1e-12)


@pytest.mark.parametrize("event_size", [2, 20, 100])
def test_in_float32_no_matrix_is_too_singular_for_its_cholesky_factor(event_size):
    rng = np.random.default_rng(2)
    for rank in (1, 2):
        z = rng.normal(size=[200, rank]) @ rng.normal(size=[rank, event_size])
        z = tf.constant(z * 10.0 ** rng.uniform(-3, 3, size=event_size), tf.float32)
        statistics = em.sufficient_statistics(z, tf.ones([200, 1]), z[:1], "full")
        for floor in (0.0, 1e-8, 1e-4):
            covariance = em.maximization(statistics, "full", covariance_floor=floor)[2]
            assert np.isfinite(np.linalg.cholesky(covariance.numpy())).all()
            assert np.isfinite(tf.linalg.cholesky(covariance)).all()
