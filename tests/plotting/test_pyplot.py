"""Figures and pyplot: what a script draws is what it saves; threads and callbacks leave none."""

import itertools
import threading

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import tfp_gmnvp as gmnvp
from tfp_gmnvp import plotting
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate

keras = tf.keras


@pytest.fixture(name="flow", scope="module")
def a_flow():
    return gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, hidden_units=(4,), seed=0)


@pytest.fixture(name="x", scope="module")
def data():
    return np.random.default_rng(0).normal(size=[60, 2]).astype(np.float32)


SELECTION = gmnvp.ComponentSelection(
    "bic", tuple(gmnvp.ComponentScores(k, 6 * k, -2.0, bic=30.0 - k) for k in (1, 2)), {}
)
IMAGES = np.ones([2, 3, 4, 4, 1])
HISTORY = {"loss": [3.0, 2.0]}
ON_AXES = {
    "plot_density": lambda flow, x, **to: plotting.plot_density(flow, x, **to),
    "plot_history": lambda flow, x, **to: plotting.plot_history(HISTORY, **to),
    "plot_images": lambda flow, x, **to: plotting.plot_images(IMAGES, num_levels=2, **to),
    "plot_latents": lambda flow, x, **to: plotting.plot_latents(flow, x, **to),
    "plot_reliability": lambda flow, x, **to: plotting.plot_reliability(
        [[0.8, 0.2], [0.4, 0.6]], [0, 1], **to
    ),
    "plot_responsibilities": lambda flow, x, **to: plotting.plot_responsibilities(flow, x, **to),
    "plot_samples": lambda flow, x, **to: plotting.plot_samples(flow, x, **to),
    "plot_selection": lambda flow, x, **to: plotting.plot_selection(SELECTION, **to),
    "plot_warped_grid": lambda flow, x, **to: plotting.plot_warped_grid(flow, x, **to),
}
IMAGE_FLOW = {"num_filters": 2, "num_blocks": 0, "seed": 0}
MIXTURE = MixtureCandidate("full", 2, held_out=-3.0)
WHOLE_FIGURES = {
    "plot_fit": lambda flow, x, **to: plotting.plot_fit(
        gmnvp.DensityFit(gmnvp.FlowModel(flow), MIXTURE, (0.1, 0.2), True, HISTORY, (), (MIXTURE,)),
        x,
        **to,
    ),
    "plot_flow": lambda flow, x, **to: plotting.plot_flow(flow, x, **to),
    "pair_plot": lambda flow, x, **to: plotting.pair_plot(flow, x, **to)[0, 0].figure,
    "plot_component_images": lambda flow, x, **to: plotting.plot_component_images(
        gmnvp.image_flow([4, 4, 1], 2, **IMAGE_FLOW), num_levels=256, num_samples=2, **to
    ),
    "plot_flow of images": lambda flow, x, **to: plotting.plot_flow(
        gmnvp.image_flow([4, 4, 1], 2, **IMAGE_FLOW), np.full([3, 4, 4, 1], 9.0), **to
    ),
}


def test_every_function_is_here():
    drawing = {name for name in plotting.__all__ if "plot" in name}
    assert drawing == {*ON_AXES, *WHOLE_FIGURES} - {"plot_flow of images"}


@pytest.mark.parametrize("name", [*ON_AXES, *WHOLE_FIGURES])
def test_a_script_saves_what_it_drew(name, flow, x, tmp_path):
    drawn = {**ON_AXES, **WHOLE_FIGURES}[name](flow, x)
    figure = drawn if name in WHOLE_FIGURES else drawn.figure
    assert plt.get_fignums() == [figure.number]
    assert plt.gcf() is figure
    plt.savefig(tmp_path / "figure.png", dpi=40)
    image = matplotlib.image.imread(tmp_path / "figure.png")
    assert image[..., :3].std() > 0.02  # no blank page


@pytest.mark.parametrize("name", ON_AXES)
def test_without_axes_it_is_the_current_ones(name, flow, x):
    _, (left, right) = plt.subplots(1, 2)
    plt.sca(left)
    assert ON_AXES[name](flow, x) is left
    assert ON_AXES[name](flow, x, ax=right) is right
    assert len(plt.get_fignums()) == 1
    figure = plt.figure(figsize=(3.0, 2.0))
    assert ON_AXES[name](flow, x).figure is figure
    assert tuple(figure.get_size_inches()) == (3.0, 2.0)
    apart = Figure().add_subplot()
    assert ON_AXES[name](flow, x, ax=apart) is apart
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("name", WHOLE_FIGURES)
def test_a_whole_figure_is_new_or_the_one_that_is_given(name, flow, x):
    before = plt.figure()
    assert WHOLE_FIGURES[name](flow, x) is not before
    assert not before.axes
    given = Figure()
    assert WHOLE_FIGURES[name](flow, x, figure=given) is given
    assert len(plt.get_fignums()) == 2
    part, _ = plt.figure(layout="constrained").subfigures(1, 2)
    assert WHOLE_FIGURES[name](flow, x, figure=part) in (part, part.figure)
    assert part.get_children()


def test_nothing_is_cut_off_in_a_figure_of_the_users(flow, x):
    """Legends are next to the axes, and a figure with matplotlib's defaults leaves no room."""
    for name in ("plot_latents", "plot_density", "plot_history", "plot_selection"):
        figure = plt.figure()
        ON_AXES[name](flow, x)
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert min(box.x0, box.y0) >= 0, name
        assert np.all([box.x1, box.y1] <= figure.get_size_inches()), name


@pytest.mark.parametrize("name", ["plot_density", "plot_flow"])
def test_an_error_leaves_no_figure(name, flow, x):
    for arguments in ({"labels": ["one"]},):
        with pytest.raises(ValueError, match="`labels` must name 2"):
            {**ON_AXES, **WHOLE_FIGURES}[name](flow, x, **arguments)
    with pytest.raises(ValueError, match="`x` must hold"):
        {**ON_AXES, **WHOLE_FIGURES}[name](flow, x * np.nan)
    assert not plt.get_fignums()


def test_threads_do_not_draw_into_each_other(flow, x):
    """Pyplot's current figure is that of all; those of threads are their own."""
    main, found = plt.figure(), []

    def work():
        found.append(plotting.plot_responsibilities(flow, x))
        found.append(plotting.plot_flow(flow, x).axes[0])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(ax.figure) for ax in found}) == 4
    assert plt.get_fignums() == [main.number]
    assert not main.axes


@pytest.mark.slow
def test_the_callback_leaves_pyplot_alone(flow, x, tmp_path):
    mine = plt.figure()
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    callback = gmnvp.FigureCallback(x, tmp_path, every=1, dpi=30)
    model.fit(x, epochs=2, batch_size=60, callbacks=[callback], verbose=0)
    assert len(list(tmp_path.iterdir())) == 3
    assert plt.get_fignums() == [mine.number]
    assert plt.gcf() is mine
    assert not mine.axes


def test_samples_are_the_same_without_a_seed(flow, x):
    for draw in (plotting.plot_samples, plotting.pair_plot):
        drawn = [np.ravel(draw(flow, x))[-1].figure for _ in range(2) if plt.figure()]
        first, again = (figure.axes[-1 if draw is plotting.plot_samples else 1] for figure in drawn)
        points = [ax.collections[-1].get_offsets() for ax in (first, again)]
        np.testing.assert_array_equal(*points)


@pytest.mark.slow
def test_labels_are_the_names_of_columns(x):
    pd = pytest.importorskip("pandas")
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, hidden_units=(), seed=0)
    names = ["eruption (min)", "cost ($ or $$)"]
    shown = [names[0], r"cost (\$ or \$\$)"]
    table = pd.DataFrame(x, columns=names)
    for draw in ("plot_density", "plot_responsibilities", "plot_samples", "plot_warped_grid"):
        ax = ON_AXES[draw](flow, table, ax=Figure().add_subplot())
        assert [ax.get_xlabel(), ax.get_ylabel()] == shown, draw
        ax.figure.draw_without_rendering()  # a $ is no mathematics
        ax = ON_AXES[draw](flow, table, ax=Figure().add_subplot(), labels=["u", "v"])
        assert [ax.get_xlabel(), ax.get_ylabel()] == ["u", "v"]
        ax = ON_AXES[draw](flow, pd.DataFrame(x), ax=Figure().add_subplot())
        assert [ax.get_xlabel(), ax.get_ylabel()] == ["x₁", "x₂"]
    figure = plotting.plot_flow(flow, table)
    assert [figure.axes[k].get_xlabel() for k in range(4)] == [shown[0], "z₁", *2 * shown[:1]]
    assert [ax.get_xlabel() for ax in plotting.pair_plot(flow, table)[-1]] == [
        shown[0],
        shown[1].replace("or ", "or\n"),
    ]
    gmnvp.fit_mixture(flow, table)  # which learns the names
    ax = plotting.plot_density(flow, limits=((-1, 1), (-1, 1)), resolution=4)
    assert [ax.get_xlabel(), ax.get_ylabel()] == shown
    assert plotting.plot_flow(flow, x).axes[0].get_ylabel() == shown[1]


def test_long_names_do_not_run_into_each_other():
    pd = pytest.importorskip("pandas")
    names = ["a name of a column that is rather long, with its units (m)", "b" * 60, "third", "($)"]
    x = pd.DataFrame(np.random.default_rng(0).normal(size=[30, 4]), columns=names)
    flow = gmnvp.gaussian_mixture_flow(4, 2, num_couplings=1, hidden_units=(), seed=0)
    grid = plotting.pair_plot(flow, x)
    grid[0, 0].figure.draw_without_rendering()
    below = [ax.xaxis.label.get_window_extent() for ax in grid[-1]]
    beside = [ax.yaxis.label.get_window_extent() for ax in grid[:, 0]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(below))
    assert all(a.y0 > b.y1 for a, b in itertools.pairwise(beside))
    plane = gmnvp.gaussian_mixture_flow(2, seed=0)
    ax = plotting.plot_density(plane, x.iloc[:, :2], resolution=4, ax=Figure().add_subplot())
    assert ax.get_xlabel().replace("\n", " ") == names[0]
    assert max(map(len, ax.get_ylabel().splitlines())) <= 40
    ax = plotting.plot_density(
        plane, x.iloc[:, :2], resolution=4, labels=["$" + 60 * "x" + "$", "y"], ax=ax
    )
    assert ax.get_xlabel() == "$" + 60 * "x" + "$"


def test_components_have_one_numbering():
    """The second of three is apart from the others, in figures as in functions."""
    flow = gmnvp.gaussian_mixture_flow(2, 3, num_couplings=1, hidden_units=(), seed=0)
    mixture = flow.distribution
    loc = np.float32([[-9, 0], [0, 9], [9, 0]])
    mixture.components_distribution.loc.assign(loc)
    mixture.mixture_distribution.logits.assign(np.log(np.float32([0.2, 0.5, 0.3])))
    ax = plotting.plot_latents(flow, loc)
    numbers = gmnvp.predict_component(flow, gmnvp.sample_component(flow, 1, 3, seed=0))
    assert set(numbers.numpy()) == {1}
    found = {text.get_text(): text.xy for text in ax.texts}
    assert sorted(found) == ["0", "1", "2"]
    np.testing.assert_allclose([found[str(k)] for k in range(3)], loc)
    legends = [ax.get_legend(), plotting.pair_plot(flow, loc)[0, 0].figure.legends[0]]
    for legend in legends:
        assert [text.get_text() for text in legend.get_texts()] == ["0: 0.20", "1: 0.50", "2: 0.30"]
        assert legend.get_title().get_text() == "weights"
    images = gmnvp.image_flow([4, 4, 1], 3, **IMAGE_FLOW)
    images.distribution.mixture_distribution.logits.assign(np.log(np.float32([0.2, 0.5, 0.3])))
    figure = plotting.plot_component_images(images, num_levels=256, num_samples=1)
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["1 (50%)", "2 (30%)", "0 (20%)"]


def test_the_legend_of_pairs_hides_nothing():
    for size, components in ((3, 2), (6, 20)):
        flow = gmnvp.gaussian_mixture_flow(size, components, num_couplings=1, hidden_units=())
        x = np.random.default_rng(0).normal(size=[50, size]).astype(np.float32)
        grid = plotting.pair_plot(flow, x, figure=plt.figure(figsize=(7, 7)))
        figure = grid[0, 0].figure
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert box.x0 >= max(ax.get_tightbbox().x1 for ax in grid.ravel())
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert len(legend.get_texts()) == min(components, 17)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["what fit returns", "its dict", "the model", "several"])
def test_history_of_a_fit(flow, x, of):
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), run_eagerly=True)
    history = model.fit(x, epochs=2, batch_size=60, validation_data=x, verbose=0)
    forms = {
        "what fit returns": history,
        "its dict": history.history,
        "the model": model,
        "several": {"a": history, "b": history.history},
    }
    ax = plotting.plot_history(forms[of])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), history.history["loss"])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), history.history["val_loss"])
    assert len(ax.lines) == (4 if of == "several" else 2)


def test_history_says_what_it_takes():
    for wrong in (3, [{"loss": [1.0]}], None, "loss"):
        with pytest.raises(TypeError, match="`histories` must be what `fit` returned"):
            plotting.plot_history(wrong)
    with pytest.raises(ValueError, match="`histories` must be a history with 'loss', got"):
        plotting.plot_history(keras.callbacks.History())
    assert not plt.get_fignums()
