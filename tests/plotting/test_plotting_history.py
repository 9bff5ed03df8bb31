"""Curves of training hold the numbers of the histories."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from tfp_gmnvp import plotting


def test_history():
    histories = {"a": {"loss": [3.0, 2.0], "val_loss": [4.0, 3.0]}, "b": {"loss": [5.0, 1.0, 0.5]}}
    ax = plotting.plot_history(histories, entropy=0.3)
    train, validation, other, bound = ax.lines
    np.testing.assert_array_equal(train.get_xydata(), [[1, 3], [2, 2]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 4], [2, 3]])
    np.testing.assert_array_equal(other.get_xdata(), [1, 2, 3])
    assert (train.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert tuple(train.get_color()) == tuple(validation.get_color()) != tuple(other.get_color())
    np.testing.assert_array_equal(bound.get_ydata(), [0.3, 0.3])
    assert "nats" in ax.get_ylabel()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["a", "b", "training", "validation", "entropy of the data"]
    assert len(plotting.plot_history(histories["b"], ax=Figure().add_subplot()).lines) == 1
    assert ax.get_xlabel() == "epoch"


def test_history_draws_in_the_axes_it_is_given():
    ax = Figure().add_subplot()
    assert plotting.plot_history({"loss": [1.0]}, ax=ax) is ax
    assert ax.lines[0].get_marker() == "o"


def test_history_errors():
    with pytest.raises(ValueError, match="at least one history, got none"):
        plotting.plot_history({})
    with pytest.raises(ValueError, match=r"`histories\['a'\]` must be a history with 'loss'"):
        plotting.plot_history({"a": {"accuracy": [1.0]}})


def test_a_spike_is_told_rather_than_shown():
    losses = [2.0, 50.0, *np.linspace(2.0, 1.0, 98)]
    ax = plotting.plot_history({"loss": losses})
    assert ax.get_ylim()[1] < 10
    assert [text.get_text() for text in ax.texts] == ["1 value up to 50 beyond the view"]
    ax.figure.clear()
    calm = plotting.plot_history({"loss": [3.0, *np.linspace(2.0, 1.0, 99)]})
    assert calm.get_ylim()[1] > 3
    assert not calm.texts
