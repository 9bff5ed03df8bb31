"""The choice of the number of components, and its picture."""

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_rgb
from sklearn.mixture import GaussianMixture

import tfp_gmnvp as gmnvp
from tfp_gmnvp import plotting
from tfp_gmnvp.analysis import selection as selection_module

CENTRES = np.array([[-6.0, 0.0], [6.0, 0.0], [0.0, 8.0]])


def draws(num_points, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(num_points) % 3
    return CENTRES[labels] + rng.normal(size=[num_points, 2]) @ [[1.0, 0.4], [0.0, 0.7]]


class Recorder:
    """Makes models of plain mixtures, the couplings' rate being zero, and notes what it got."""

    def __init__(self, rate=0.0):
        self.rate, self.calls = rate, []

    def __call__(self, num_components, x, seed):
        self.calls.append((num_components, len(x), seed))
        flow = gmnvp.gaussian_mixture_flow(
            2, num_components, num_couplings=1, hidden_units=(), dtype=tf.float64, seed=seed
        )
        model = gmnvp.FlowModel(flow, seed=seed)
        update = gmnvp.FullBatchEM(num_iterations=5, covariance_floor=0.0)
        model.compile(tf.keras.optimizers.SGD(self.rate), mixture_update=update, run_eagerly=True)
        return model


@pytest.fixture(name="x", scope="module")
def data():
    return draws(150, seed=0)


@pytest.fixture(name="selection", scope="module")
def a_selection(x):
    return gmnvp.select_components(
        x, [4, 3, 1], make_model=Recorder(), x_test=draws(90, seed=1), epochs=2, seed=0
    )


@pytest.mark.slow
def test_table_against_scikit_learn(x, selection):
    """The couplings stay the identity, so that all is scikit-learn's, but for their parameters."""
    assert selection.num_components == 3
    assert selection.model is selection.models[3]
    assert [scores.num_components for scores in selection.scores] == [1, 3, 4]
    more = sum(v.shape.num_elements() for v in selection.model.distribution.bijector.variables)
    for scores in selection.scores[:2]:  # K = 1 and 3, whose optimum is plain
        oracle = GaussianMixture(scores.num_components, reg_covar=0.0, random_state=0).fit(x)
        np.testing.assert_allclose(scores.log_likelihood, oracle.score(x), rtol=1e-3)
        np.testing.assert_allclose(scores.bic, oracle.bic(x) + more * np.log(150), rtol=1e-3)
        np.testing.assert_allclose(scores.aic, oracle.aic(x) + 2 * more, rtol=1e-3)
        np.testing.assert_allclose(scores.held_out, oracle.score(draws(90, seed=1)), rtol=1e-3)
        assert scores.num_parameters == oracle._n_parameters() + more
    for scores in selection.scores:
        flow = selection.models[scores.num_components].distribution
        assert scores.icl == gmnvp.icl(flow, x)


@pytest.mark.slow
def test_held_out_points_and_the_errors_of_gaps(selection):
    x = draws(90, seed=1)
    log_prob = {k: m.distribution.log_prob(x).numpy() for k, m in selection.models.items()}
    best = max(log_prob.values(), key=np.mean)
    for scores in selection.scores:
        held_out = gmnvp.held_out_log_likelihood(
            selection.models[scores.num_components].distribution, x
        )
        np.testing.assert_allclose([scores.held_out, scores.held_out_error], held_out)
        gap = best - log_prob[scores.num_components]
        np.testing.assert_allclose(scores.gap_error, gap.std(ddof=1) / np.sqrt(90), atol=1e-12)


@pytest.mark.slow
def test_folds_train_on_the_rest(x):
    recorder = Recorder()
    selection = gmnvp.select_components(
        x, [1], criterion="held_out", make_model=recorder, num_folds=2, epochs=2, seed=5
    )
    assert recorder.calls == [(1, 150, 5), (1, 75, 5), (1, 75, 5)]
    (one,) = selection.scores
    # A Gaussian's held-out log-likelihood, by hand over the same folds.
    order = np.random.default_rng(5).permutation(150)
    expected = np.empty(150)
    for fold in np.array_split(order, 2):
        oracle = GaussianMixture(1, reg_covar=0.0).fit(np.delete(x, fold, axis=0))
        expected[fold] = oracle.score_samples(x[fold])
    np.testing.assert_allclose(one.held_out, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(one.held_out_error, expected.std(ddof=1) / np.sqrt(150), rtol=1e-6)
    assert one.held_out < one.log_likelihood


@pytest.mark.slow
def test_repeats_whatever_the_global_seed(x):
    def scores():
        return gmnvp.select_components(
            x, [2], make_model=Recorder(rate=0.01), batch_size=32, epochs=2, seed=1
        ).scores

    first = scores()
    tf.random.set_seed(7)
    assert scores() == first


@pytest.mark.slow
def test_default_model_and_fit_options():
    x = 100 + 20 * draws(40, seed=2)
    seen = []
    callback = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(1))
    selection = gmnvp.select_components(x, [1], epochs=2, seed=0, callbacks=[callback])
    assert len(seen) == 2
    assert selection.num_components == 1
    assert selection.scores[0].log_likelihood > -12  # standardised


def test_the_default_is_sized_by_the_rows():
    """150 rows cannot bear 36,910 parameters; what `fit_density` takes for them has 1,566."""
    model = selection_module._default_model(1, draws(150, seed=2) @ np.eye(2, 4), seed=0)
    assert gmnvp.num_parameters(model.distribution) == 1566


def test_diverged_models_are_not_chosen():
    nan = float("nan")
    scores = [gmnvp.ComponentScores(k, 5, -1.0, bic=b) for k, b in ((1, nan), (2, 9.0), (3, 8.0))]
    assert gmnvp.ComponentSelection("bic", tuple(scores), {}).num_components == 3


def test_string_is_a_table(selection):
    lines = str(selection).splitlines()
    assert [line[0] for line in lines[1:]] == [" ", "*", " ", "*"]
    lowest = min(scores.bic for scores in selection.scores)
    assert f" {selection.scores[0].bic - lowest:.2f} " in lines[1]
    assert f" {0:.2f} " in lines[2]
    assert f"BIC{-lowest:+.2f} " in lines[0]
    assert "±" in lines[1]
    assert lines[-1] == "* chosen by bic"


def test_plot_of_a_penalised_criterion(selection):
    ax = plotting.plot_selection(selection)
    values = np.array([scores.bic for scores in selection.scores])
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [1, 3, 4])
    np.testing.assert_allclose(line.get_ydata(), values - values.min())
    (ring,) = ax.collections
    np.testing.assert_allclose(ring.get_offsets(), [[3, 0.0]])
    np.testing.assert_allclose(ring.get_edgecolor()[0, :3], to_rgb("#D55E00"))
    assert ax.get_xlabel() == "number of components K"
    assert "BIC" in ax.get_ylabel()
    assert "nats" in ax.get_ylabel()


def test_plot_of_held_out_points_has_error_bars(selection):
    held_out = gmnvp.ComponentSelection("held_out", selection.scores, selection.models)
    ax = plotting.plot_selection(held_out)
    bars = next(c for c in ax.collections if hasattr(c, "get_segments"))
    for scores, bar in zip(selection.scores, bars.get_segments(), strict=True):
        np.testing.assert_allclose(bar[:, 0], scores.num_components)
        reach = [scores.held_out - scores.gap_error, scores.held_out + scores.gap_error]
        np.testing.assert_allclose(bar[:, 1], reach)
    assert "nats per point" in ax.get_ylabel()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any("standard error of the gap" in text for text in texts)


@pytest.mark.slow
def test_errors(x):
    for message, call in (
        ("`criterion` must be one of 'bic', .*'held_out', got 'BIC'", {"criterion": "BIC"}),
        (r"`num_components` must be whole numbers >= 1, got \[0, 1\]", {"num_components": [0, 1]}),
        (r"got \[\]", {"num_components": []}),
        ("`num_folds` must be a whole number from 2 to 150", {"num_folds": 1}),
        ("`batch_size` must be a whole number >= 1", {"batch_size": 0}),
        (r"`x` must have shape \[N, D\]", {"x": x[:, 0]}),
        ("`x` must hold finite", {"x": np.full([4, 2], np.nan)}),
        ("`x_test` must hold finite", {"x_test": np.full([4, 2], np.nan)}),
    ):
        arguments = {"x": x, "num_components": [1], "seed": 0, **call}
        with pytest.raises(ValueError, match=message):
            gmnvp.select_components(**arguments)
    with pytest.raises(TypeError, match="must return a compiled `FlowModel`, got int"):
        gmnvp.select_components(x, [1], make_model=lambda k, x, seed: 3, seed=0)
