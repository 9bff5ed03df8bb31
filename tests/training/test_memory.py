"""A deleted model and its data leave nothing in memory."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_model, points

import tfp_gmnvp as gmnvp

keras = tf.keras


class Rows(np.ndarray):
    """An array that allows weak references to it and to its views."""


def rows(size=120, dtype=np.float64):
    return points(size).astype(dtype).view(Rows)


def fit(model, x):
    model.fit(x, batch_size=30, epochs=2, validation_data=x[:20], verbose=0)


def fit_by_steps(model, x):
    model.fit(x, batch_size=30, epochs=2, steps_per_epoch=3, verbose=0)


def fit_data_set(model, x):
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(30), verbose=0)


def evaluate(model, x):
    model.initialize_mixture(x)
    model.evaluate(x, verbose=0)


def predict(model, x):
    model.predict(x, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("use", [fit, fit_by_steps, fit_data_set, evaluate, predict])
def test_model_and_data_are_freed(use):
    model, x = make_model("stepwise", "sgd"), rows()
    use(model, x)
    references = [weakref.ref(model), weakref.ref(model.flow), weakref.ref(x)]
    keras.backend.clear_session()
    del model, x
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


@pytest.mark.slow
@pytest.mark.one_keras
def test_data_of_whole_procedures_is_freed():
    x = rows()
    references = [weakref.ref(x)]
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1, hidden_units=(4,), seed=0)
    gmnvp.fit_mixture(flow, x)
    gmnvp.select_components(x, [1, 2], epochs=1, seed=0, verbose=0)
    settings = {"num_components": [1], "covariance_types": ["full"], "hidden_units": (4,)}
    gmnvp.fit_density(x, seed=0, steps=4, num_couplings=1, verbose=0, **settings)
    references.append(weakref.ref(flow))
    del x, flow
    gc.collect()
    assert [reference() for reference in references] == [None, None]


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_the_graphs_of_a_training_are_freed(covariance_type):
    flow = gmnvp.gaussian_mixture_flow(
        3, 2, covariance_type=covariance_type, num_couplings=1, hidden_units=(4,), seed=0
    )
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM())
    num_before = num_graphs()
    model.fit(points(60), epochs=1, verbose=0)
    assert num_graphs() > num_before
    del model, flow
    assert num_graphs() == num_before


def num_graphs():
    """The number of graphs of functions in memory."""
    gc.collect()
    return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())
