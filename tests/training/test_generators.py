"""Python generators of batches, bare or in tuples."""

import numpy as np
import pytest

import tfp_gmnvp as gmnvp

X = np.random.default_rng(0).normal(size=[40, 2]).astype(np.float32)


def make_model(update, *, initialize=False):
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, hidden_units=(4,), seed=0)
    model = gmnvp.FlowModel(flow, initialize=initialize, seed=0)
    model.compile("sgd", mixture_update=update, jit_compile=False)
    return model


def batches(*, as_tuples):
    while True:
        yield (X,) if as_tuples else X


@pytest.mark.slow
def test_bare_arrays_and_tuples_train_alike():
    losses = []
    for as_tuples in (False, True):
        model = make_model(gmnvp.StepwiseEM())
        data = batches(as_tuples=as_tuples)
        losses.append(model.fit(data, steps_per_epoch=2, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    loss = model.evaluate(batches(as_tuples=False), steps=1, verbose=0)
    np.testing.assert_allclose(loss, model.evaluate(X, verbose=0), rtol=1e-5)


@pytest.mark.parametrize("initialize", [True, False])
def test_a_generator_that_must_be_read_twice_is_refused(initialize):
    model = make_model(gmnvp.FullBatchEM(), initialize=initialize)
    with pytest.raises(TypeError, match=r"`x` must be an array, a `tf.data.Dataset`"):
        model.fit(batches(as_tuples=False), steps_per_epoch=2, verbose=0)


def test_invalid_batches_are_refused():
    model = make_model(gmnvp.StepwiseEM())
    with pytest.raises(ValueError, match=r"`x` must yield batches of points.* got str"):
        model.fit((text for text in ["a"]), steps_per_epoch=1, verbose=0)
