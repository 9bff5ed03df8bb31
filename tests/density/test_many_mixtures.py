"""EM of many mixtures at once is EM of each as `em` has it, step by step."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp.density.many_mixtures import STRUCTURES, fit_many, points
from tfp_gmnvp.density.many_mixtures.starts import k_means_plus_plus

FLOOR, SHRINKAGE = 1e-3, 0.5
SIZES = [1, 3, 2]


def table(num_points=60):
    """Two clusters about a far point, and a column that all but follows from another."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=[num_points, 3]) + 50.0 + 4.0 * rng.integers(2, size=[num_points, 1])
    z[:, 2] = z[:, 0] + 1e-3 * z[:, 2]
    return z


def fits(covariance_type, num_iterations, has_prior=False, **settings):
    z = table()
    weight = np.random.default_rng(1).integers(0, 3, [3, len(z)]).astype(float)
    found = fit_many(
        z,
        weight,
        SIZES,
        covariance_type,
        prior_points=3 * [5.0 * has_prior],
        prior_scale=3 * [5.0 * SHRINKAGE * has_prior],
        covariance_floor=FLOOR,
        seeds=[(0, number) for number in range(3)],
        num_iterations=num_iterations,
        tolerance=-np.inf,
        **settings,
    )
    return z, weight, found


@pytest.mark.parametrize("has_prior", [False, True])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_an_iteration_is_that_of_em(covariance_type, has_prior):
    z, weight, before = fits(covariance_type, 3, has_prior)
    *_, after = fits(covariance_type, 4, has_prior)
    prior = mixtures.Prior(degrees_of_freedom=1.0, scale=5.0 * SHRINKAGE) if has_prior else None
    for w, old, new in zip(tf.constant(weight), before, after, strict=True):
        parameters = mixtures.MixtureParameters(*map(tf.constant, old[:3]))
        mixture = mixtures.as_mixture(parameters, covariance_type)
        responsibilities, log_prob = em.expectation(mixtures.component_log_joint(mixture, z))
        np.testing.assert_allclose(old.log_prob, log_prob, rtol=1e-6)
        statistics = em.sufficient_statistics(
            tf.constant(z), responsibilities, parameters.loc, covariance_type, sample_weight=w
        )
        expected = em.maximization(statistics, covariance_type, covariance_floor=FLOOR, prior=prior)
        for found, part in zip(new[:3], expected, strict=True):
            np.testing.assert_allclose(found, part, rtol=1e-5, atol=1e-7)
        objective = tf.reduce_sum(w * log_prob)
        if has_prior:
            variance = em.points_variance(statistics, covariance_type)
            objective += prior.log_density(parameters, variance, covariance_type)
        np.testing.assert_allclose(old.objective, objective / tf.reduce_sum(w), rtol=1e-6)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_mixtures_side_by_side_are_those_fitted_alone(covariance_type):
    z, weight, found = fits(covariance_type, 20)
    for number, one in enumerate(found):
        (alone,) = fit_many(
            z,
            weight[[number]],
            SIZES[number : number + 1],
            covariance_type,
            prior_points=[0.0],
            prior_scale=[0.0],
            covariance_floor=FLOOR,
            seeds=[(0, number)],
            num_iterations=20,
            tolerance=-np.inf,
        )
        np.testing.assert_allclose(alone.log_prob, one.log_prob, rtol=1e-8)


@pytest.mark.parametrize("most", [1, 200])
def test_rows_and_components_at_a_time_make_no_difference(most, monkeypatch):
    *_, expected = fits("full", 5)
    for name in ("_ENTRIES_AT_ONCE", "_ENTRIES_TO_KEEP", "_FACTORS_AT_ONCE"):
        monkeypatch.setattr(points, name, most)
    for name in ("_FEWEST_ROWS", "_FEWEST_COMPONENTS"):
        monkeypatch.setattr(points, name, 2)
    *_, found = fits("full", 5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.log_prob, other.log_prob, rtol=1e-9)


def test_the_objective_rises():
    objectives = [[one.objective for one in fits("full", n, True)[2]] for n in range(8)]
    assert (np.diff(objectives, axis=0) > -1e-12).all()


def test_the_best_of_several_starts_goes_on():
    z, weight = table(), np.ones([2, 60])
    settings = {"prior_points": [0.0] * 2, "prior_scale": [0.0] * 2, "tolerance": 1e-12}
    settings.update(covariance_floor=FLOOR, num_iterations=300)
    found = {
        number: fit_many(z, weight, [3, 4], "diag", seeds=2 * [(0,)], num_starts=number, **settings)
        for number in (1, 8)
    }
    assert [len(found[8][0].probs), len(found[8][1].probs)] == [3, 4]
    for one, several in zip(found[1], found[8], strict=True):
        assert several.objective >= one.objective - 1e-9


def test_outliers_and_constant_columns_leave_a_floor():
    z = np.concatenate([np.random.default_rng(0).normal(size=[99, 1]), [[1e4]]])
    z = np.concatenate([z, np.full_like(z, 7.0)], axis=1)
    seen = points.Points(z, np.ones([1, 100]), lambda z: z)
    (variance,) = seen.variance_without_outliers
    assert 5 < variance[0] < 20
    np.testing.assert_allclose(variance[1], 5e-7 * variance[0])


def test_centers_are_spread_over_the_points_with_weight():
    z = np.repeat([0.0, 5.0, 9.0, 99.0], 5)[:, np.newaxis]
    weight = np.repeat([1.0, 1.0, 1.0, 0.0], 5)
    number = k_means_plus_plus(z, weight, 3, np.random.default_rng(0))
    assert sorted(set(number[:15])) == [0, 1, 2]
    assert all(len(set(group)) == 1 for group in np.split(number, 4))


def test_more_clusters_than_places():
    number = k_means_plus_plus(np.ones([4, 1]), np.ones(4), 3, np.random.default_rng(0))
    np.testing.assert_array_equal(number, 0)
