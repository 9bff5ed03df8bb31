"""Log-probabilities of tables with columns of all kinds, against scipy and sums over all values."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import integrate, stats
from support import perturb

from tfp_gmnvp import gaussian_mixture_flow
from tfp_gmnvp.density.columns import (
    Bounded,
    Category,
    Circular,
    ColumnKinds,
    Integer,
    Positive,
    Real,
)
from tfp_gmnvp.density.columns.cells import integrate as integrate_cells
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidate


class Mixture:
    """A Gaussian mixture of full covariances, by scipy."""

    def __init__(self, z, num_components):
        fitted = fit_candidate(z, MixtureCandidate("full", num_components), seed=0, n_init=2)
        self.probs, self.loc, self.covariance = (np.asarray(part) for part in fitted)

    def log_prob(self, z):
        parts = [
            np.log(p) + stats.multivariate_normal.logpdf(z, m, c).reshape(len(z))
            for p, m, c in zip(self.probs, self.loc, self.covariance, strict=True)
        ]
        return np.logaddexp.reduce(parts)

    def cdf(self, z):
        """The distribution function; of one column."""
        z = np.asarray(z)[:, np.newaxis]
        return stats.norm.cdf(z, self.loc[:, 0], np.sqrt(self.covariance[:, 0, 0])) @ self.probs

    def box(self, low, high):
        """The probability of a box in two dimensions."""
        total = 0.0
        for p, m, c in zip(self.probs, self.loc, self.covariance, strict=True):
            total += p * stats.multivariate_normal.cdf(high, m, c, lower_limit=low)
        return total

    def sample(self, size):
        rng = np.random.default_rng(1)
        component = rng.choice(len(self.probs), size, p=self.probs)
        roots = np.linalg.cholesky(self.covariance)
        noise = rng.normal(size=[size, self.loc.shape[1]])
        return self.loc[component] + np.einsum("nij,nj->ni", roots[component], noise)


def fitted(x, declared, num_components=2):
    kinds = ColumnKinds.of_table(x, declared)
    return kinds, Mixture(kinds.encode(x, seed=0), num_components)


COUNTS = np.random.default_rng(0).poisson(1.3, size=[300, 1]).astype(float)


@pytest.mark.parametrize(
    ("kind", "values", "edges"),
    [
        (Integer(inner=Real(), resolution=1), np.arange(-9, 15), lambda k, x: (x - 0.5, x + 0.5)),
        (
            Integer(low=0, resolution=1, inner=Positive(-0.5, "log")),
            np.arange(0, 60),
            lambda k, x: (np.log(x), np.log(x + 1)),
        ),
        (
            Integer(low=0, resolution=1, inner=Positive(-0.5, "softplus", 1.0)),
            np.arange(0, 30),
            lambda k, x: (np.log(np.expm1(x)), np.log(np.expm1(x + 1))),
        ),
        (
            Integer(low=0, high=9, resolution=1, inner=Bounded(-0.5, 9.5)),
            np.arange(0, 10),
            lambda k, x: (np.log(x / (10 - x)), np.log((x + 1) / (9 - x))),
        ),
        (
            Category(),
            np.unique(COUNTS),
            lambda k, x: (
                stats.norm.ppf(np.cumsum(k.probs) - k.probs),
                stats.norm.ppf(np.minimum(np.cumsum(k.probs), 1.0)),
            ),
        ),
    ],
    ids=["real", "log", "softplus", "bounded", "category"],
)
def test_probabilities_of_one_column_are_differences_of_the_distribution_function(
    kind, values, edges
):
    kinds, mixture = fitted(COUNTS, {0: kind})
    values = values.astype(float)
    log_prob, error = kinds.log_prob(mixture.log_prob, values[:, np.newaxis], num_draws=100)
    with np.errstate(divide="ignore"):
        low, high = edges(kinds.kinds[0], values)
    exact = mixture.cdf(high) - mixture.cdf(low)
    np.testing.assert_allclose(np.exp(log_prob), exact, atol=2e-4)
    assert abs(np.exp(log_prob).sum() - 1.0) < 1e-3
    likely = exact > 0.01
    distance = np.abs(log_prob[likely] - np.log(exact[likely]))
    assert (distance <= 3 * error[likely] + 1e-6).all()


def test_samples_have_the_probabilities_of_their_values():
    kinds, mixture = fitted(COUNTS, {0: Integer(low=0)})
    values, counts = np.unique(kinds.decode(mixture.sample(20_000)), return_counts=True)
    log_prob, _ = kinds.log_prob(mixture.log_prob, values[:, np.newaxis])
    expected = 20_000 * np.exp(log_prob)
    some = expected > 5
    chi2 = np.square(counts - expected)[some] / expected[some]
    assert chi2.sum() < stats.chi2.ppf(0.9999, some.sum())


def test_a_bound_at_zero_loses_no_probability_where_the_line_does():
    rng = np.random.default_rng(0)
    x = rng.poisson(0.4, size=[400, 1]).astype(float)
    grid = np.arange(0.0, 40.0)[:, np.newaxis]
    total = {}
    for name, kind in {"bound": Integer(low=0), "line": Integer(inner=Real())}.items():
        kinds, mixture = fitted(x, {0: kind}, num_components=1)
        total[name] = np.exp(kinds.log_prob(mixture.log_prob, grid)[0]).sum()
    assert abs(total["bound"] - 1) < 0.01 and total["line"] < 0.95


def test_the_chosen_kind_of_counts_is_the_bound():
    x = np.random.default_rng(0).poisson(0.4, size=[400, 1])
    (kind,) = ColumnKinds.of_table(x).kinds
    assert kind.low == 0.0 and kind.inner.kind == "positive"


def test_two_discrete_columns_have_the_probabilities_of_boxes():
    rng = np.random.default_rng(0)
    first = rng.normal(size=300)
    x = np.round(np.stack([2 * first, first + rng.normal(size=300)], axis=1))
    kinds, mixture = fitted(x, {0: Integer(inner=Real()), 1: Integer(inner=Real())})
    grid = np.array(list(itertools.product(np.arange(-9.0, 10.0), np.arange(-7.0, 8.0))))
    log_prob, error = kinds.log_prob(mixture.log_prob, grid, num_draws=256, seed=0)
    assert abs(np.exp(log_prob).sum() - 1.0) < 2e-3
    likely = np.flatnonzero(log_prob > np.log(1e-3))
    exact = np.log([mixture.box(grid[i] - 0.5, grid[i] + 0.5) for i in likely])
    distance = np.abs(log_prob[likely] - exact) / error[likely]
    assert np.mean(distance < 2.5) > 0.9 and distance.max() < 12.0  # t with 7 degrees of freedom
    assert error[likely].max() < 0.05


def test_independent_categories_have_their_frequencies_exactly():
    rng = np.random.default_rng(0)
    x = np.stack([rng.choice(list("aab"), 60), rng.choice(list("ccccd"), 60)], axis=1)
    kinds = ColumnKinds.of_table(x)
    log_prob, error = kinds.log_prob(lambda z: stats.norm.logpdf(z).sum(axis=1), x)
    shares = [{v: np.mean(c == v) for v in c} for c in x.T]
    expected = [shares[0][a] * shares[1][b] for a, b in x]
    np.testing.assert_allclose(np.exp(log_prob), expected, rtol=1e-9)
    assert error.max() < 1e-9


def test_categories_and_a_continuous_column_make_one_density():
    rng = np.random.default_rng(0)
    code = rng.integers(3, size=300)
    x = np.empty([300, 2], object)
    x[:, 0] = np.exp(rng.normal(code, 0.4))
    x[:, 1] = np.array(list("bca"))[code]
    kinds, mixture = fitted(x, {0: "positive"}, num_components=3)
    grid = np.exp(np.linspace(-5, 8, 801))
    total = 0.0
    for category in "abc":
        rows = np.empty([len(grid), 2], object)
        rows[:, 0], rows[:, 1] = grid, category
        log_prob, error = kinds.log_prob(mixture.log_prob, rows)
        total += integrate.simpson(np.exp(log_prob) * grid, x=np.log(grid))
        assert (error >= 0).all()
    assert abs(total - 1.0) < 2e-3


def test_noise_near_the_middle_of_cells_leaves_their_probabilities_as_they_are():
    x = np.array([["a"], ["b"], ["c"], ["a"]] * 3, object)
    values = np.array([["a"], ["b"], ["c"]], object)
    found, spread = [], []
    for concentration in (1.0, 5.0):
        kinds = ColumnKinds.of_table(x, {0: Category(concentration=concentration)})
        found.append(kinds.log_prob(lambda z: stats.norm.logpdf(z[:, 0], 0.3, 0.8), values)[0])
        spread.append(kinds.encode(np.repeat(values[1:2], 999, axis=0)).std())
    np.testing.assert_array_equal(*found)
    assert spread[1] < 0.7 * spread[0]


def test_a_log_normal_column_is_scipys_with_its_gradient():
    x = np.random.default_rng(0).lognormal(1.0, 0.5, size=[50, 1])
    kinds = ColumnKinds.of_table(x, {0: Positive(transform="log")})
    log_prob, error = kinds.log_prob(lambda z: stats.norm.logpdf(z[:, 0], 1.0, 0.5), x)
    np.testing.assert_allclose(log_prob, stats.lognorm.logpdf(x[:, 0], 0.5, scale=np.e))
    assert not error.any()
    normal = tfp.distributions.MultivariateNormalDiag(
        tf.constant([1.0], tf.float64), tf.constant([0.5], tf.float64)
    )
    flow = tfp.distributions.TransformedDistribution(normal, kinds.bijector(tf.float64))
    found, gradient = tfp.math.value_and_gradient(flow.log_prob, tf.constant(x))
    np.testing.assert_allclose(found, log_prob, rtol=1e-12)
    slope = -(1 + (np.log(x) - 1.0) / 0.25) / x
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


def test_a_bounded_column_is_the_beta_density_that_it_was_drawn_from():
    x = np.random.default_rng(0).beta(2.0, 5.0, size=[3000, 1])
    kinds, mixture = fitted(x, {0: (0, 1)})

    def density(value):
        return np.exp(kinds.log_prob(mixture.log_prob, [[value]])[0][0])

    assert abs(integrate.quad(density, 0, 1, limit=100)[0] - 1) < 1e-6
    grid = np.linspace(0, 1, 1002)[1:-1]
    found = kinds.log_prob(mixture.log_prob, grid[:, np.newaxis])[0]
    exact = stats.beta(2, 5)
    divergence = integrate.simpson(exact.pdf(grid) * (exact.logpdf(grid) - found), x=grid)
    assert 0 < divergence < 0.005


@pytest.mark.parametrize("concentration", [0.0, 3.0])
def test_a_circular_density_is_continuous_at_the_seam_and_integrates_to_one(concentration):
    rng = np.random.default_rng(0)
    angle = rng.vonmises(3.0, concentration, size=[800, 1]) if concentration else None
    angle = rng.uniform(-np.pi, np.pi, size=[800, 1]) if angle is None else angle
    kinds, mixture = fitted(angle, {0: "circular"}, num_components=2)
    (kind,) = kinds.kinds
    grid = kind.cut + np.linspace(0, 2 * np.pi, 1001)
    log_prob, error = kinds.log_prob(mixture.log_prob, grid[:, np.newaxis])
    assert abs(integrate.simpson(np.exp(log_prob), x=grid) - 1.0) < 1e-4 and not error.any()
    seam = kind.cut + np.array([[-1e-9], [1e-9], [2 * np.pi - 1e-9]])
    values = kinds.log_prob(mixture.log_prob, seam)[0]
    np.testing.assert_allclose(values, values[0], atol=1e-6)
    shifted = kinds.log_prob(mixture.log_prob, grid[:, np.newaxis] + 4 * np.pi)[0]
    np.testing.assert_allclose(shifted, log_prob, atol=1e-6)
    if concentration:
        exact = stats.vonmises.logpdf(grid, concentration, 3.0)
        assert np.abs(np.exp(log_prob) - np.exp(exact)).max() < 0.05
        distance = np.abs(np.mod(kind.cut - 3.0, 2 * np.pi) - np.pi)
        assert distance < 1.0  # the sparsest side


def test_a_flow_in_the_units_of_the_table_has_the_same_density_and_exact_gradients():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 24, size=60)
    x = np.stack([angle, np.exp(np.cos(angle)), rng.beta(2, 3, size=60)], axis=1)
    kinds = ColumnKinds.of_table(x, {0: ("circular", 24), 1: "positive", 2: (0, 1)})
    flow = gaussian_mixture_flow(
        3, 2, standardize=kinds.encode(x), num_couplings=2, dtype=tf.float64, seed=0
    )
    perturb(flow, scale=0.1)
    in_units = kinds.distribution(flow)
    points = tf.constant(x[:9])
    found, gradient = tfp.math.value_and_gradient(in_units.log_prob, points)
    expected = kinds.log_prob(lambda z: flow.log_prob(tf.constant(z)).numpy(), x[:9])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for j, step in enumerate(1e-6 * np.eye(3)):
        slope = (in_units.log_prob(points + step) - in_units.log_prob(points - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, j], slope, rtol=1e-4, atol=1e-5)
    samples = in_units.sample(500, seed=1).numpy()
    for column, other in zip(samples.T, kinds.decode(flow.sample(500, seed=2)).T, strict=True):
        assert stats.ks_2samp(column, other).pvalue > 1e-4
    assert ((samples[:, 0] >= 0) & (samples[:, 0] < 24)).all()


def test_missing_entries_leave_the_density_of_the_others():
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(0, 24, 60), rng.poisson(2, 60), rng.lognormal(size=60)], axis=1)
    kinds = ColumnKinds.of_table(x, {0: Circular(24.0), 1: "integer", 2: "positive"})

    def log_prob(z):
        return np.nansum(stats.norm.logpdf(z, [12.0, 1.0, 0.0], [4.0, 2.0, 1.0]), axis=1)

    holes = x[:7].copy()
    parts = []
    for j in range(3):
        some = np.full_like(holes, np.nan)
        some[:, j] = holes[:, j]
        parts.append(kinds.log_prob(log_prob, some)[0])
    np.testing.assert_allclose(kinds.log_prob(log_prob, holes)[0], sum(parts), atol=1e-6)
    nothing = np.full([1, 3], np.nan)
    assert kinds.log_prob(log_prob, nothing)[0][0] == pytest.approx(0.0, abs=1e-12)
    assert kinds.log_det(nothing).tolist() == [0.0]


def test_standard_errors_fall_with_the_number_of_draws():
    rng = np.random.default_rng(0)
    x = rng.poisson(3, size=[40, 3])
    kinds = ColumnKinds.of_table(x, dict.fromkeys(range(3), Integer(low=0)))
    errors = [
        kinds.log_prob(lambda z: stats.norm.logpdf(z, 2.0).sum(axis=1), x, num_draws=n)[1].mean()
        for n in (16, 256)
    ]
    assert errors[1] < errors[0] / 8


def test_integrals_of_smooth_functions_in_the_cube():
    def log_product(rows, u):
        return np.log(np.prod(1 + u, axis=-1)) + np.zeros([len(u), rows.stop - rows.start])

    for dimensions in (1, 2, 3):
        estimate, error = integrate_cells(log_product, 5, dimensions, num_draws=256, seed=0)
        np.testing.assert_allclose(estimate, dimensions * np.log(1.5), atol=2e-3)
        assert (error < 2e-3).all()


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda z: np.full(len(z), np.nan), "log-densities, got NaN"),
        (lambda z: np.zeros([len(z), 1]), "log-densities, got shape"),
    ],
)
def test_refuses_densities_that_are_none(log_prob, message):
    kinds = ColumnKinds.of_table([[1.0], [2.0]], {0: "real"})
    with pytest.raises(ValueError, match=message):
        kinds.log_prob(log_prob, [[1.0]])
    with pytest.raises(ValueError, match="`num_draws`"):
        kinds.log_prob(lambda z: z[:, 0], [[1.0]], num_draws=1)


def test_refuses_more_circular_columns_than_can_be_summed_over():
    x = np.random.default_rng(0).uniform(size=[9, 5])
    kinds = ColumnKinds.of_table(x, dict.fromkeys(range(5), "circular"))
    with pytest.raises(ValueError, match="at most 4 circular"):
        kinds.log_prob(lambda z: z[:, 0], x)
