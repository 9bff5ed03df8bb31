"""Options that `select_components` passes on to `fit`: refused by name before any training."""

import numpy as np
import pytest

import tfp_gmnvp as gmnvp

X = np.random.default_rng(0).normal(size=[30, 2])
REFUSED = {
    "sample_weight": (np.ones(30), "count all rows alike"),
    "class_weight": ({0: 1.0}, "count all rows alike"),
    "y": (np.zeros(30, int), "labels would fix the number"),
    "validation_split": (0.5, "give `validation_data`"),
    "shuffle": (False, "shuffled by `seed`"),
}


def make_nothing(num_components, x, seed):
    raise AssertionError("a model was made")


@pytest.mark.parametrize("name", REFUSED)
def test_what_goes_with_rows_is_refused(name):
    value, reason = REFUSED[name]
    with pytest.raises(ValueError, match=f"^`{name}` is not for `select_components`: .*{reason}"):
        gmnvp.select_components(X, [1], make_model=make_nothing, seed=0, **{name: value})


def test_what_there_is_not_is_refused():
    with pytest.raises(TypeError, match=r"no argument `epoch`\. Did you mean 'epochs'"):
        gmnvp.select_components(X, [1], make_model=make_nothing, seed=0, epoch=3)


def test_what_fit_takes_is_passed_on():
    seen = {}

    class Model(gmnvp.FlowModel):
        def fit(self, x, **options):
            seen.update(options)

    def make_model(num_components, x, seed):
        return Model(gmnvp.gaussian_mixture_flow(2, num_components, num_couplings=1, seed=seed))

    options = {"validation_data": X, "validation_freq": 2, "sample_weight": None, "verbose": 2}
    gmnvp.select_components(X, [1], make_model=make_model, epochs=1, seed=0, **options)
    assert seen == {"epochs": 1, **options}
