"""EM of mixtures with missing entries against scipy, scikit-learn, and EM as it is without them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture
from support import full_covariances

from tfp_gmnvp import mixtures
from tfp_gmnvp.density.many_mixtures import STRUCTURES, em, fit_many
from tfp_gmnvp.density.many_mixtures.fits import make_settings
from tfp_gmnvp.density.many_mixtures.groups import Groups
from tfp_gmnvp.density.many_mixtures.points import Points
from tfp_gmnvp.density.missing.chains import ImputationChains
from tfp_gmnvp.density.missing.fit import fit_with_missing
from tfp_gmnvp.density.missing.fits import complete_at_random, fit_many_incomplete
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.missing.points import IncompletePoints, e_step
from tfp_gmnvp.density.missing.rows import impute, observed_log_prob
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidate
from tfp_gmnvp.density.mixture_choice import choose_mixture
from tfp_gmnvp.flows import columns

SIZES = [2, 3]


def complete(num_points=80):
    """Two clusters in three columns, the third close to the first."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=[num_points, 3]) + 20.0 + 4.0 * rng.integers(2, size=[num_points, 1])
    z[:, 2] = z[:, 0] + 0.3 * z[:, 2]
    return z


def incomplete(share=0.3, num_points=80):
    z = complete(num_points)
    z[np.random.default_rng(1).uniform(size=z.shape) < share] = np.nan
    z[0] = np.nan  # a row of which nothing is known
    return z


def fits(z, covariance_type, num_iterations, fit=fit_many_incomplete, *, shrinkage=0.0, **settings):
    points = 5.0 * (shrinkage > 0)
    return fit(
        z,
        np.random.default_rng(2).integers(0, 3, [2, len(z)]).astype(float),
        SIZES,
        covariance_type,
        prior_points=2 * [points],
        prior_scale=2 * [points * shrinkage],
        covariance_floor=1e-6,
        seeds=[(0, number) for number in range(2)],
        num_iterations=num_iterations,
        tolerance=-np.inf,
        **settings,
    )


def naive_e_step(z, weight, probs, loc, matrices):
    """Sums of mass, z and z z^T, row by row and component by component, and log-densities."""
    size, num_components = z.shape[1], len(probs)
    mass, first = np.zeros(num_components), np.zeros([num_components, size])
    second, log_prob = np.zeros([num_components, size, size]), np.zeros(len(z))
    for n, row in enumerate(z):
        o, u = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        joint = np.array(probs)
        if len(o):
            joint = joint * [
                stats.multivariate_normal(m[o], c[np.ix_(o, o)]).pdf(row[o])
                for m, c in zip(loc, matrices, strict=True)
            ]
        log_prob[n] = np.log(joint.sum())
        for k, share in enumerate(joint / joint.sum()):
            slope = matrices[k][np.ix_(u, o)] @ np.linalg.inv(matrices[k][np.ix_(o, o)])
            full, spread = row.copy(), np.zeros([size, size])
            full[u] = loc[k][u] + slope @ (row[o] - loc[k][o])
            spread[np.ix_(u, u)] = matrices[k][np.ix_(u, u)] - slope @ matrices[k][np.ix_(o, u)]
            mass[k] += weight[n] * share
            first[k] += weight[n] * share * full
            second[k] += weight[n] * share * (np.outer(full, full) + spread)
    return mass, first, second, log_prob


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_the_e_step_is_that_of_each_row(covariance_type):
    z = incomplete(num_points=25)
    structure = STRUCTURES[covariance_type]
    found = fits(z, covariance_type, 3)
    points = IncompletePoints(z, np.random.default_rng(2).integers(0, 3, [2, len(z)]).astype(float))
    inner = {"spherical": lambda c: np.tile(c[:, np.newaxis], 3), "tied": lambda c: c[np.newaxis]}
    covariance = [inner.get(covariance_type, lambda c: c)(f.covariance) for f in found]
    parameters = (
        np.concatenate([f.probs for f in found]),
        np.concatenate([f.loc for f in found]) - points.center,
        np.concatenate(covariance),
    )
    sums, log_prob = e_step(points, parameters, Groups(SIZES), structure)
    start = 0
    for b, fit in enumerate(found):
        matrices = full_covariances(mixtures.MixtureParameters(*fit[:3]), covariance_type)
        expected = naive_e_step(
            z - points.center, points.weight[b], fit.probs, fit.loc - points.center, matrices
        )
        mass, first, second, naive_log_prob = expected
        products = second[:, *np.triu_indices(3)]
        if covariance_type in ("diag", "spherical"):
            products = np.diagonal(second, axis1=1, axis2=2)
        of_fit = sums[start : start + SIZES[b]]
        start += SIZES[b]
        np.testing.assert_allclose(of_fit[:, 0], mass, rtol=1e-8)
        np.testing.assert_allclose(of_fit[:, 1:4], first, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(of_fit[:, 4:], products, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(log_prob[b], naive_log_prob, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(fit.log_prob, naive_log_prob, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.5])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_no_iteration_lowers_the_objective(covariance_type, shrinkage):
    z = incomplete(share=0.4)
    objective = [
        [fit.objective for fit in fits(z, covariance_type, number, shrinkage=shrinkage)]
        for number in range(0, 24, 2)
    ]
    assert (np.diff(objective, axis=0) > -1e-10).all()
    assert (objective[-1] > np.add(objective[0], 1e-3)).all()


@pytest.mark.parametrize("shrinkage", [0.0, 0.5])
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_with_nothing_missing_it_is_em_as_it_is(covariance_type, shrinkage):
    z = complete()
    expected = fits(z, covariance_type, 6, fit_many, shrinkage=shrinkage)
    for found, one in zip(fits(z, covariance_type, 6, shrinkage=shrinkage), expected, strict=True):
        for part, other in zip(found[:3], one[:3], strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found.log_prob, one.log_prob, rtol=1e-7)


def test_with_nothing_missing_it_is_scikit_learns():
    z = complete()
    points, structure = IncompletePoints(z, np.ones([1, len(z)])), STRUCTURES["full"]
    start = Points.about(z, points.weight, structure.features, center=points.center)
    is_high = z[:, 0] > 22
    sums = np.stack([structure.features(start.z[rows]).sum(0) for rows in (is_high, ~is_high)])
    settings = make_settings(structure, points, [0.0], [0.0], 1e-9)
    settings_of_em = {"num_iterations": 300, "tolerance": 1e-13, "expectation": e_step}
    (found,) = em.fit(points, [2], sums, settings, **settings_of_em)
    means = [z[is_high].mean(axis=0), z[~is_high].mean(axis=0)]
    oracle = GaussianMixture(2, means_init=means, tol=1e-13, max_iter=500, reg_covar=0).fit(z)
    np.testing.assert_allclose(found.loc + points.center, oracle.means_, rtol=1e-4)
    np.testing.assert_allclose(found.covariance, oracle.covariances_, rtol=1e-3, atol=1e-5)


def test_one_gaussian_with_a_monotone_pattern_has_a_closed_form():
    # Anderson 1957: y is missing in the last rows; regress y on x in the others.
    rng = np.random.default_rng(3)
    x, n = rng.normal(size=60), 40
    y = 1.0 + 2.0 * x + 0.5 * rng.normal(size=60)
    z = np.stack([x, np.where(np.arange(60) < n, y, np.nan)], axis=1)
    (fit,) = fit_many_incomplete(
        z,
        np.ones([1, 60]),
        [1],
        "full",
        prior_points=[0],
        prior_scale=[0],
        covariance_floor=1e-9,
        seeds=[(0,)],
        num_iterations=500,
        tolerance=1e-14,
    )
    slope, intercept = np.polyfit(x[:n], y[:n], 1)
    rest = np.mean(np.square(y[:n] - intercept - slope * x[:n]))
    np.testing.assert_allclose(fit.loc[0], [x.mean(), intercept + slope * x.mean()], rtol=1e-5)
    expected = [[x.var(), slope * x.var()], [slope * x.var(), rest + slope**2 * x.var()]]
    np.testing.assert_allclose(fit.covariance[0], expected, rtol=1e-4)


def test_values_missing_at_random_leave_no_bias_where_complete_cases_do():
    # y is missing where x is high: its mean over complete rows is far too low.
    rng = np.random.default_rng(4)
    x = rng.normal(size=2000)
    y = x + 0.3 * rng.normal(size=2000)
    z = np.stack([x, np.where(x > 0.3, np.nan, y)], axis=1)
    fit = fit_candidate(z, MixtureCandidate("full", 1), seed=0, n_init=1)
    assert abs(np.nanmean(z[:, 1])) > 0.4
    assert abs(fit.loc[0, 1] - y.mean()) < 0.05


def test_the_choice_finds_the_clusters_of_an_incomplete_table():
    z = incomplete(share=0.2, num_points=120)
    best, *others = choose_mixture(z, [1, 2, 3], covariance_types=["tied", "diag"], seed=0)
    assert (best.covariance_type, best.num_components) == ("tied", 2)
    assert all(np.isfinite(c.held_out) and c.held_out <= best.held_out for c in others)


def test_a_column_without_outliers_is_not_floored_by_them():
    z = incomplete()
    z[5, 1] = 1e8
    points = IncompletePoints(z, np.ones([1, len(z)]))
    assert points.variance[0, 1] > 1e12 > 1e3 > points.variance_without_outliers[0, 1]


def table_mixture(covariance_type="full"):
    z = incomplete()
    fit = fit_candidate(z, MixtureCandidate(covariance_type, 2), seed=0, n_init=1)
    return TableMixture.of(fit, covariance_type), fit


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_the_density_of_observed_entries_is_that_of_the_marginal(covariance_type):
    mixture, parameters = table_mixture(covariance_type)
    z = incomplete()[:12]
    for row, found in zip(z, mixture.log_prob(z), strict=True):
        known = np.flatnonzero(~np.isnan(row)).tolist()
        expected = 0.0
        if known:
            marginal = mixtures.marginal_parameters(parameters, covariance_type, known)
            expected = mixtures.as_mixture(marginal, covariance_type).log_prob(row[known])
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


def test_imputations_follow_the_conditional():
    mixture, parameters = table_mixture()
    z = np.array([[21.0, np.nan, np.nan], [np.nan, 22.0, 23.0], [20.0, 21.0, 20.0]])
    imputations = mixture.imputations(z)
    drawn = imputations.draw(20_000, np.random.default_rng(0))
    assert not np.isnan(drawn).any()
    for n, known in ((0, [0]), (1, [1, 2]), (2, [0, 1, 2])):
        assert (drawn[:, n, known] == z[n, known]).all()
        if n == 2:
            continue
        others = [c for c in range(3) if c not in known]
        given = mixtures.conditional_mixture(parameters, "full", known, z[n, known])
        values = drawn[:, n, others]
        error = values.std(axis=0) / np.sqrt(len(values))
        assert (np.abs(values.mean(axis=0) - given.mean()) < 5 * error).all()
        np.testing.assert_allclose(np.cov(values.T), np.squeeze(given.covariance()), rtol=0.05)
        np.testing.assert_allclose(imputations.mean()[n, others], given.mean(), rtol=1e-7)
        np.testing.assert_allclose(
            imputations.log_prob(drawn[:5])[:, n], given.log_prob(values[:5]), rtol=1e-6
        )


def test_a_table_is_completed_where_it_has_holes_alone():
    z = incomplete()
    completed = complete_at_random(z, np.random.default_rng(0))
    assert np.isfinite(completed).all()
    assert (completed == z)[~np.isnan(z)].all()


def test_a_proposal_with_wide_parts_is_a_mixture_of_both():
    mixture, _ = table_mixture()
    z = complete()[:5]
    wide = TableMixture(mixture.probs, mixture.loc, 4.0 * mixture.covariance)
    expected = np.log(0.9 * np.exp(mixture.log_prob(z)) + 0.1 * np.exp(wide.log_prob(z)))
    np.testing.assert_allclose(mixture.with_wide_parts().log_prob(z), expected, rtol=1e-9)


def test_chains_follow_a_density_that_is_not_their_proposals():
    # p(u | 0) is normal about 1 with deviation 0.5; proposals are about 0 with deviation 1.
    proposal = TableMixture(np.ones(1), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    target = TableMixture(np.ones(1), np.array([[0.0, 1.0]]), np.diag([1.0, 0.25])[np.newaxis])
    y = np.array([[0.0, np.nan], [np.nan, 1.0]])
    chains = ImputationChains(y, proposal, 1000, np.random.default_rng(0))
    for _ in range(12):
        found = chains.refresh(target.log_prob)
    assert (chains.state[:, 0, 0] == 0.0).all() and (chains.state[:, 1, 1] == 1.0).all()
    missing = chains.state[:, [0, 1], [1, 0]]
    error = np.array([0.5, 1.0]) / np.sqrt(1000)
    assert (np.abs(missing.mean(axis=0) - [1.0, 0.0]) < 5 * error).all()
    np.testing.assert_allclose(missing.std(axis=0), [0.5, 1.0], rtol=0.1)
    assert 1.0 < found.effective_sample_size < 5.0
    assert 0.1 < found.acceptance < 0.7


def test_chains_leave_where_a_density_is_not_finite_and_do_not_return():
    proposal = TableMixture(np.ones(1), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    chains = ImputationChains(np.array([[0.0, np.nan]]), proposal, 50, np.random.default_rng(0))

    def log_prob(y):
        return np.where(y[:, 1] > 0, np.nan, -0.5 * np.square(y[:, 1]))

    for _ in range(10):
        chains.refresh(log_prob)
    assert (chains.state[:, 0, 1] <= 0).all()


def bent_table(num_rows=300):
    """A parabola: the second column follows from the first, a mixture needs many components."""
    rng = np.random.default_rng(6)
    first = rng.normal(size=num_rows)
    x = np.stack([5.0 + 2.0 * first, np.square(first) + 0.2 * rng.normal(size=num_rows)], axis=1)
    x[rng.uniform(size=x.shape) < 0.2] = np.nan
    return x


@pytest.fixture(scope="module")
def bent_fit():
    settings = {"num_components": [1], "covariance_types": ["full"], "num_imputations": 2}
    small = {"num_couplings": 2, "hidden_units": (8,), "steps": 120, "learning_rate": 3e-2}
    return fit_with_missing(bent_table(), seed=0, **settings, **small)


def test_a_flow_is_kept_where_it_is_better(bent_fit):
    assert bent_fit.keeps_flow
    assert bent_fit.gain.estimate > 0.1
    assert len(bent_fit.history["loss"]) == len(bent_fit.history["val_loss"]) > 5
    assert bent_fit.history["val_loss"][0] > min(bent_fit.history["val_loss"]) + 0.1
    assert len(bent_fit.refreshes) == len(bent_fit.history["loss"])
    assert all(refresh.effective_sample_size > 1.5 for refresh in bent_fit.refreshes)


def test_imputations_of_the_flow_follow_the_parabola(bent_fit):
    x = np.array([[5.0, np.nan], [8.0, np.nan], [1.0, np.nan]])
    drawn = impute(bent_fit.model.flow, x, 300, seed=0)[:, :, 1]
    assert abs(np.median(drawn[:, 0])) < 0.5
    assert (np.median(drawn[:, 1:], axis=0) > 1.0).all()


def test_the_same_seed_gives_the_same_fit():
    settings = {"num_components": [2], "covariance_types": ["diag"], "steps": 10, "seed": 3}
    settings |= {"num_couplings": 1, "hidden_units": (4,)}
    first, second = (fit_with_missing(bent_table(200), **settings) for _ in range(2))
    assert first.history == second.history and first.gain == second.gain


def test_without_steps_the_density_is_the_exact_mixture():
    x = incomplete(num_points=100)
    x[:, 1] *= 1e3
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    fit = fit_with_missing(table, num_components=[2], covariance_types=["full"], steps=0, seed=0)
    assert not fit.keeps_flow and fit.history == {"loss": [], "val_loss": []}
    found = observed_log_prob(fit.model.flow, table, seed=0).estimate.sum()
    by_itself = fit_candidate(x, fit.mixture, seed=1)
    expected = TableMixture.of(by_itself, "full").log_prob(x).sum()
    np.testing.assert_allclose(found, expected, rtol=5e-3)  # another start, and float32
    assert columns.known_columns(fit.model.flow).points == ("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "arguments", "error", "said"),
    [
        (lambda x: x[:10], {}, ValueError, "at least 20 rows"),
        (lambda x: np.where([True, False, False], np.nan, x), {}, ValueError, "column 0"),
        (lambda x: np.where([True, False, False], 1.0, x), {}, ValueError, "column 0"),
        (lambda x: np.where(x > 24, np.inf, x), {}, ValueError, "NaN where an entry is missing"),
        (lambda x: x[:, 0], {}, ValueError, "shape"),
        (lambda x: x, {"num_imputations": 0}, ValueError, "num_imputations"),
        (lambda x: x, {"steps": -1}, ValueError, "steps"),
        (lambda x: x, {"stepz": 1}, TypeError, "stepz"),
    ],
)
def test_arguments_are_checked(change, arguments, error, said):
    with pytest.raises(error, match=said):
        fit_with_missing(change(incomplete()), seed=0, **arguments)


def test_complete_rows_are_likely_though_few_were_seen_whole():
    # Eight columns of rank three but for a little noise: few rows show all of a narrow direction.
    rng = np.random.default_rng(8)
    x = rng.normal(size=[200, 3]) @ rng.normal(size=[3, 8]) + 0.05 * rng.normal(size=[200, 8])
    train, test = x[:120].copy(), x[120:]
    train[rng.uniform(size=train.shape) < 0.3] = np.nan
    fit = fit_with_missing(train, num_components=[1, 2], covariance_types=["full"], steps=0, seed=0)
    assert fit.mixture.shrinkage > 0
    loss = -observed_log_prob(fit.model.flow, test, seed=0).estimate
    assert loss.mean() - np.median(loss) < 0.3 * np.abs(np.median(loss)) + 1.0
