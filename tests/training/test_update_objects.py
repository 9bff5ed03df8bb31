"""A mixture update is configuration: its state belongs to the model."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp

schedules = tf.keras.optimizers.schedules
UPDATES = {
    "full_batch": lambda: gmnvp.FullBatchEM(prior=gmnvp.Prior()),
    "stepwise": lambda: gmnvp.StepwiseEM(step_size=gmnvp.PowerSchedule()),
    "annealed": lambda: gmnvp.StepwiseEM(annealing=schedules.PolynomialDecay(0.2, 10, 1.0)),
    "gradient": gmnvp.GradientUpdate,
}
EACH_UPDATE = pytest.mark.parametrize("update", UPDATES)


def points(offset=0.0):
    return np.random.default_rng(0).normal(size=[90, 2]).astype(np.float32) + np.float32(offset)


def make_model(update, num_components=2):
    flow = gmnvp.gaussian_mixture_flow(
        2, num_components, num_couplings=1, hidden_units=(4,), seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile(tf.keras.optimizers.SGD(0.01), mixture_update=update, jit_compile=False)
    return model


def fit(model, x, **arguments):
    return model.fit(x, batch_size=30, shuffle=False, verbose=0, **arguments).history["loss"]


@pytest.mark.slow
@EACH_UPDATE
def test_one_object_serves_two_models(update):
    shared = UPDATES[update]()
    ours = [make_model(shared, 2), make_model(shared, 3)]
    alone = [make_model(UPDATES[update](), 2), make_model(UPDATES[update](), 3)]
    for models in (ours, alone):
        fit(models[0], points())
        fit(models[1], points(9.0), epochs=2)
        fit(models[0], points())
    for a, b in zip(ours, alone, strict=True):
        assert len(a.weights) == len(b.weights)
        for u, v in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(u, v)


def pickled(update):
    return pickle.loads(pickle.dumps(update))


@pytest.mark.slow
@EACH_UPDATE
def test_copies_contain_only_the_configuration(update):
    original = UPDATES[update]()
    model = make_model(original)
    losses = fit(model, points())
    for one in (original, model.mixture_update):
        for copied in (copy.copy, copy.deepcopy, pickled):
            other = copied(one)
            assert other.get_config().keys() == original.get_config().keys()
            assert other.covariance_floor == original.covariance_floor
            assert other.prior == original.prior
            assert not other.variables
    np.testing.assert_array_equal(fit(make_model(other), points()), losses)


@pytest.mark.slow
def test_using_a_copy_does_not_change_the_models_state():
    model = make_model(UPDATES["stepwise"]())
    fit(model, points())
    other = make_model(model.mixture_update)
    fit(other, points(), epochs=2)
    assert [int(v) for m in (model, other) for v in m.mixture_update.variables] == [3, 6]
