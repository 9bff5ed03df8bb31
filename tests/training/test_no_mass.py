"""Rows whose weights are all zero: training changes nothing and warns."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

UPDATES = {
    "full_batch": gmnvp.FullBatchEM,
    "full_batch_prior": lambda: gmnvp.FullBatchEM(prior=gmnvp.Prior(), final_iterations=100),
    "stepwise": gmnvp.StepwiseEM,
    "stepwise_prior": lambda: gmnvp.StepwiseEM(prior=gmnvp.Prior(), final_iterations=100),
    "gradient": gmnvp.GradientUpdate,
}


def rows():
    x = np.random.default_rng(0).normal(size=[400, 2]).astype(np.float32)
    return x + np.repeat([[0.0, 0.0], [5.0, 5.0]], 200, axis=0).astype(np.float32)


def make_model(update, **arguments):
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, hidden_units=(4,), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    settings = {"jit_compile": False, **arguments}
    model.compile(tf.keras.optimizers.SGD(0.1), mixture_update=UPDATES[update](), **settings)
    model.initialize_mixture(rows())
    return model


def weightless(x, batch_size=100):
    zeros = np.zeros(len(x), np.float32)
    return tf.data.Dataset.from_tensor_slices((x, np.full(len(x), -1), zeros)).batch(batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("update", UPDATES)
def test_fit_changes_nothing_and_warns(update):
    model = make_model(update)
    before = [v.numpy() for v in model.distribution.variables]
    with pytest.warns(UserWarning, match="`sample_weight` was zero for all"):
        model.fit(weightless(rows()), epochs=2, verbose=0)
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-6, err_msg=variable.name)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["none to train on", "none to validate by"])
def test_a_validation_split_with_only_zero_weights_on_one_side_is_refused(weights):
    model = make_model("full_batch")
    sample_weight = np.repeat([0.0, 1.0], 200)
    message = "`sample_weight` of the rows left by `validation_split`"
    if weights == "none to validate by":
        sample_weight, message = sample_weight[::-1], "`sample_weight of validation_data`"
    before = [v.numpy() for v in model.distribution.variables]
    with pytest.raises(ValueError, match=message):
        model.fit(rows(), sample_weight=sample_weight, validation_split=0.5, verbose=0)
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_fit_mixture_refuses():
    flow = make_model("full_batch").distribution
    before = [v.numpy() for v in flow.variables]
    with pytest.raises(ValueError, match="`sample_weight` must be above zero for some"):
        gmnvp.fit_mixture(flow, weightless(rows()))
    for variable, value in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_some_batches_of_weight_zero_are_accepted():
    x = rows()
    sample_weight = np.repeat([0.0, 1.0], 200).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, np.full(400, -1), sample_weight)).batch(100)
    flow = make_model("full_batch").distribution
    alone = make_model("full_batch").distribution
    gmnvp.fit_mixture(flow, data)
    gmnvp.fit_mixture(alone, x[200:])
    for a, b in zip(
        mixtures.mixture_parameters(flow.distribution),
        mixtures.mixture_parameters(alone.distribution),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
