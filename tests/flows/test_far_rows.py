"""Outliers in the data: they do not compress the other rows, and are detected."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import HOW_TO_RUN
from scipy import stats
from support import COVARIANCE_TYPES, full_covariances, random_parameters

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em
from tfp_gmnvp.bijectors import Tails, column_spread, compress_tails
from tfp_gmnvp.em import sufficient_statistics
from tfp_gmnvp.em.covariance_floor import capped_variance
from tfp_gmnvp.flows import on_arrays

keras = tf.keras


def bulk(size=1000, seed=0):
    return gmnvp.datasets.two_moons(0.1).sample(size, seed=seed)


def far_rows(kind):
    rng = np.random.default_rng(0)
    return {
        "alike": np.full([5, 2], 1e4),
        "all around": 1e4 * rng.normal(size=[5, 2]),
        "one column": np.stack([np.full(5, -1e6), rng.normal(size=5)], axis=-1),
    }[kind]


def make_flow(x, num_components=4, **arguments):
    arguments = {"num_couplings": 2, "hidden_units": (16,), "seed": 0, **arguments}
    return gmnvp.gaussian_mixture_flow(2, num_components, standardize=x, **arguments)


def trained(x, update):
    model = gmnvp.FlowModel(make_flow(x), seed=0)
    model.compile(keras.optimizers.Adam(5e-3), mixture_update=update(), **HOW_TO_RUN)
    model.fit(x, epochs=24, batch_size=250, verbose=0)
    return model.distribution


@pytest.mark.slow
@pytest.mark.parametrize("update", [gmnvp.StepwiseEM, gmnvp.FullBatchEM])
def test_the_others_are_described_as_if_they_were_not_there(update):
    x, fresh = bulk(5000), bulk(3000, seed=1)
    without = -on_arrays.log_prob(trained(x, update), fresh).mean()
    for kind in ("alike", "all around"):
        rows = far_rows(kind)
        flow = trained(np.concatenate([x, rows]), update)
        assert -on_arrays.log_prob(flow, fresh).mean() == pytest.approx(without, abs=0.05)
        detector = gmnvp.OutlierDetector(flow, x, contamination=0.01)
        assert detector.is_outlier(rows).all()
        assert detector.is_outlier(fresh).mean() < 0.05


@pytest.mark.one_keras
def test_ordinary_tails_are_left_alone():
    """Without outliers, mean and standard deviation are used: normal, Laplace, moons, clusters."""
    rng = np.random.default_rng(0)
    for x in (
        rng.normal(size=[5000, 2]),
        rng.laplace(size=[5000, 2]),
        rng.exponential(size=[5000, 2]),
        bulk(5000),
        np.concatenate([rng.normal(size=[900, 2]), 100 + rng.normal(size=[100, 2])]),
        np.append(np.zeros(990), np.ones(10))[:, np.newaxis],
    ):
        loc, scale, bound = column_spread(x)
        assert np.isinf(bound).all()
        np.testing.assert_allclose(loc, x.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(scale, x.std(axis=0), rtol=1e-9)
    assert len(make_flow(bulk()).bijector.bijectors) == len(make_flow(bulk(50)).bijector.bijectors)


@pytest.mark.one_keras
def test_a_robust_spread_is_that_of_the_others():
    x = np.random.default_rng(0).normal(3.0, 2.0, size=[5000, 1])
    loc, scale, bound = column_spread(np.concatenate([x, np.full([50, 1], 1e6)]))
    assert 2.0 < bound[0] < 3.0
    np.testing.assert_allclose(loc, 3.0, atol=0.15)
    np.testing.assert_allclose(scale, 2.0, rtol=0.05)


@pytest.mark.one_keras
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_tails_are_a_bijector(dtype):
    tails = compress_tails(np.array([3.0, np.inf, 3.0]), dtype=dtype)
    x = np.array([[1e4, 1e4, -1e4], [3.0, -50.0, 10.0], [12.0, 0.0, -10.5], [0.0, 0.0, 0.0]])
    x = tf.constant(x, dtype)
    z = tails.inverse(x)
    np.testing.assert_allclose(tails.forward(z), x, rtol=1e-3 if dtype == tf.float32 else 1e-12)
    far = 3 + 0.1 * np.log1p(9997 / 0.1)
    np.testing.assert_allclose(z[0], [far, 1e4, -far], rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tails.inverse(x)
    slope = tape.gradient(y, x)
    np.testing.assert_allclose(
        tails.inverse_log_det_jacobian(x), np.log(slope).sum(axis=-1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        tails.forward_log_det_jacobian(z), -np.log(slope).sum(axis=-1), rtol=1e-3, atol=1e-6
    )
    assert not tails.trainable_variables


@pytest.mark.slow
def test_files_and_copies_know_of_tails(tmp_path):
    x = np.concatenate([bulk(100), far_rows("alike")])
    model = gmnvp.FlowModel(make_flow(x), initialize=False, seed=0)
    model.compile("adam", **HOW_TO_RUN)
    assert any(isinstance(part, Tails) for part in model.distribution.bijector.bijectors)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    copied = gmnvp.copy_flow(gmnvp.copy_flow(model.distribution))
    np.testing.assert_allclose(on_arrays.log_prob(copied, x), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.one_keras
def test_heavy_tails_have_a_density_that_integrates_to_one():
    x = np.random.default_rng(0).standard_cauchy(size=[2000, 2])
    flow = make_flow(x, dtype=tf.float64)
    gmnvp.FlowModel(flow, seed=0).initialize_mixture(x)
    grid = np.sinh(np.linspace(-14, 14, 1201))
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = np.exp(on_arrays.log_prob(flow, points)).reshape(1201, 1201)
    integral = np.trapezoid(np.trapezoid(density, grid), grid)
    assert integral == pytest.approx(1.0, abs=0.01)
    fresh = np.random.default_rng(1).standard_cauchy(size=[2000, 2])
    truth = stats.cauchy.logpdf(fresh).sum(axis=-1).mean()
    assert on_arrays.log_prob(flow, fresh).mean() > truth - 1.0  # of two components, not trained


@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_the_floor_is_relative_to_what_is_no_outlier(covariance_type):
    rng = np.random.default_rng(0)
    z = tf.constant(np.concatenate([rng.normal(size=[4995, 2]), np.full([5, 2], 1e4)]))
    is_far = np.arange(5000) >= 4995
    responsibilities = tf.constant(np.stack([~is_far, is_far], axis=-1).astype(float))
    statistics = sufficient_statistics(
        z, responsibilities, tf.zeros([2, 2], z.dtype), covariance_type
    )
    plain = em.maximization(statistics, covariance_type)
    floored = em.maximization(statistics, covariance_type, covariance_floor=1e-4)
    covariance = np.asarray(floored.covariance)
    within = covariance if covariance_type == "tied" else covariance[0]
    expected = plain.covariance if covariance_type == "tied" else plain.covariance[0]
    np.testing.assert_allclose(within, expected, rtol=1e-6, atol=1e-6)
    assert np.max(covariance) < 1.2


@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", [*COVARIANCE_TYPES, "low_rank"])
def test_ordinary_mixtures_have_the_total_variance_for_a_floor(covariance_type):
    for seed in range(3):
        parameters = random_parameters(4, 3, covariance_type, seed=seed)
        total = em.total_variance(parameters, covariance_type)
        within = np.diagonal(full_covariances(parameters, covariance_type), axis1=1, axis2=2)
        capped = capped_variance(total, parameters.probs, parameters.loc, tf.constant(within))
        np.testing.assert_array_equal(capped, total)
