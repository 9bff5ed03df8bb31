"""Toy densities against closed forms and scipy; loaders against the faults that tables have."""

import functools

import numpy as np
import pytest
from scipy import integrate, special, stats
from sklearn import mixture

from tfp_gmnvp import datasets

NAMES = sorted(datasets.TOY_DENSITIES)


STEP = 0.05


@functools.cache
def wide_density_and_grid_masses(name):
    """A density that is smooth at the grid's step, and its mass in each cell of [-5, 5]^2."""
    has_noise = name not in ("checkerboard", "pinwheel")
    density = datasets.by_name(name, **({"noise": 0.2} if has_noise else {}))
    axis = np.arange(-5.0, 5.0, STEP) + STEP / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    masses = np.exp(density.log_prob(grid)) * STEP**2
    return density, masses.reshape(len(axis), len(axis))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_density_integrates_to_one(name):
    _, masses = wide_density_and_grid_masses(name)
    np.testing.assert_allclose(masses.sum(), 1.0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_density(name):
    """The mean of -log p over samples is the entropy, within four standard errors."""
    density = datasets.by_name(name)
    points = density.sample(2000, seed=5)
    surprise = -density.log_prob(points)
    error = 4 * surprise.std() / np.sqrt(len(points)) + 1e-9
    assert abs(surprise.mean() - density.entropy()) < error


@pytest.mark.parametrize("name", NAMES)
def test_samples_fill_the_cells_as_the_density_says(name):
    density, masses = wide_density_and_grid_masses(name)
    expected = masses.reshape(10, 20, 10, 20).sum(axis=(1, 3)).ravel()
    points = density.sample(20_000, seed=2)
    counts = np.histogramdd(points, bins=[np.linspace(-5, 5, 11)] * 2)[0].ravel()
    full = expected * 20_000 > 5
    statistic = np.sum((counts - 20_000 * expected)[full] ** 2 / (20_000 * expected[full]))
    assert stats.chi2.sf(statistic, df=full.sum() - 1) > 1e-3
    assert counts[full].sum() > 0.99 * 20_000


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_labels(name):
    density = datasets.by_name(name)
    points, labels = density.sample_with_labels(300, seed=3)
    assert points.dtype == np.float64
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(points, density.sample(300, seed=3))
    assert not np.array_equal(points, density.sample(300, seed=4))
    assert set(labels) == set(range(len(density.components)))
    by_component = np.stack([c.log_prob(points) for c in density.components], axis=-1)
    assert np.mean(by_component.argmax(axis=-1) == labels) > 0.97


def test_circles_against_bessel():
    """A noisy ring has a Bessel function for a density."""
    radius, noise = 0.8, 0.1
    density = datasets.circles(radii=(radius,), noise=noise)
    r = np.linspace(0.0, 3.0, 50)
    angle = np.linspace(0.0, 6.0, 50)
    points = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)
    expected = (
        np.log(special.ive(0, r * radius / noise**2))
        - (r - radius) ** 2 / (2 * noise**2)
        - np.log(2 * np.pi * noise**2)
    )
    np.testing.assert_allclose(density.log_prob(points), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("point", [(0.0, 1.0), (1.1, -0.1), (-1.0, 0.1), (2.0, 0.5), (0.5, 0.25)])
def test_two_moons_against_adaptive_quadrature(point):
    noise = 0.2

    def integrand(t):
        arcs = ((np.cos(t), np.sin(t)), (1 - np.cos(t), 0.5 - np.sin(t)))
        return sum(stats.norm(arc, noise).pdf(point).prod() for arc in arcs) / (2 * np.pi)

    expected = np.log(integrate.quad(integrand, 0, np.pi, epsabs=0, epsrel=1e-9, limit=500)[0])
    density = datasets.two_moons(noise=noise)
    np.testing.assert_allclose(density.log_prob([point]), [expected], rtol=0, atol=1e-6)


def test_spirals_against_adaptive_quadrature():
    noise, point = 0.2, np.array([-1.2, 0.3])

    def integrand(u):
        t = 3 * np.pi * np.sqrt(u)
        arm = t / 3 * np.array([np.cos(t), np.sin(t)])
        return sum(stats.norm(sign * arm, noise).pdf(point).prod() for sign in (1, -1)) / 2

    expected = np.log(integrate.quad(integrand, 0, 1, epsabs=0, epsrel=1e-9, limit=500)[0])
    actual = datasets.spirals(noise=noise).log_prob(point[None])
    np.testing.assert_allclose(actual, [expected], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_two_moons_entropy_against_its_expansion():
    """Log arc length, plus the noise's entropy, plus what the two rounded ends of an arc add."""
    noise = 0.05
    end, _ = integrate.quad(lambda t: -stats.norm.cdf(t) * stats.norm.logcdf(t), -12, 12)
    across = 0.5 * np.log(2 * np.pi * np.e * noise**2)
    expected = np.log(2 * np.pi) + across + 2 * end * noise / np.pi
    np.testing.assert_allclose(datasets.two_moons(noise).entropy(), expected, atol=1e-3)


def test_eight_gaussians_against_sklearn():
    angles = 2 * np.pi * np.arange(8) / 8
    model = mixture.GaussianMixture(8, covariance_type="spherical")
    model.weights_ = np.full(8, 1 / 8)
    model.means_ = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    model.covariances_ = np.full(8, 0.2**2)
    model.precisions_cholesky_ = np.full(8, 1 / 0.2)
    points = np.random.default_rng(0).uniform(-3, 3, (100, 2))
    actual = datasets.eight_gaussians().log_prob(points)
    np.testing.assert_allclose(actual, model.score_samples(points), rtol=1e-10)


def test_checkerboard_against_indexing_by_floor():
    points = np.random.default_rng(0).uniform(-3, 3, (500, 2))
    cells = np.floor(points)
    filled = (cells.sum(axis=-1) % 2 == 0) & (np.abs(points) < 2).all(axis=-1)
    expected = np.where(filled, -np.log(8), -np.inf)
    np.testing.assert_allclose(datasets.checkerboard().log_prob(points), expected)


def test_pinwheel_rotation_has_unit_jacobian():
    """One arm's density, against the change of variables with a numerical Jacobian."""
    arm = datasets.pinwheel(num_arms=1).components[0]

    def undo(point):
        angle = -0.25 * np.exp(np.hypot(*point))
        c, s = np.cos(angle), np.sin(angle)
        return np.array([c * point[0] - s * point[1], s * point[0] + c * point[1]])

    base = stats.multivariate_normal([1.0, 0.0], np.diag([0.3, 0.1]) ** 2)
    for point in arm.sample(20, np.random.default_rng(0)):
        steps = 1e-6 * np.eye(2)
        jacobian = np.stack([(undo(point + h) - undo(point - h)) / 2e-6 for h in steps], axis=-1)
        expected = base.logpdf(undo(point)) + np.linalg.slogdet(jacobian)[1]
        np.testing.assert_allclose(arm.log_prob(point[None]), [expected], atol=1e-6)


def test_far_points_have_finite_log_prob():
    for name in ("two_moons", "circles", "spirals", "eight_gaussians", "pinwheel"):
        assert np.isfinite(datasets.by_name(name).log_prob([[30.0, -40.0]])).all()


def test_toy_errors():
    with pytest.raises(ValueError, match="did you mean 'two_moons'"):
        datasets.by_name("twomoon")
    with pytest.raises(ValueError, match="noise must be finite and positive, got 0"):
        datasets.two_moons(noise=0)
    with pytest.raises(ValueError, match=r"points must have shape \[N, 2\], got \[3\]"):
        datasets.two_moons().log_prob(np.zeros(3))
    with pytest.raises(ValueError, match="num_samples must be at least 1"):
        datasets.two_moons().sample(0, seed=0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_load_csv(tmp_path, delimiter, header):
    file = tmp_path / "t.csv"
    lines = ["a,b,c"] * header + ["1,2.5,-3", "", "4e2, 5 ,6"]
    file.write_text("\ufeff" + "\n".join(lines).replace(",", delimiter) + "\n", encoding="utf-8")
    table = datasets.load_csv(file)
    np.testing.assert_array_equal(table.values, [[1, 2.5, -3], [400, 5, 6]])
    assert table.values.dtype == np.float64
    assert table.columns == (("a", "b", "c") if header else ("column_1", "column_2", "column_3"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 rows of data; at least 2"),
        ("a,b\n", "has 0 rows of data; at least 2"),
        ("a,b\n1,2\n3,x\n", r"row 2 of data, column 'b': 'x' is not a finite number\. For any"),
        ("1,2\n\n3,\n", "row 2 of data, column 'column_2': '' is not a finite number"),
        ("a,b\n1,2\nNA,3\n", "row 2 of data, column 'a': 'NA' is not a finite number"),
        ("a,b\n1,2\n-inf,4\n", "row 2 of data, column 'a': '-inf' is not a finite number"),
        ("a;b\n1,5;2\n3;4\n", "row 1 of data, column 'a': '1,5' is not a finite number"),
        ("a,b\n1,2\n3,4,5\n", "has rows of different lengths.*pandas"),
        ("a,b,c\n1,2\n3,4\n", "has 3 names for 2 columns"),
    ],
)
def test_load_csv_names_the_fault(tmp_path, text, message):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.load_csv(file)
    assert str(file) in str(caught.value)


def test_load_csv_other_faults(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        datasets.load_csv(tmp_path / "none.csv")
    file = tmp_path / "t.csv"
    file.write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        datasets.load_csv(file)
    file.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(ValueError, match="2 rows of data; at least 3"):
        datasets.load_csv(file, min_rows=3)


def test_train_test_split():
    values = np.arange(20.0).reshape(10, 2)
    train, test = datasets.train_test_split(values, test_fraction=0.25, seed=1)
    assert train.shape == (8, 2)
    assert test.shape == (2, 2)
    both = np.concatenate([train, test])
    np.testing.assert_array_equal(both[both[:, 0].argsort()], values)
    again = datasets.train_test_split(values, test_fraction=0.25, seed=1)
    np.testing.assert_array_equal(test, again[1])
    other = datasets.train_test_split(values, test_fraction=0.25, seed=2)
    assert not np.array_equal(train, other[0])
    assert not np.array_equal(both, values)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 0.01])
def test_train_test_split_errors(fraction):
    with pytest.raises(ValueError, match="test_fraction"):
        datasets.train_test_split(np.zeros([10, 2]), test_fraction=fraction, seed=0)
