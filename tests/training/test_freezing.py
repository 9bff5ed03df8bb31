"""Frozen parts do not change, bit for bit; also under tf_keras."""

import io

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, EACH_UPDATE, UPDATES, assert_same, make_flow, make_model, points
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tfp_gmnvp as gmnvp

keras = tf.keras


def values(part):
    return [v.numpy().copy() for v in part.trainable_variables]


def fit(model, **arguments):
    arguments = {"batch_size": 60, "epochs": 3, "verbose": 0, **arguments}
    return model.fit(points(), **arguments).history


def moved(model, **arguments):
    """Whether `fit` changes each variable of the bijector and of the mixture."""
    flow = model.distribution
    before = values(flow.bijector), values(flow.distribution)
    losses = fit(model, **arguments)["loss"]
    assert np.isfinite(losses).all()
    pairs = zip(before, (flow.bijector, flow.distribution), strict=True)
    return [
        [not np.array_equal(a, b) for a, b in zip(old, values(part), strict=True)]
        for old, part in pairs
    ]


def started(update, **arguments):
    model = make_model(update, **arguments)
    model.initialize_mixture(points())
    return model


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_each_part_can_be_frozen_and_unfrozen_between_fits(update):
    model = started(update)
    flow = model.distribution
    assert [set(part) for part in moved(model)] == [{True}, {True}]
    flow.bijector.trainable = False
    assert [set(part) for part in moved(model)] == [{False}, {True}]
    assert len(model.trainable_weights) == (3 if update == "gradient" else 0)
    flow.distribution.trainable = False
    assert [set(part) for part in moved(model)] == [{False}, {False}]
    flow.bijector.trainable = True
    assert [set(part) for part in moved(model)] == [{True}, {False}]
    flow.distribution.trainable = True
    model.trainable = False
    assert model.trainable_weights == []
    assert [set(part) for part in moved(model)] == [{False}, {False}]
    model.trainable = True
    assert [set(part) for part in moved(model)] == [{True}, {True}]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_freezing_works_before_and_after_compile(when):
    model = gmnvp.FlowModel(make_flow(), seed=0)
    if when == "before":
        model.trainable = False
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(final_iterations=2), jit_compile=False)
    if when == "after":
        model.trainable = False
    before = values(model.distribution)
    fit(model)
    model.train_on_batch(points())
    assert_same(values(model.distribution), before)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"run_eagerly": True}, BY_XLA])
def test_freezing_works_in_eager_mode_and_with_xla(arguments):
    model = started("stepwise", **arguments)
    model.distribution.bijector.trainable = False
    assert [set(part) for part in moved(model)] == [{False}, {True}]
    model.distribution.distribution.trainable = False
    model.distribution.bijector.trainable = True
    assert [set(part) for part in moved(model)] == [{True}, {False}]


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_one_coupling(update):
    model = started(update)
    bijector = model.distribution.bijector
    coupling = next(part for part in bijector.bijectors if part.trainable_variables)
    coupling.trainable = False
    held = {id(v) for v in coupling.trainable_variables}
    of_bijector, _ = moved(model)
    assert of_bijector == [id(v) not in held for v in bijector.trainable_variables]
    assert sum(of_bijector) == 2


@pytest.mark.slow
def test_a_frozen_start():
    """The first `fit` does not initialise a frozen mixture or a frozen `ActNorm`."""
    flow = make_flow(normalization="act_norm")
    flow.distribution.trainable = False
    act_norm = next(b for b in flow.bijector.bijectors if isinstance(b, gmnvp.ActNorm))
    act_norm.trainable = False
    others = [b for b in flow.bijector.bijectors if isinstance(b, gmnvp.ActNorm)][1:]
    before, mixture = values(act_norm), values(flow.distribution)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", jit_compile=False)
    fit(model)
    assert_same(values(act_norm), before)
    assert not act_norm.is_initialized.numpy()
    assert all(b.is_initialized.numpy() for b in others)
    assert_same(values(flow.distribution), mixture)


@pytest.mark.slow
def test_freezing_a_part_of_the_mixture_needs_gradient_updates():
    model = started("full_batch")
    model.distribution.distribution.components_distribution.trainable = False
    with pytest.raises(ValueError, match=r"whole mixture or for no part of it.*`GradientUpdate"):
        fit(model)
    model = started("gradient")
    mixture = model.distribution.distribution
    mixture.mixture_distribution.trainable = False
    held = {id(v) for v in mixture.mixture_distribution.trainable_variables}
    _, of_mixture = moved(model)
    assert of_mixture == [id(v) not in held for v in mixture.trainable_variables]
    assert any(of_mixture)


@pytest.mark.slow
def test_a_gate_is_frozen_with_its_mixture():
    flow = gmnvp.gaussian_mixture_flow(2, 2, num_couplings=1, context_size=1, gate_units=(), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    data = points()[:, :2], points()[:, 2:]
    model.initialize_mixture(data)
    flow.distribution.trainable = False
    before, bijector = values(flow.distribution), values(flow.bijector)
    model.fit(data, verbose=0)
    assert_same(values(flow.distribution), before)
    assert not np.array_equal(values(flow.bijector)[0], bijector[0])


@pytest.mark.slow
def test_an_optimizer_built_for_other_weights_is_refused():
    model = gmnvp.FlowModel(make_flow(), seed=0)
    model.distribution.bijector.trainable = False
    model.compile("adam", jit_compile=False)
    model.distribution.bijector.trainable = True
    with pytest.raises(ValueError, match="`compile` with a new optimizer"):
        fit(model)
    model.compile("adam", jit_compile=False)
    assert [set(part) for part in moved(model)] == [{True}, {True}]


def test_the_summary_shows_frozen_parts():
    model = started("stepwise")
    model.distribution.bijector.trainable = False
    text = io.StringIO()
    model.summary(print_fn=text.write)
    number = sum(int(tf.size(v)) for v in model.distribution.bijector.trainable_variables)
    assert f"Frozen: {number:,}" in text.getvalue()
    assert "Trainable by the optimizer: 0" in text.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("kind", ["identity", "standardization"])
def test_a_bijector_without_variables(kind, update):
    """With an identity bijector, EM is that of a plain mixture; the optimizer trains nothing."""
    bijector = gmnvp.standardization(points())
    if kind == "identity":
        bijector = tfb.Identity()
    mixture = gmnvp.gaussian_mixture(2, 3, seed=0)
    flow = tfd.TransformedDistribution(mixture, bijector)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=UPDATES[update](), jit_compile=False)
    before = values(mixture)
    assert fit(model)["loss"][-1] < 5.0
    assert not any(np.array_equal(a, b) for a, b in zip(before, values(mixture), strict=True))
    assert model.evaluate(points(), verbose=0) < 5.0
    model.train_on_batch(points())


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.by_xla
def test_a_bijector_without_variables_compiled():
    bijector = gmnvp.standardization(points())
    flow = tfd.TransformedDistribution(gmnvp.gaussian_mixture(2, 3, seed=0), bijector)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=True)
    assert fit(model, epochs=2)["loss"][-1] < 5.0
