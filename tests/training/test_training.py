"""The Keras model; most tests run again under tf_keras: see test_run_again.py."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, EACH_UPDATE, HOW_TO_RUN

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures

keras = tf.keras
UPDATES = {
    "full_batch": gmnvp.FullBatchEM,
    "stepwise": gmnvp.StepwiseEM,
    "gradient": gmnvp.GradientUpdate,
}


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    centers = np.array([[-3.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
    return (centers[rng.integers(2, size=120)] + rng.normal(size=(120, 3))).astype(np.float32)


def make_model(x, update=None, *, optimizer=None, seed=0, num_components=2, **compile_arguments):
    """A small model whose bijector is not the identity."""
    flow = gmnvp.gaussian_mixture_flow(
        x.shape[1],
        num_components,
        num_couplings=2,
        hidden_units=(8,),
        standardize=x,
        dtype=x.dtype,
        seed=seed,
    )
    for i, variable in enumerate(flow.bijector.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [seed, i], dtype=variable.dtype)
        variable.assign_add(0.1 * noise)
    model = gmnvp.FlowModel(flow, seed=seed)
    optimizer = keras.optimizers.Adam(1e-2) if optimizer is None else optimizer
    model.compile(optimizer, mixture_update=update, **{**HOW_TO_RUN, **compile_arguments})
    return model


def frozen():
    return keras.optimizers.SGD(0.0)


def values(variables):
    return [variable.numpy() for variable in variables]


def mean_nll(model, x):
    return -np.mean(model.distribution.log_prob(x).numpy())


def em_iteration(model, x, sample_weight=None, floor=1e-4):
    """One EM iteration on the model's latents, by functions of `em`."""
    mixture = model.distribution.distribution
    z = model.distribution.bijector.inverse(x)
    responsibilities, _ = em.expectation(mixtures.component_log_joint(mixture, z))
    statistics = em.sufficient_statistics(
        z,
        responsibilities,
        mixture.components_distribution.loc,
        "full",
        sample_weight=sample_weight,
    )
    return em.maximization(statistics, "full", covariance_floor=floor)


def assert_parameters_close(actual, expected, rtol=1e-4):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_fit_learns_and_reports_nats(x, update):
    model = make_model(x, UPDATES[update]())
    history = model.fit(x, epochs=8, batch_size=30, validation_data=x[:40], verbose=0).history
    assert sorted(history) == ["loss", "skipped_steps", "val_loss"]
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_loss"][-1] == pytest.approx(mean_nll(model, x[:40]), abs=1e-4)
    assert model.evaluate(x, verbose=0) == pytest.approx(mean_nll(model, x), abs=1e-4)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), model.distribution.log_prob(x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("update", ["full_batch", "stepwise"])
def test_the_optimizer_does_not_train_the_mixture_under_em(x, update):
    model = make_model(x, UPDATES[update]())
    flow = model.distribution
    assert len(model.trainable_variables) == len(flow.bijector.trainable_variables)
    assert len(model.trainable_weights) == len(flow.bijector.trainable_variables)
    num_notes = 2  # a flag for initialisation, and the number of epochs
    assert len(model.weights) == len(flow.variables) + num_notes


def test_the_optimizer_trains_the_mixture_under_gradient_update(x):
    model = make_model(x, gmnvp.GradientUpdate())
    assert len(model.trainable_variables) == len(model.distribution.trainable_variables)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_summary_counts_every_parameter_once(x, update, capsys):
    model = make_model(x, UPDATES[update]())
    flow = model.distribution
    sizes = {v.ref(): int(tf.size(v)) for v in flow.variables}
    assert model.count_params() == sum(sizes.values())


def test_gradient_step_is_the_gradient_of_the_negative_log_likelihood(x):
    model = make_model(x, gmnvp.GradientUpdate(), optimizer=keras.optimizers.SGD(0.1))
    model.initialize_mixture(x)
    variables = model.distribution.trainable_variables
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.distribution.log_prob(tf.constant(x)))
    gradients = tape.gradient(loss, variables)
    expected = [v - 0.1 * g for v, g in zip(variables, gradients, strict=True)]
    model.train_on_batch(x)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, atol=2e-5)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("weighted", [False, True])
def test_full_batch_em_with_frozen_bijector_is_em(x, weighted):
    sample_weight = np.linspace(0.5, 2.0, len(x)).astype(np.float32) if weighted else None
    model = make_model(x, gmnvp.FullBatchEM(), optimizer=frozen())
    model.initialize_mixture(x)
    twin = make_model(x, gmnvp.FullBatchEM(), optimizer=frozen())
    twin.initialize_mixture(x)
    for _ in range(3):
        mixtures.assign_parameters(
            twin.distribution.distribution, em_iteration(twin, x, sample_weight)
        )
    model.fit(x, epochs=3, batch_size=50, sample_weight=sample_weight, verbose=0)
    assert_parameters_close(
        mixtures.mixture_parameters(model.distribution.distribution),
        mixtures.mixture_parameters(twin.distribution.distribution),
    )


@pytest.mark.slow
@pytest.mark.one_keras
def test_full_batch_em_every_other_epoch_with_two_iterations(x):
    model = make_model(x, gmnvp.FullBatchEM(every=2, num_iterations=2), optimizer=frozen())
    twin = make_model(x, gmnvp.FullBatchEM(), optimizer=frozen())
    model.fit(x, epochs=3, verbose=0)  # updates at epochs 0 and 2
    twin.fit(x, epochs=4, verbose=0)
    assert_parameters_close(
        mixtures.mixture_parameters(model.distribution.distribution),
        mixtures.mixture_parameters(twin.distribution.distribution),
    )


@pytest.mark.one_keras
def test_stepwise_em_of_step_size_one_is_em_on_the_batch(x):
    model = make_model(x, gmnvp.StepwiseEM(step_size=1.0), optimizer=frozen())
    model.initialize_mixture(x)
    expected = em_iteration(model, x)
    model.train_on_batch(x)
    assert_parameters_close(mixtures.mixture_parameters(model.distribution.distribution), expected)


@pytest.mark.slow
@pytest.mark.one_keras
def test_stepwise_em_averages_statistics(x):
    eta = 0.3
    model = make_model(x, gmnvp.StepwiseEM(step_size=eta, covariance_floor=0.0), optimizer=frozen())
    model.initialize_mixture(x)
    mixture = model.distribution.distribution
    before = mixtures.mixture_parameters(mixture)
    batch = em_iteration(model, x, floor=0.0)
    model.train_on_batch(x)
    after = mixtures.mixture_parameters(mixture)
    weight = np.stack([(1 - eta) * before.probs, eta * batch.probs])  # of past and batch, [2, K]
    weight /= weight.sum(axis=0)
    loc = np.einsum("sk,skd->kd", weight, np.stack([before.loc, batch.loc]))
    moment = [c + np.einsum("ki,kj->kij", m, m) for _, m, c in (before, batch)]
    covariance = np.einsum("sk,skij->kij", weight, np.stack(moment))
    covariance -= np.einsum("ki,kj->kij", loc, loc)
    np.testing.assert_allclose(after.probs, (1 - eta) * before.probs + eta * batch.probs, atol=1e-5)
    np.testing.assert_allclose(after.loc, loc, atol=1e-5)
    np.testing.assert_allclose(after.covariance, covariance, atol=1e-4)


@pytest.mark.slow
@pytest.mark.one_keras
def test_stepwise_em_ignores_batches_of_weight_zero(x):
    model = make_model(x, gmnvp.StepwiseEM(), optimizer=keras.optimizers.SGD(0.1))
    model.initialize_mixture(x)
    before = values(model.distribution.variables)
    model.train_on_batch(x, sample_weight=np.zeros(len(x)))
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-5)


@pytest.mark.slow
@pytest.mark.one_keras
@pytest.mark.parametrize("update", UPDATES)
def test_integer_weights_are_repetitions(x, update):
    counts = np.arange(len(x)) % 3
    weighted = make_model(x, UPDATES[update](), optimizer=keras.optimizers.SGD(0.05))
    weighted.initialize_mixture(x, sample_weight=counts)
    repeated = make_model(x, UPDATES[update](), optimizer=keras.optimizers.SGD(0.05))
    for variable, source in zip(
        repeated.distribution.variables, weighted.distribution.variables, strict=True
    ):
        variable.assign(source)
    rows = np.repeat(x, counts, axis=0)
    repeated._is_initialized.assign(True)
    a = weighted.fit(x, sample_weight=counts, batch_size=len(x), epochs=2, verbose=0).history
    with pytest.warns(gmnvp.DegenerateDataWarning, match="40 rows are copies"):
        b = repeated.fit(rows, batch_size=len(rows), epochs=2, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)
    for u, v in zip(weighted.distribution.variables, repeated.distribution.variables, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_arrays_and_data_sets_train_alike(x, update):
    weights = np.linspace(1.0, 2.0, len(x)).astype(np.float32)
    results = []
    for as_dataset in (False, True):
        model = make_model(x, UPDATES[update]())
        if as_dataset:
            data = tf.data.Dataset.from_tensor_slices((x, np.full(len(x), -1), weights)).batch(50)
            model.fit(data, epochs=2, verbose=0)
        else:
            model.fit(x, sample_weight=weights, batch_size=50, epochs=2, shuffle=False, verbose=0)
        results.append(values(model.distribution.variables))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [{"steps_per_execution": 3}, {"run_eagerly": True}, BY_XLA],
    ids=lambda arguments: next(iter(arguments)),
)
@pytest.mark.parametrize("update", EACH_UPDATE[1:])  # full-batch EM: test_keras_fit.py
def test_ways_to_run_agree(x, update, arguments):
    fit = {"batch_size": 40, "epochs": 2, "shuffle": False, "verbose": 0}
    plain = make_model(x, UPDATES[update]())
    other = make_model(x, UPDATES[update](), **arguments)
    np.testing.assert_allclose(
        other.fit(x, **fit).history["loss"], plain.fit(x, **fit).history["loss"], rtol=1e-3
    )


@pytest.mark.slow
@pytest.mark.one_keras
def test_one_evaluation_of_each_conditioner_per_step(x):
    model = make_model(x, gmnvp.StepwiseEM())
    step = tf.function(model.train_step).get_concrete_function((tf.TensorSpec([None, 3]),))
    num_products = [op.type for op in step.graph.get_operations()].count("MatMul")
    num_layers = 2 * 2  # two couplings of two layers
    of_mixture = 3  # forward pass and two gradients, one of which the graph prunes
    # forward pass, gradients of kernels and inputs, but not of the data
    assert num_products == 3 * num_layers - 1 + of_mixture


@pytest.mark.slow
@pytest.mark.one_keras
def test_the_first_fit_initialises_the_mixture_once(x):
    model = make_model(x, gmnvp.GradientUpdate(), optimizer=frozen())
    start = values(model.distribution.distribution.variables)
    model.fit(x, verbose=0)
    first = values(model.distribution.distribution.variables)
    assert not all(np.allclose(a, b) for a, b in zip(start, first, strict=True))
    model.fit(x + 5, verbose=0)
    for a, b in zip(first, values(model.distribution.distribution.variables), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.one_keras
def test_initialisation_can_be_turned_off(x):
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=1, hidden_units=(), seed=0)
    before = values(flow.distribution.variables)
    model = gmnvp.FlowModel(flow, initialize=False)
    model.compile(frozen(), mixture_update=gmnvp.GradientUpdate(), run_eagerly=True)
    model.fit(x, verbose=0)
    for a, b in zip(before, values(flow.distribution.variables), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_em_does_not_use_rows_of_validation_split(x):
    rows = np.concatenate([x, x[:30] + 100])
    model = make_model(x, gmnvp.FullBatchEM(), optimizer=frozen())
    twin = make_model(x, gmnvp.FullBatchEM(), optimizer=frozen())
    model.fit(rows, validation_split=0.2, epochs=2, verbose=0)
    twin.fit(x, epochs=2, verbose=0)
    assert_parameters_close(
        mixtures.mixture_parameters(model.distribution.distribution),
        mixtures.mixture_parameters(twin.distribution.distribution),
    )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".ckpt"])
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_weights_are_loaded_and_training_continues(x, update, suffix, tmp_path):
    path = str(tmp_path / f"model{suffix}")
    fit = {"batch_size": 40, "shuffle": False, "verbose": 0}
    model = make_model(x, UPDATES[update]())
    model.fit(x, epochs=2, **fit)
    if suffix == ".ckpt":
        tf.train.Checkpoint(model=model).write(path)
    else:
        model.save_weights(path)
    other = make_model(x + 1, UPDATES[update](), seed=1)
    if suffix == ".ckpt":
        tf.train.Checkpoint(model=other).read(path).assert_consumed()
    else:
        other.load_weights(path)
    for a, b in zip(values(model.weights), values(other.weights), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.distribution.log_prob(x), other.distribution.log_prob(x))
    np.testing.assert_array_equal(
        model.fit(x, epochs=2, **fit).history["loss"], other.fit(x, epochs=2, **fit).history["loss"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_float64(x, update):
    keras.backend.set_floatx("float64")
    try:
        model = make_model(x.astype(np.float64), UPDATES[update]())
        loss = model.fit(x.astype(np.float64), epochs=2, verbose=0).history["loss"]
    finally:
        keras.backend.set_floatx("float32")
    assert {v.dtype for v in model.distribution.variables} == {tf.float64}
    assert np.isfinite(loss).all()


@pytest.mark.slow
@pytest.mark.one_keras
def test_one_component_is_the_ordinary_real_nvp(x):
    model = make_model(x, num_components=1)
    history = model.fit(x, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(
        model.distribution.distribution.mixture_distribution.probs_parameter(), [1.0]
    )


@pytest.mark.slow
def test_best_weights_are_restored(x):
    model = make_model(x, gmnvp.StepwiseEM(), optimizer=keras.optimizers.Adam(0.05))
    best = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    validation_data = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    history = model.fit(
        x, epochs=30, validation_data=validation_data, callbacks=best, verbose=0
    ).history
    assert len(history["loss"]) < 30
    assert mean_nll(model, validation_data) == pytest.approx(min(history["val_loss"]), abs=1e-4)


@pytest.mark.slow
def test_endless_data_set_with_steps(x):
    endless = tf.data.Dataset.from_tensor_slices(x).batch(40).repeat()
    model = make_model(x, gmnvp.FullBatchEM())
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(endless, verbose=0)
    assert len(model.fit(endless, steps_per_epoch=3, epochs=2, verbose=0).history["loss"]) == 2


def test_data_that_can_be_read_only_once_is_refused(x):
    with pytest.raises(TypeError, match="`x` must be an array"):
        make_model(x).fit((batch for batch in [x]), verbose=0)


@pytest.mark.slow
def test_sequence_of_batches(x):
    class Batches(keras.utils.Sequence if hasattr(keras.utils, "Sequence") else object):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return (x[40 * index : 40 * (index + 1)],)

    assert len(make_model(x).fit(Batches(), epochs=2, verbose=0).history["loss"]) == 2


def test_compile_refuses_invalid_arguments(x):
    with pytest.raises(TypeError, match=r"`mixture_update` must be a `MixtureUpdate`.*'em'"):
        make_model(x, "em")
    with pytest.raises(ValueError, match="`loss` cannot be chosen"):
        make_model(x, loss="mse")


@pytest.mark.one_keras
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: gmnvp.StepwiseEM(step_size=0.0), "step_size"),
        (lambda: gmnvp.StepwiseEM(step_size=1.5), "step_size"),
        (lambda: gmnvp.FullBatchEM(every=0), "every"),
        (lambda: gmnvp.FullBatchEM(num_iterations=0.5), "num_iterations"),
        (lambda: gmnvp.FullBatchEM(covariance_floor=-1.0), "covariance_floor"),
    ],
)
def test_updates_say_what_is_wrong(build, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        build()


@pytest.mark.slow
def test_evaluation_is_weighted(x):
    model = make_model(x)
    weights = np.arange(len(x)) % 3
    nll = -model.distribution.log_prob(x).numpy()
    expected = np.average(nll, weights=weights)
    assert model.evaluate(x, sample_weight=weights, verbose=0) == pytest.approx(expected, abs=1e-4)
    model = make_model(x, gmnvp.GradientUpdate(), optimizer=frozen())
    history = model.fit(x, validation_data=(x, None, weights), verbose=0).history
    expected = np.average(-model.distribution.log_prob(x).numpy(), weights=weights)
    assert history["val_loss"][-1] == pytest.approx(expected, abs=1e-4)
