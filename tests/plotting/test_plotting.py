"""Figures hold what they claim to: colours, ellipses, densities and borders against numbers."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from scipy import stats
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_gmnvp import plotting
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow

PROBS = np.array([0.2, 0.5, 0.3])
LOC = np.array([[-2.0, 0.0], [1.0, 1.5], [1.5, -1.5]])
SCALE_TRIL = np.array(
    [[[0.5, 0.0], [0.2, 0.3]], [[0.4, 0.0], [0.0, 0.4]], [[0.3, 0.0], [-0.5, 0.6]]]
)
MATRIX = np.array([[1.2, 0.0], [0.3, 0.9]])
SHIFT = np.array([0.5, -0.25])
BLUE, VERMILLION, GREEN = (to_rgb(c) for c in ("#0072B2", "#D55E00", "#009E73"))


def affine_flow(dtype=np.float64):
    prior = tfd.MixtureSameFamily(
        tfd.Categorical(probs=PROBS.astype(dtype)),
        tfd.MultivariateNormalTriL(LOC.astype(dtype), SCALE_TRIL.astype(dtype)),
    )
    affine = [tfb.Shift(SHIFT.astype(dtype)), tfb.ScaleMatvecTriL(MATRIX.astype(dtype))]
    return tfd.TransformedDistribution(prior, tfb.Chain(affine))


def wide_flow(size):
    loc = np.stack([-np.ones(size), np.ones(size)])
    prior = tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.array([0.4, 0.6])),
        tfd.MultivariateNormalDiag(loc, np.full([1, size], 0.7)),
    )
    return tfd.TransformedDistribution(prior, tfb.Shift(np.arange(float(size))))


def latents_of(x):
    return np.linalg.solve(MATRIX, (x - SHIFT).T).T


def expected_joint(x):
    """`pi_k N(z | mu_k, Sigma_k)` by scipy, `[N, K]`."""
    z = latents_of(x)
    parts = [
        p * stats.multivariate_normal(m, s @ s.T).pdf(z)
        for p, m, s in zip(PROBS, LOC, SCALE_TRIL, strict=True)
    ]
    return np.stack(parts, axis=-1)


def expected_colours(x):
    joint = expected_joint(x)
    return joint / joint.sum(axis=-1, keepdims=True) @ np.array([BLUE, VERMILLION, GREEN])


@pytest.fixture(name="x")
def data():
    return np.random.default_rng(0).uniform(-3.0, 3.0, (60, 2))


def axes():
    return Figure().add_subplot()


def scatter(ax, label):
    return next(c for c in ax.collections if c.get_label() == label)


def test_palette():
    for k in (1, 3, 8, 9, 20):
        assert len(np.unique(plotting.component_colours(k).round(3), axis=0)) == k
    np.testing.assert_allclose(plotting.component_colours(3), [BLUE, VERMILLION, GREEN])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        plotting.component_colours(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_responsibility_colours(x, dtype):
    ax = plotting.plot_responsibilities(affine_flow(dtype), x)
    points = scatter(ax, "data")
    np.testing.assert_allclose(points.get_offsets(), x, rtol=1e-6)
    actual = points.get_facecolors()[:, :3]
    np.testing.assert_allclose(actual, expected_colours(x), atol=1e-3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x₁", "x₂")
    assert ax.get_aspect() == 1.0


def test_large_data_are_evaluated_in_batches():
    x = np.random.default_rng(1).uniform(-3.0, 3.0, (20_001, 2))
    flow = affine_flow()
    sizes = []
    inverse = flow.bijector.inverse
    flow.bijector.inverse = lambda y: sizes.append(len(y)) or inverse(y)
    ax = plotting.plot_responsibilities(flow, x)
    assert max(sizes) == 10_000
    actual = scatter(ax, "data").get_facecolors()[:, :3]
    np.testing.assert_allclose(actual, expected_colours(x), atol=1e-6)


def test_latents_and_ellipses(x):
    ax = plotting.plot_latents(affine_flow(), x)
    points = scatter(ax, "latents")
    np.testing.assert_allclose(points.get_offsets(), latents_of(x))
    np.testing.assert_allclose(points.get_facecolors()[:, :3], expected_colours(x), atol=1e-6)
    ellipses = [p for p in ax.patches if isinstance(p, Ellipse)]
    assert len(ellipses) == 6
    for i, ellipse in enumerate(ellipses):
        k, radius = i // 2, i % 2 + 1
        covariance = SCALE_TRIL[k] @ SCALE_TRIL[k].T
        eigenvalues, _ = np.linalg.eigh(covariance)
        half = sorted([ellipse.width / 2, ellipse.height / 2])
        np.testing.assert_allclose(half, radius * np.sqrt(eigenvalues))
        np.testing.assert_allclose(ellipse.center, LOC[k])
        np.testing.assert_allclose(ellipse.get_edgecolor()[:3], (BLUE, VERMILLION, GREEN)[k])
        border = ellipse.get_patch_transform().transform(ellipse.get_path().vertices[::3])
        offset = border - LOC[k]
        distance = np.sqrt(np.sum(offset * np.linalg.solve(covariance, offset.T).T, axis=-1))
        np.testing.assert_allclose(distance, radius, rtol=1e-3)
        low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
        assert np.all((border > low) & (border < high))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["0: 0.20", "1: 0.50", "2: 0.30"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z₁", "z₂")


def test_samples_repeat_with_the_seed_and_count_what_is_hidden(x):
    flow = affine_flow()
    plots = [plotting.plot_samples(flow, x, num_samples=500, seed=s, ax=axes()) for s in (0, 0, 1)]
    first, again, other = (scatter(ax, "samples").get_offsets() for ax in plots)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:50], other[:50])
    corner = plotting.plot_samples(
        flow, np.array([[2.0, 1.0], [3.0, 2.0]]), num_samples=400, seed=0, ax=axes()
    )
    shown = len(scatter(corner, "samples").get_offsets())
    assert 0 < shown < 400
    assert f"{400 - shown} of 400 samples beyond the view" in corner.get_title()
    nothing = plotting.plot_samples(flow, np.array([[50.0, 50.0], [51.0, 51.0]]), ax=axes())
    assert "2 of 2 samples beyond" in nothing.get_title()


def test_sample_mean_is_the_models(x):
    ax = plotting.plot_samples(affine_flow(), 5 * x, num_samples=12_000, seed=3)
    samples = scatter(ax, "samples").get_offsets()
    assert len(samples) == 12_000
    np.testing.assert_allclose(samples.mean(axis=0), MATRIX @ (PROBS @ LOC) + SHIFT, atol=0.1)


def test_density_against_scipy_and_integrates_to_one():
    ax = plotting.plot_density(affine_flow(), limits=((-6, 6), (-7, 6)), resolution=150)
    image = np.asarray(ax.collections[0].get_array()).reshape(150, 150)
    area = (12 / 150) * (13 / 150)
    np.testing.assert_allclose(image.sum() * area, 1.0, atol=1e-3)
    centre = np.array([[-6 + 12 * 90.5 / 150, -7 + 13 * 40.5 / 150]])
    expected = expected_joint(centre).sum() / np.linalg.det(MATRIX)
    np.testing.assert_allclose(image[40, 90], expected)
    bar = ax.child_axes[0]
    assert "p(x)" in bar.get_ylabel()
    assert "per unit area" in bar.get_ylabel()


def test_decision_borders_are_where_the_argmax_changes():
    resolution, cell = 200, 8 / 200
    ax = plotting.plot_density(affine_flow(), limits=((-4, 4), (-4, 4)), resolution=resolution)
    paths = [path for c in ax.collections[1:] for path in c.get_paths()]
    border = np.concatenate([path.vertices for path in paths])
    angles = 2 * np.pi * np.arange(16) / 16
    around = cell * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    likeliest = expected_joint((border[:, None] + around).reshape(-1, 2)).argmax(axis=-1)
    assert np.all(np.ptp(likeliest.reshape(-1, 16), axis=1) > 0)
    centres = -4 + cell * (np.arange(resolution) + 0.5)
    grid = np.stack(np.meshgrid(centres, centres), axis=-1)
    regions = expected_joint(grid.reshape(-1, 2)).argmax(axis=-1).reshape(resolution, resolution)
    changes = grid[:, :-1][np.diff(regions, axis=1) != 0] + [cell / 2, 0.0]
    gaps = np.linalg.norm(changes[:, None] - border, axis=-1).min(axis=1)
    assert len(changes) > 100
    assert gaps.max() < 1.5 * cell


def test_one_component_has_no_border():
    prior = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[1.0]), tfd.MultivariateNormalDiag(tf.zeros([1, 2]), tf.ones([1, 2]))
    )
    flow = tfd.TransformedDistribution(prior, tfb.Identity())
    ax = plotting.plot_density(flow, x=np.eye(2), resolution=20)
    assert len(ax.collections) == 1


def test_warped_grid_is_the_forward_of_straight_lines(x):
    ax = plotting.plot_warped_grid(affine_flow(), x=x, num_lines=5)
    families = ax.collections[1:3]
    for along, family in enumerate(families):
        segments = family.get_segments()
        assert len(segments) == 5
        for segment in segments:
            z = latents_of(segment)
            np.testing.assert_allclose(z[:, 1 - along], z[0, 1 - along], atol=1e-9)
            assert np.ptp(z[:, along]) > 3
    rings = ax.collections[3].get_segments()
    precision = np.linalg.inv(SCALE_TRIL[0] @ SCALE_TRIL[0].T)
    for radius, ring in zip((1.0, 2.0), rings, strict=True):
        offset = latents_of(ring) - LOC[0]
        squared = np.einsum("ni,ij,nj->n", offset, precision, offset)
        np.testing.assert_allclose(squared, radius**2)


def test_pair_plot():
    flow, x = wide_flow(3), np.random.default_rng(0).normal(1.0, 1.5, (80, 3))
    grid = plotting.pair_plot(flow, x, num_samples=50, seed=0, labels=["a", "b (m)", "c"])
    np.testing.assert_allclose(grid[2, 0].collections[0].get_offsets(), x[:, [0, 2]])
    above = grid[0, 2].collections[0].get_offsets()
    assert 0 < len(above) <= 50
    areas = [p.get_height() * p.get_width() for p in grid[1, 1].patches[:30]]
    np.testing.assert_allclose(sum(areas), 1.0)
    assert [ax.get_xlabel() for ax in grid[2]] == ["a", "b (m)", "c"]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["a", "b (m)", "c"]
    narrow = plotting.pair_plot(wide_flow(9), np.ones([4, 9]) * np.arange(4)[:, None], seed=0)
    assert "6 of 9 dimensions" in narrow[0, 0].figure.get_supxlabel()


@pytest.mark.slow
def test_plot_flow_has_four_labelled_panels(x, tmp_path):
    figure = plotting.plot_flow(affine_flow(), x, title="Three", labels=["u", "v"], seed=0)
    titles = [ax.get_title().split("\n")[0] for ax in figure.axes[:4]]
    assert titles[1] == "Latents and mixture"
    assert len(set(titles)) == 4
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes[:4])
    assert figure.axes[0].get_xlabel() == "u"
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim() == figure.axes[3].get_xlim()
    figure.savefig(tmp_path / "f.png")
    assert len(plotting.plot_flow(wide_flow(3), np.eye(3), seed=0).axes) == 9


@pytest.mark.slow
def test_plot_flow_of_a_real_nvp_follows_its_variables(x):
    flow = gaussian_mixture_flow(2, 3, num_couplings=2, hidden_units=(8,), seed=0)
    before = scatter(plotting.plot_flow(flow, x, seed=0).axes[1], "latents").get_offsets()
    np.testing.assert_allclose(before, flow.bijector.inverse(tf.constant(x, tf.float32)), rtol=1e-5)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    after = scatter(plotting.plot_flow(flow, x, seed=0).axes[1], "latents").get_offsets()
    assert np.abs(after - before).max() > 0.01


def test_functions_draw_in_the_axes_they_are_given(x):
    flow, axes = affine_flow(), Figure().subplots(1, 5)
    assert plotting.plot_responsibilities(flow, x, ax=axes[0]) is axes[0]
    assert plotting.plot_latents(flow, x, ax=axes[1]) is axes[1]
    assert plotting.plot_samples(flow, x, seed=0, ax=axes[2]) is axes[2]
    assert plotting.plot_density(flow, x=x, resolution=10, ax=axes[3]) is axes[3]
    assert plotting.plot_warped_grid(flow, ax=axes[4]) is axes[4]


def test_errors(x):
    flow, wide, x3 = affine_flow(), wide_flow(3), np.ones([5, 3])
    for call in (
        lambda: plotting.plot_responsibilities(wide, x3),
        lambda: plotting.plot_latents(wide, x3),
        lambda: plotting.plot_samples(wide, x3, seed=0),
        lambda: plotting.plot_density(wide, x=x3),
        lambda: plotting.plot_warped_grid(wide),
    ):
        with pytest.raises(ValueError, match="2 dimensions, got 3; use pair_plot"):
            call()
    for message, call in (
        (
            r"size 2.* got shape \[5, 3\]",
            lambda: plotting.plot_flow(flow, x3, seed=0),
        ),
        (
            "hold finite .*row 1",
            lambda: plotting.plot_latents(flow, [[0, 0], [np.nan, 0]]),
        ),
        ("needs x or limits", lambda: plotting.plot_density(flow)),
        ("limits must be", lambda: plotting.plot_density(flow, limits=((1, 0), (0, 1)))),
        ("num_samples must be", lambda: plotting.plot_samples(flow, x, num_samples=0, seed=0)),
        ("`labels` must name 2", lambda: plotting.plot_samples(flow, x, seed=0, labels=["a"])),
        ("two of 0 to 2", lambda: plotting.pair_plot(wide, x3, seed=0, dimensions=[0])),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match=r"`flow` must be a flow, as .* returns, got .*Normal"):
        plotting.plot_latents(tfd.Normal(0.0, 1.0), x)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1.0, 1.2, 2.0])
def test_nothing_is_cut_off_at_the_border(width):
    x = np.float32([width, 1.0] * np.random.default_rng(0).normal(size=[300, 2]))
    flow = gaussian_mixture_flow(2, 5, num_couplings=2, standardize=x, seed=0)
    for draw in (plotting.plot_latents, plotting.plot_density, plotting.plot_warped_grid):
        figure = draw(flow, x).figure
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) >= 0
        assert np.all([box.x1, box.y1] <= figure.get_size_inches())
        plt.close(figure)
