"""What `fit_density` and `select_components` refuse, they refuse before any work."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.analysis import selection
from tfp_gmnvp.density import fit_density

X = np.random.default_rng(0).normal(size=[60, 2])
OF_FIT_DENSITY = {
    "another name": ({"verbos": 1}, "`fit_density` has no argument `verbos`.*`verbose`"),
    "name of the flow's": ({"numcouplings": 2}, "`fit_density` has no .*`num_couplings`"),
    "no name at all": ({"zzz": 2}, r"`fit_density` has no argument `zzz`\."),
    "a weight too few": ({"sample_weight": np.ones(59)}, "`sample_weight` must .*60 .*shape .59"),
    "a weight below": ({"sample_weight": [-1.0] * 60}, "`sample_weight` must .*not negative"),
    "no weight": ({"sample_weight": np.zeros(60)}, "`sample_weight` must have a weight above zero"),
    "few weights": (
        {"sample_weight": np.arange(60) < 19},
        "`sample_weight` must be above zero for at least 20 rows, got 19",
    ),
    "halves of labels": ({"y": np.full(60, 0.5)}, "`y` must hold indices of components"),
    "a label too few": ({"y": np.ones(59, int)}, "`y` must hold one label"),
    "labels below": ({"y": np.full(60, -2)}, "`y` must hold indices of components"),
    "labels above": (
        {"y": np.full(60, 3), "num_components": [2, 3]},
        "`y` must hold numbers of components, 0 .. 2, or -1, got 3: give `num_components` up to 4",
    ),
    "context": ({"context_size": 1}, "without a context"),
    "gate": ({"gate_units": ()}, "without a gate"),
    "one type": ({"covariance_type": "full"}, "`covariance_types`"),
    "epochs": ({"epochs": 3}, "give `steps`"),
    "coupling": ({"coupling": "splin"}, "`coupling` must be .*got 'splin'. Did you mean 'spline'"),
    "units": ({"hidden_units": -3}, "`hidden_units` must be a sequence .* got -3"),
    "units in a list": ({"hidden_units": [-3]}, "`hidden_units` must hold .* got"),
    "couplings": ({"num_couplings": 0}, "`num_couplings` must be .* got 0"),
    "activation": ({"activation": "silou"}, "`activation` must be .* got 'silou'"),
    "dtype": ({"dtype": "float16"}, "`dtype` must be .* got 'float16'"),
    "dropout": ({"dropout": 2.0}, "`dropout` must be .* got 2.0"),
    "sizes of a user's": (
        {"conditioner_fn": lambda n, m: tf.keras.layers.Dense(m + 1)},
        r"conditioner must map \[1, 1\] to \[1, 2\]",
    ),
    "a type alone": ({"covariance_types": "ful"}, "`covariance_types` must be a sequence .*'ful'"),
    "types": ({"covariance_types": ["ful"]}, "`covariance_types` must be one of .*'full'"),
    "no types": ({"covariance_types": []}, "`covariance_types` must hold"),
    "a number alone": ({"num_components": 3}, "`num_components` must be a sequence .* got 3"),
    "too many": ({"num_components": [9]}, r"`num_components` must hold .* 1 to 7 .* got \[9\]"),
    "zero": ({"num_components": [0, 1]}, r"`num_components` must hold .* got \[0, 1\]"),
    "halves": ({"num_components": [1.5]}, r"`num_components` must hold whole .* got \[1.5\]"),
    "rate": ({"learning_rate": -1.0}, "`learning_rate` must be above zero, got -1.0"),
    "no rate": ({"learning_rate": "high"}, "`learning_rate` must be a number, got 'high'"),
    "decay": ({"weight_decay": -1}, "`weight_decay` must not be negative, got -1"),
    "fraction": ({"validation_fraction": 0.99}, "must leave at least 6 of the 60 rows"),
    "steps": ({"steps": 2.5}, "`steps` must be a whole number .* got 2.5"),
    "seed": ({"seed": None}, "`seed` must be a whole number .* got None"),
    "verbose": ({"verbose": 3}, "`verbose` must be 0, 1, 2 or 'auto', got 3"),
    "generator": ({"x": (row for row in X)}, "`x` must be an array or table .*got generator"),
    "data set": ({"x": tf.data.Dataset.from_tensors(X)}, "`x` must be an array or table"),
}
OF_SELECT_COMPONENTS = {
    "criterion": ({"criterion": "BIC"}, "`criterion` must be .* got 'BIC'. Did you mean 'bic'"),
    "dash": ({"criterion": "held-out"}, "Did you mean 'held_out'"),
    "another name": ({"epoch": 1}, "`select_components` has no argument `epoch`.*`epochs`"),
    "a weight too few": ({"sample_weight": np.ones(59)}, "`sample_weight` must .*60"),
    "weights of classes": ({"class_weight": {0: 1.0}}, "takes no weights of classes"),
    "labels": ({"y": np.ones(60)}, "`select_components` takes no labels"),
    "split": ({"validation_split": 0.1}, "trains on all of x"),
    "epochs": ({"epochs": 0}, "`epochs` must be a whole number >= 1, got 0"),
    "verbose": ({"verbose": "loud"}, "`verbose` must be"),
    "seed": ({"seed": "a"}, "`seed` must be a whole number"),
    "maker": ({"make_model": 3}, "`make_model` must be callable"),
    "columns": ({"x_test": X[:, :1]}, "`x_test` must have as many columns as `x`, 2, got 1"),
    "no columns": ({"x": X[:, 0]}, r"`x` must have shape \[N, D\]"),
    "too many": ({"num_components": [61]}, "no more components than there are points, 60"),
    "too many in folds": (
        {"num_components": [50], "criterion": "held_out"},
        "48 outside a fold, got 50",
    ),
    "a number alone": ({"num_components": 3}, "`num_components` must be a sequence .* got 3"),
    "generator": ({"x": (row for row in X)}, "`x` must be an array or table .*got generator"),
}


def no_work(*args, **kwargs):
    raise AssertionError("there was work")


@pytest.mark.slow
@pytest.mark.parametrize("case", OF_FIT_DENSITY)
def test_fit_density(case, monkeypatch):
    monkeypatch.setattr(fit_density, "choose_mixture", no_work)
    monkeypatch.setattr(fit_density, "training_plan", no_work if case == "steps" else PLAN)
    arguments, message = OF_FIT_DENSITY[case]
    with pytest.raises((TypeError, ValueError), match=message):
        gmnvp.fit_density(**{"x": X, "seed": 0, **arguments})


PLAN = fit_density.training_plan


@pytest.mark.slow
@pytest.mark.parametrize("case", OF_SELECT_COMPONENTS)
def test_select_components(case, monkeypatch):
    monkeypatch.setattr(selection, "_fit", no_work)
    arguments, message = OF_SELECT_COMPONENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        gmnvp.select_components(**{"x": X, "num_components": [1], "seed": 0, **arguments})
