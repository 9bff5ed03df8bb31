"""No row is on both sides of a split."""

import numpy as np
import pytest

import tfp_gmnvp as gmnvp
from tfp_gmnvp.density import fit_density
from tfp_gmnvp.density.mixture_choice import choose_mixture
from tfp_gmnvp.training.data import distinct_rows
from tfp_gmnvp.training.data.training_data import TrainingData

ROWS = np.random.default_rng(0).normal(size=[60, 2])
REPEATED = {
    "tiled": np.tile(ROWS, [10, 1]),
    "one after another": np.repeat(ROWS, 10, axis=0),
    "shuffled": np.random.default_rng(1).permutation(np.tile(ROWS, [10, 1])),
    "float32": np.tile(ROWS, [10, 1]).astype(np.float32),
    "integers": np.tile(np.arange(120).reshape(60, 2), [10, 1]),
    "signed zeros": np.tile(ROWS * np.array([1, 0]), [10, 1]),
}
each_repetition = pytest.mark.parametrize("kind", REPEATED)


def overlap(a, b):
    return {tuple(row) for row in np.asarray(a) + 0.0} & {tuple(row) for row in np.asarray(b) + 0.0}


@each_repetition
def test_groups_are_those_of_unique_rows(kind):
    x = REPEATED[kind]
    groups = distinct_rows.row_groups(x)
    _, first = np.unique(groups, return_index=True)
    assert len(first) == 60
    assert np.all(np.diff(first) > 0)
    np.testing.assert_array_equal(x[first][groups], x)


@each_repetition
def test_a_validation_split_holds_out_whole_rows(kind):
    x = REPEATED[kind]
    flow = gmnvp.gaussian_mixture_flow(2, 1, seed=0)
    y, weight = np.zeros(600, np.int32), np.arange(600.0) + 1
    data = TrainingData(flow, x, y, weight, validation_split=0.2, seed=0)
    held_out, _, weight_held_out = data.validation_data
    assert len(held_out) == 120
    assert not overlap(data.x, held_out)
    together = np.concatenate([data.sample_weight, weight_held_out])
    np.testing.assert_array_equal(np.sort(together), weight)
    rows = np.concatenate([data.x, held_out])
    np.testing.assert_array_equal(rows, x[together.astype(int) - 1])


@pytest.mark.parametrize("x", [ROWS, np.zeros([20, 2])], ids=["distinct", "all the same"])
def test_distinct_rows_are_split_as_in_keras(x):
    assert distinct_rows.split(x, 0.25) == (slice(len(x) * 3 // 4), slice(len(x) * 3 // 4, None))
    order = np.random.default_rng(0).permutation(len(x))
    same, size = distinct_rows.together(x, order, 7)
    np.testing.assert_array_equal(same, order)
    assert size == 7
    for a, b in zip(distinct_rows.folds(x, order, 5), np.array_split(order, 5), strict=True):
        np.testing.assert_array_equal(a, b)


@each_repetition
def test_folds_hold_whole_rows(kind):
    x = REPEATED[kind]
    order = np.random.default_rng(2).permutation(len(x))
    folds = distinct_rows.folds(x, order, 5)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(600))
    for fold in folds:
        assert len(fold) == 120
        assert not overlap(x[fold], np.delete(x, fold, axis=0))


def test_mixtures_are_scored_by_unseen_rows():
    """Ten copies of few rows in many dimensions: scores of training rows would favour large K."""
    z = np.random.default_rng(3).normal(size=[40, 6])
    settings = {"covariance_types": ["full"], "shrinkages": [0.0], "seed": 0}
    best, *_ = choose_mixture(np.tile(z, [10, 1]), [1, 2, 4, 8], **settings)
    assert best.num_components == 1
    assert best.held_out < -8.0  # at most the entropy, 6 (1 + log 2 pi) / 2


@pytest.mark.slow
def test_a_density_is_scored_by_unseen_rows(monkeypatch):
    seen = []
    fit = gmnvp.FlowModel.fit

    def spy(model, x, y, **arguments):
        seen.append((x, arguments["sample_weight"], arguments["validation_data"]))
        return fit(model, x, y, **arguments)

    monkeypatch.setattr(gmnvp.FlowModel, "fit", spy)
    monkeypatch.setattr(fit_density, "may_pay_off", lambda *args, **kwargs: True)
    x = REPEATED["shuffled"]
    settings = {"num_components": [1], "covariance_types": ["diag"], "steps": 3}
    gmnvp.fit_density(x, seed=0, num_couplings=1, hidden_units=(), **settings)
    [(train, weight, (validation, _, validation_weight))] = seen
    assert not overlap(train, validation)
    assert len(train) + len(validation) == 60
    assert weight.sum() + validation_weight.sum() == 600
    assert 100 <= validation_weight.sum() <= 140
