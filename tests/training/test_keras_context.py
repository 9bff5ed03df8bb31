"""Pairs of points and contexts in all Keras methods; most tests also run under tf_keras."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import HOW_TO_RUN, UPDATES
from support import count_ops

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.flows import conditional
from tfp_gmnvp.training.data import rereading

keras = tf.keras
GATES = {"gate": (6,), "no gate": None}


def pairs(size=120, seed=0):
    """Points about two centers; the sign of the context usually determines the center."""
    rng = np.random.default_rng(seed)
    context = rng.normal(size=[size, 1])
    component = (context[:, 0] + 0.3 * rng.normal(size=size) > 0).astype(int)
    x = np.array([[-2.0, 1.0], [2.0, 0.0]])[component] + 0.4 * rng.normal(size=[size, 2])
    return (x + 0.5 * context).astype(np.float32), context.astype(np.float32), component


def make_model(update="stepwise", gate_units=(6,), optimizer=None, **arguments):
    flow = gmnvp.gaussian_mixture_flow(
        2,
        2,
        num_couplings=2,
        hidden_units=(8,),
        context_size=1,
        gate_units=gate_units,
        standardize=pairs()[0],
        seed=0,
        **arguments,
    )
    model = gmnvp.FlowModel(flow, seed=0)
    optimizer = optimizer or keras.optimizers.Adam(1e-2)
    model.compile(optimizer, mixture_update=UPDATES[update](), **HOW_TO_RUN)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update", "gate_units"),
    [
        ("stepwise", (6,)),
        pytest.param("full_batch", None, marks=pytest.mark.one_keras),
        pytest.param("gradient", (6,), marks=pytest.mark.one_keras),
    ],
)
def test_fit_save_load_and_fit_again(update, gate_units, tmp_path):
    x, context, _ = pairs()
    model = make_model(update, gate_units, normalization="act_norm")
    fit = {"batch_size": 40, "shuffle": False, "verbose": 0, "validation_data": ((x, context),)}
    history = model.fit((x, context), epochs=4, **fit).history
    expected = model.distribution.log_prob(x, context=context).numpy()
    assert history["loss"][-1] < history["loss"][0] - 0.2
    assert history["val_loss"][-1] == pytest.approx(-expected.mean(), abs=1e-5)
    np.testing.assert_allclose(model.predict((x, context), verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(model((x, context)), expected, atol=1e-5)
    model.save(str(tmp_path / "model.keras"))
    other = keras.models.load_model(str(tmp_path / "model.keras"))
    np.testing.assert_array_equal(other((x, context)), model((x, context)))
    losses = [m.fit((x, context), epochs=2, **fit).history["loss"] for m in (model, other)]
    np.testing.assert_array_equal(*losses)


@pytest.mark.slow
def test_all_forms_of_the_same_data_train_alike():
    x, context, component = pairs()
    model = make_model(optimizer=keras.optimizers.SGD(0.0))
    model.initialize_mixture((x, context))
    weight = np.linspace(0.5, 2.0, 120, dtype=np.float32)
    log_prob = model.distribution.log_prob(x, context=context).numpy()
    y = np.where(np.arange(120) % 5 == 0, component, -1)
    for elements in (((x, context),), ((x, context), y), ((x, context), y, weight)):
        data = tf.data.Dataset.from_tensor_slices(elements).batch(40)
        results = [model.evaluate(data, verbose=0)]
        arguments = dict(zip(("x", "y", "sample_weight"), elements, strict=False))
        results.append(model.evaluate(**arguments, batch_size=40, verbose=0))
        weights = weight if len(elements) == 3 else None
        for result in results:
            loss = np.ravel(result)[0]
            assert loss == pytest.approx(-np.average(log_prob, weights=weights), rel=1e-4)
        np.testing.assert_allclose(*results, rtol=1e-4)
        batches = rereading.training_batches(data)
        rows = np.concatenate([batch[0] for batch in batches()])
        np.testing.assert_array_equal(rows, np.concatenate([x, context], axis=1))
    np.testing.assert_allclose(model.test_on_batch((x, context)), -log_prob.mean(), rtol=1e-4)


@pytest.mark.slow
def test_validation_split_and_data_sets_train():
    x, context, component = pairs()
    data = tf.data.Dataset.from_tensor_slices(((x, context), component)).batch(40)
    model = make_model("full_batch")
    history = model.fit(data, epochs=2, validation_data=data, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    history = model.fit((x, context), component, validation_split=0.25, verbose=0).history
    log_prob = model.distribution.log_prob(x[90:], context=context[90:])
    assert history["val_loss"][0] == pytest.approx(-np.mean(log_prob), rel=1e-4)


@pytest.mark.slow
@pytest.mark.one_keras
def test_the_mixture_starts_on_latents_computed_with_contexts():
    x, context, _ = pairs()
    model = make_model()
    for i, variable in enumerate(model.distribution.bijector.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [0, i])
        variable.assign_add(0.3 * noise)
    model.initialize_mixture((x, context))
    z = gmnvp.condition(model.distribution, context).bijector.inverse(x)
    expected = em.initial_parameters(z, 2, "full", seed=model._seed, num_seedings=4)
    present = mixtures.mixture_parameters(model.distribution.distribution)
    for value, other in zip(present, expected, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-4)
    probs = model.distribution.distribution.at([[3.0]]).mixture_distribution.probs_parameter()
    np.testing.assert_allclose(probs[0], expected.probs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("gate_units", GATES.values(), ids=GATES)
def test_em_with_all_networks_frozen_never_lowers_the_likelihood(gate_units):
    x, context, _ = pairs()
    model = make_model("full_batch", gate_units, keras.optimizers.Adam(1e-2))
    model.fit((x, context), epochs=4, verbose=0)
    data = np.concatenate([x + 0.5, context], axis=1)
    with pytest.warns(gmnvp.ConvergenceWarning):
        fit = gmnvp.fit_mixture(
            model.distribution, (x + 0.5, context), max_iterations=8, tolerance=0.0
        )
    assert np.all(np.diff(fit.objective) > -1e-5)
    loss = model.evaluate(data, verbose=0)
    assert loss == pytest.approx(-fit.objective[-1], abs=1e-4)


@pytest.mark.slow
@pytest.mark.one_keras
def test_the_gate_learns_which_component_belongs_to_a_context():
    x, context, _ = pairs(400)
    model = make_model("full_batch", optimizer=keras.optimizers.Adam(3e-2))
    model.fit((x, context), batch_size=50, epochs=8, verbose=0)
    weights = model.distribution.distribution.at([[-2.0], [2.0]])
    probs = weights.mixture_distribution.probs_parameter().numpy()
    assert np.abs(probs[0] - probs[1]).max() > 0.8
    assert {part for part in ("gate", "mixture weights") if part in summary(model)} == {
        "gate",
        "mixture weights",
    }


def summary(model):
    lines = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.one_keras
def test_one_step_evaluates_each_network_once():
    model = make_model()
    specs = tf.TensorSpec([None, 2]), tf.TensorSpec([None, 1])
    counts = count_ops(lambda x, context: model.test_step(((x, context),)), *specs)
    assert counts["Sigmoid"] == 3  # of two conditioners and the gate


@pytest.mark.slow
@pytest.mark.one_keras
def test_exports_take_the_context_as_an_input(tmp_path):
    x, context, _ = pairs()
    flow = make_model().distribution
    for i, variable in enumerate(flow.trainable_variables):
        variable.assign_add(0.1 * tf.random.stateless_normal(variable.shape, [0, i]))
    gmnvp.export_flow(flow, tmp_path / "flow")
    served = tf.saved_model.load(str(tmp_path / "flow"))
    bound = gmnvp.condition(flow, context)
    np.testing.assert_allclose(served.log_prob(x, context), bound.log_prob(x), rtol=1e-5, atol=1e-4)
    z = served.inverse(x, context)
    np.testing.assert_allclose(served.forward(z, context), x, rtol=1e-5, atol=1e-4)
    samples = served.sample(3, [0, 1], context)
    np.testing.assert_allclose(samples, bound.sample(3, seed=[0, 1]), rtol=1e-5, atol=1e-4)
    at_once = served.signatures["serving_default"](x=tf.constant(x), context=tf.constant(context))
    np.testing.assert_allclose(at_once["log_prob"], bound.log_prob(x), rtol=1e-5, atol=1e-4)
    posterior = gmnvp.posterior(bound, x).probs_parameter()
    np.testing.assert_allclose(at_once["posterior"], posterior, rtol=1e-5, atol=1e-4)
    assert int(served.describe()["context_size"]) == 1
    gmnvp.export_flow(gmnvp.condition(flow, context[0]), tmp_path / "bound")  # at one context
    served = tf.saved_model.load(str(tmp_path / "bound"))
    expected = gmnvp.condition(flow, context[0]).log_prob(x)
    np.testing.assert_allclose(served.log_prob(x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [lambda x, c: x, lambda x, c: (x, c[:60]), lambda x, c: (x, c, c), lambda x, c: (c, x)]
)
def test_inputs_that_are_not_pairs_are_refused(data):
    model, (x, context, _) = make_model(), pairs()
    for method in (model.fit, model.evaluate, model.predict, model.train_on_batch):
        with pytest.raises(ValueError, match=r"`x` must be a pair \(points, context\)"):
            method(data(x, context))
    rows = tf.data.Dataset.from_tensor_slices((x,)).batch(40)
    with pytest.raises(ValueError, match=r"must hold pairs \(points, context\)"):
        conditional.points_and_context(model.distribution, next(iter(rows))[0])
