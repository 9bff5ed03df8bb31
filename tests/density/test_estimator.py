"""The default fit: a plain mixture, or a flow that is better than it; and the mixture's choice."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn.mixture import GaussianMixture

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density import mixture_candidates, mixture_choice

SMALL = {"num_components": [1], "covariance_types": ["diag"], "num_couplings": 2}


def gaussian(num_points, seed=0):
    x = np.random.default_rng(seed).normal(size=[num_points, 2])
    return x * [3.0, 0.1] + [50.0, -1.0]


def banana(num_points, seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=num_points)
    return np.stack([first, first**2 + 0.1 * rng.normal(size=num_points)], axis=-1)


def closed_form(x):
    """The diagonal Gaussian of the highest likelihood."""
    return stats.norm(x.mean(axis=0), x.std(axis=0)).logpdf(x).sum(axis=-1)


@pytest.mark.slow
def test_where_a_mixture_is_enough_the_density_is_the_mixture_of_all_rows():
    x = gaussian(60)
    fit = gmnvp.fit_density(x, steps=4, hidden_units=(4,), seed=0, **SMALL)
    assert not fit.keeps_flow
    assert fit.mixture[:3] == ("diag", 1, 0.0)
    flow = fit.model.distribution
    np.testing.assert_allclose(flow.log_prob(x.astype("f4")), closed_form(x), atol=2e-3)
    z = flow.bijector.inverse(x.astype("f4"))
    np.testing.assert_allclose(z, (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("num_points", [60, 13_000])
def test_a_training_that_diverges_leaves_the_mixture(num_points):
    x = gaussian(num_points)
    fit = gmnvp.fit_density(x, steps=30, learning_rate=1e20, hidden_units=(4,), seed=0, **SMALL)
    assert not fit.keeps_flow
    log_prob = fit.model.distribution.log_prob(x.astype("f4"))
    np.testing.assert_allclose(log_prob, closed_form(x), atol=2e-3)


@pytest.mark.slow
def test_a_flow_that_is_better_on_validation_rows_is_kept_and_better_on_fresh_ones():
    x, fresh = banana(500, seed=0), banana(2000, seed=1)
    fits = [
        gmnvp.fit_density(x, steps=150, learning_rate=1e-2, hidden_units=(8,), seed=3, **SMALL)
        for _ in range(2)
    ]
    fit, again = fits
    assert fit.keeps_flow
    assert fit.gain.estimate > 2 * fit.gain.standard_error > 0
    log_prob = fit.model.distribution.log_prob(fresh.astype("f4")).numpy()
    plain = GaussianMixture(1, covariance_type="full").fit(x).score_samples(fresh)
    gain = log_prob - plain
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain))
    np.testing.assert_array_equal(log_prob, again.model.distribution.log_prob(fresh.astype("f4")))
    assert fit.gain == again.gain
    assert min(fit.history["val_loss"]) < fit.history["val_loss"][0]


@pytest.mark.slow
def test_many_rows_are_learnt_between_matrices_and_looked_at_twenty_times():
    x, fresh = banana(60_000, seed=0), banana(2000, seed=1)
    fit = gmnvp.fit_density(x, steps=60, hidden_units=(16,), seed=0, **SMALL)
    flow = fit.model.distribution
    assert any(isinstance(layer, gmnvp.LULinear) for layer in flow.bijector.bijectors)
    assert len(fit.history["val_loss"]) == 20
    assert fit.keeps_flow
    plain = GaussianMixture(1).fit(x).score_samples(fresh)
    gain = flow.log_prob(fresh.astype("f4")).numpy() - plain
    assert gain.mean() > 10 * gain.std() / np.sqrt(len(gain)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("num_divisions", [1, 2])
def test_scores_are_those_of_cross_validation_in_scikit_learn(num_divisions):
    rng = np.random.default_rng(0)
    z = rng.normal(size=[90, 2]) * [0.1, 0.4] + np.repeat([[-1, 0], [1, 0], [0, 9]], 30, axis=0)
    best, *others = mixture_choice.choose_mixture(
        z,
        [1, 3],
        covariance_types=["tied", "diag"],
        num_folds=3,
        num_divisions=num_divisions,
        seed=0,
    )
    assert best.num_components == 3
    rng = np.random.default_rng(0)
    folds = [fold for _ in range(num_divisions) for fold in np.array_split(rng.permutation(90), 3)]
    for candidate in (best, *others):
        oracle = GaussianMixture(
            candidate.num_components, covariance_type=candidate.covariance_type, n_init=5,
            random_state=0, reg_covar=0.0, tol=1e-8, max_iter=500,
        )  # fmt: skip
        scores = [oracle.fit(np.delete(z, fold, axis=0)).score(z[fold]) for fold in folds]
        np.testing.assert_allclose(candidate.held_out, np.mean(scores), rtol=1e-3)


def test_only_the_six_best_are_scored_on_further_divisions():
    z = np.random.default_rng(0).normal(size=[64, 2])
    settings = {"covariance_types": ["full", "diag", "tied", "spherical"], "shrinkages": [0.0]}
    settings.update(num_folds=2, seed=0)
    once = mixture_choice.choose_mixture(z, [1, 2], num_divisions=1, **settings)
    twice = mixture_choice.choose_mixture(z, [1, 2], num_divisions=2, **settings)
    assert len(once) == 8
    assert twice[6:] == once[6:]
    kinds = {candidate[:3]: candidate.held_out for candidate in once[:6]}
    assert {candidate[:3] for candidate in twice[:6]} == set(kinds)
    assert all(candidate.held_out != kinds[candidate[:3]] for candidate in twice[:6])
    scores = [candidate.held_out for candidate in twice[:6]]
    assert scores == sorted(scores, reverse=True)


def test_shrinkage_is_worth_d_plus_two_points():
    z = np.random.default_rng(0).normal(size=[20, 3]) @ np.diag([1.0, 2.0, 3.0])
    candidate = mixture_candidates.MixtureCandidate("full", 1, shrinkage=0.5)
    fitted = mixture_candidates.fit_candidate(z, candidate, seed=0, n_init=1)
    deviation = z - z.mean(axis=0)
    expected = (deviation.T @ deviation + 5 * 0.5 * np.diag(z.var(axis=0))) / (20 + 5)
    np.testing.assert_allclose(fitted.covariance[0], expected, rtol=1e-10)


def test_candidates_that_few_rows_cannot_bear_are_left_out():
    z = np.random.default_rng(0).normal(size=[20, 2])
    found = mixture_choice.choose_mixture(z, [1, 2, 3], covariance_types=["diag"], seed=0)
    assert sorted(candidate.num_components for candidate in found) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (np.zeros([19, 2]), {}, r"`x` must have shape \[N, D\], N >= 20"),
        (np.zeros([30]), {}, r"`x` must have shape \[N, D\], N >= 20, got \[30\]"),
        (np.full([30, 2], np.nan), {}, "`x` must hold finite numbers.*: `FlowMixture` and"),
        (np.zeros([30, 2]), {"validation_fraction": 1.0}, r"`validation_fraction` .* got 1\.0"),
        (np.zeros([30, 2]), {"steps": 0}, "`steps` must be a whole number >= 1, got 0"),
        (gaussian(30), {"num_components": [9]}, "`num_components`"),
        (gaussian(30), {"num_components": []}, "`num_components`"),
    ],
)
def test_errors(x, arguments, message):
    with pytest.raises(ValueError, match=message):
        gmnvp.fit_density(x, seed=0, **arguments)


@pytest.mark.slow
def test_constant_columns():
    x = np.concatenate([gaussian(40), np.ones([40, 1])], axis=1)
    with pytest.warns(gmnvp.DegenerateDataWarning, match="column 2 is constant"):
        fit = gmnvp.fit_density(x, steps=2, seed=0, **SMALL)
    assert tf.reduce_all(tf.math.is_finite(fit.model.distribution.log_prob(x.astype("f4"))))
