"""All features of Keras' `fit`, one by one; all tests also run under tf_keras."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from keras_models import (
    AS_USERS_DO,
    BY_XLA,
    EACH_UPDATE,
    HOW_TO_RUN,
    UPDATES,
    make_flow,
    make_model,
    next_losses,
    points,
    sequence_of,
)

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

keras = tf.keras
OPTIMIZERS = {
    "SGD": {"learning_rate": 0.01, "momentum": 0.5, "nesterov": True},
    "RMSprop": {"learning_rate": 0.01},
    "Adam": {"learning_rate": 0.01, "amsgrad": True},
    "AdamW": {"learning_rate": 0.01, "weight_decay": 0.01},
    "Nadam": {"learning_rate": 0.01},
    "Adamax": {"learning_rate": 0.01},
    "Adagrad": {"learning_rate": 0.01},
    "Adadelta": {"learning_rate": 1.0},
    "Ftrl": {"learning_rate": 0.01},
    "Lion": {"learning_rate": 0.003},
    "Adafactor": {"learning_rate": 0.01},
    "Lamb": {"learning_rate": 0.01},
    "Muon": {"learning_rate": 0.01},
}
SCHEDULES = {
    "ExponentialDecay": (0.05, 2, 0.5),
    "CosineDecay": (0.05, 2),
    "PiecewiseConstantDecay": ([1], [0.05, 0.005]),
    "PolynomialDecay": (0.05, 2),
    "InverseTimeDecay": (0.05, 2, 0.5),
}


def sgd(learning_rate=0.0, **arguments):
    return keras.optimizers.SGD(learning_rate, **arguments)


def values(variables):
    return [variable.numpy() for variable in variables]


def assert_all_equal(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def step(optimizer, update="gradient"):
    """The trainable variables before a step, their gradients, and the variables after."""
    model = make_model(update, optimizer, run_eagerly=True)
    model.initialize_mixture(points())
    variables = model.distribution.trainable_variables
    variables[0].assign_add(tf.ones_like(variables[0]))
    before = values(variables)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.distribution.log_prob(points()))
    gradients = values(tape.gradient(loss, variables))
    model.train_on_batch(points())
    return before, gradients, values(variables)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(name):
    if not hasattr(keras.optimizers, name):
        pytest.skip(f"this Keras has no {name}")
    optimizer = getattr(keras.optimizers, name)(**OPTIMIZERS[name])
    model = make_model("gradient", optimizer, run_eagerly=True)
    before = model.test_on_batch(points())
    for _ in range(4):
        model.train_on_batch(points())
    assert model.test_on_batch(points()) < before
    assert int(optimizer.iterations) == 4


@pytest.mark.slow
def test_optimizer_by_name_and_legacy():
    make_model(optimizer="rmsprop")
    legacy = getattr(keras.optimizers, "legacy", None)
    if hasattr(legacy, "Adam") and not hasattr(keras, "Variable"):
        model = make_model(optimizer=legacy.Adam(0.01), run_eagerly=True)
        assert np.isfinite(model.train_on_batch(points()))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_schedules(name):
    schedule = getattr(keras.optimizers.schedules, name)(*SCHEDULES[name])
    model = make_model("gradient", sgd(schedule), run_eagerly=True)
    for i in range(3):
        variable = model.distribution.trainable_variables[-1]
        before = variable.numpy()
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(model.distribution.log_prob(points()))
        gradient = tape.gradient(loss, variable)
        model.train_on_batch(points())
        np.testing.assert_allclose(variable, before - schedule(i) * gradient, atol=1e-5)


@pytest.mark.slow
def test_clipping_by_value():
    before, gradients, after = step(sgd(1.0, clipvalue=0.01))
    assert max(np.abs(g).max() for g in gradients) > 0.01
    for a, g, b in zip(before, gradients, after, strict=True):
        np.testing.assert_allclose(b, a - np.clip(g, -0.01, 0.01), atol=1e-5)


@pytest.mark.slow
def test_clipping_by_global_norm():
    before, gradients, after = step(sgd(1.0, global_clipnorm=0.1))
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    assert norm > 0.1
    for a, g, b in zip(before, gradients, after, strict=True):
        np.testing.assert_allclose(b, a - 0.1 / norm * g, atol=1e-5)


@pytest.mark.slow
def test_weight_decay():
    before, gradients, after = step(sgd(0.1, weight_decay=0.5))
    for a, g, b in zip(before, gradients, after, strict=True):
        np.testing.assert_allclose(b, a - 0.1 * g - 0.1 * 0.5 * a, atol=1e-4)


@pytest.mark.slow
def test_reduce_learning_rate_on_plateau():
    model = make_model("gradient", sgd(0.0))
    model.optimizer.learning_rate.assign(1e-12)  # nothing improves
    reduce = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.1)
    next_losses(model, epochs=4, callbacks=[reduce])
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-12 * 0.5**3, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "weights", "best"])
def test_model_checkpoint(kind, tmp_path):
    form = "weights.h5" if kind == "weights" else "keras"
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(tmp_path / ("{epoch}." + form)),
        monitor="val_loss",
        save_weights_only=kind == "weights",
        save_best_only=kind == "best",
    )
    model = make_model("stepwise", keras.optimizers.Adam(0.3))
    validation_data = points(60, seed=1)
    history = model.fit(
        points(), epochs=6, validation_data=validation_data, callbacks=checkpoint, verbose=0
    ).history["val_loss"]
    best_so_far = [k for k in range(6) if history[k] == min(history[: k + 1])]
    expected = best_so_far if kind == "best" else range(6)
    assert {path.name for path in tmp_path.iterdir()} == {f"{k + 1}.{form}" for k in expected}
    last = expected[-1]
    path = str(tmp_path / f"{last + 1}.{form}")
    if kind == "weights":
        model.load_weights(path)
    else:
        model = keras.models.load_model(path)
    assert model.evaluate(validation_data, verbose=0) == pytest.approx(history[last], abs=1e-4)


@pytest.mark.slow
def test_loggers_write_the_losses(tmp_path):
    pytest.importorskip("tensorboard")
    model = make_model()
    log = str(tmp_path / "log.csv")
    callbacks = [keras.callbacks.CSVLogger(log), keras.callbacks.TensorBoard(str(tmp_path))]
    losses = next_losses(model, epochs=3, callbacks=callbacks)
    with open(log) as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["loss"]) for row in rows], losses)
    assert list(scalars(tmp_path)) == pytest.approx(losses)


def scalars(directory):
    """The values of the tag `epoch_loss` in TensorBoard's files."""
    for path in sorted(directory.rglob("events.out.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag == "epoch_loss":
                    yield float(tf.make_ndarray(value.tensor))


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_terminate_on_nan(update):
    model = make_model(update, sgd(1e30), run_eagerly=True)
    losses = next_losses(model, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(losses) == 1
    assert not np.isfinite(losses[0])


@pytest.mark.slow
@pytest.mark.one_keras  # stepwise EM runs under both
@pytest.mark.parametrize(
    "arguments",
    [{"steps_per_execution": 2}, {"run_eagerly": True}, BY_XLA],
    ids=lambda arguments: next(iter(arguments)),
)
def test_ways_to_run_full_batch_em_agree(arguments):
    plain = next_losses(make_model("full_batch"), epochs=4)
    model = make_model("full_batch", **arguments)
    np.testing.assert_allclose(next_losses(model, epochs=4), plain, rtol=1e-3)


# Arguments of `fit` in all forms.


@pytest.mark.slow
def test_arguments_by_position():
    validation_data = (points(30, seed=1),)
    model = make_model()
    history = model.fit(points(), None, 40, 3, 0, None, 0.0, validation_data, False).history
    assert len(history["val_loss"]) == 3
    assert history["loss"] == next_losses(make_model(), epochs=3)
    assert model.evaluate(points(), None, 40, 0) == pytest.approx(
        model.evaluate(points(), verbose=0)
    )
    assert model.predict(points(), 40, 0).shape == (120,)


def validation_forms(x, weights):
    tables = {"array": x, "tuple": (x,), "pair": (x, np.zeros(len(x))), "pair of one": (x, None)}
    data_set = tf.data.Dataset.from_tensor_slices((x, np.full(len(x), -1), weights)).batch(16)
    weighted = {
        "triple": (x, None, weights),
        "list": [x, None, weights],
        "data set": data_set,
        "column": (x, None, weights[:, np.newaxis]),
    }
    plain = {**tables, "tensor": tf.constant(x), "rows": x.tolist()}
    return {
        **{k: (v, None) for k, v in plain.items()},
        **{k: (v, weights) for k, v in weighted.items()},
    }


ONE_KERAS_FORMS = ("pair", "pair of one", "tensor", "rows", "list", "column")


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[pytest.mark.one_keras] if form in ONE_KERAS_FORMS else [])
        for form in validation_forms(np.zeros([1, 3]), np.zeros(1))
    ],
)
def test_forms_of_validation_data(form):
    x = points(32, seed=1)
    data, weights = validation_forms(x, np.linspace(0.0, 2.0, 32).astype(np.float32))[form]
    model = make_model("gradient", sgd(), run_eagerly=True)
    history = model.fit(points(), validation_data=data, epochs=1, verbose=0).history
    expected = -np.average(model.distribution.log_prob(x), weights=weights)
    assert history["val_loss"][0] == pytest.approx(expected, abs=1e-4)


class Table:
    """A stand-in for a pandas table, because pandas is not a requirement."""

    def __init__(self, array):
        self._array, self.shape = array, array.shape

    def __len__(self):
        return len(self._array)

    def to_numpy(self):
        return self._array

    def __array__(self, dtype=None, copy=None):
        return self._array.astype(dtype or self._array.dtype)


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [np.float64, np.float16, tf.constant, lambda x: x.tolist(), Table],
    ids=["float64", "float16", "tensor", "rows", "table"],
)
def test_forms_of_points(form):
    x = form(points().astype(np.float16).astype(np.float32))
    model = make_model(run_eagerly=True)
    model.fit(x, batch_size=60, epochs=1, verbose=0)
    plain = points().astype(np.float16).astype(np.float32)
    expected = model.distribution.log_prob(plain)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)
    loss = model.evaluate(x, verbose=0)
    assert loss == pytest.approx(-np.mean(expected), abs=1e-4)
    assert model.evaluate(x, return_dict=True, verbose=0) == {"loss": pytest.approx(loss)}


@pytest.mark.slow
def test_whole_numbers():
    model = make_model(run_eagerly=True)
    x = points().round().astype(np.int64)
    model.fit(x, epochs=1, verbose=0)
    expected = model.distribution.log_prob(x.astype(np.float32))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)


@pytest.mark.slow
def test_sequence_with_weights():
    weights = np.linspace(0.0, 2.0, 120).astype(np.float32)
    batches = sequence_of(points(), np.full(120, -1), weights)
    batches = make_model("full_batch").fit(batches, epochs=4, shuffle=False, verbose=0).history
    array = next_losses(make_model("full_batch"), epochs=4, sample_weight=weights)
    np.testing.assert_allclose(batches["loss"], array, rtol=1e-5)


@pytest.mark.slow
def test_a_generator_is_accepted_after_initialize_mixture():
    def batches():
        while True:
            yield (points()[:40],)

    arguments = {"steps_per_epoch": 2, "epochs": 2, "verbose": 0}
    model = make_model("stepwise")
    with pytest.raises(TypeError, match="`initialize_mixture`"):
        model.fit(batches(), **arguments)
    model.initialize_mixture(points())
    assert np.isfinite(model.fit(batches(), **arguments).history["loss"]).all()
    other = make_model("full_batch")
    other.initialize_mixture(points())
    with pytest.raises(TypeError, match="`FullBatchEM`"):
        other.fit(batches(), **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    "update", ["full_batch", pytest.param("stepwise", marks=pytest.mark.one_keras)]
)
def test_two_fits_equal_one_longer_fit(update):
    model = make_model(update, **AS_USERS_DO)
    losses = next_losses(model, epochs=2) + next_losses(model, epochs=3)
    expected = next_losses(make_model(update, **AS_USERS_DO), epochs=5)
    np.testing.assert_array_equal(losses, expected)


@pytest.mark.slow
def test_compile_again_with_another_update():
    model = make_model("gradient", sgd(0.01))
    model.fit(points(), epochs=2, verbose=0)
    density = model.evaluate(points(), verbose=0)
    model.compile(sgd(0.01), mixture_update=UPDATES["stepwise"](), **HOW_TO_RUN)
    assert model.evaluate(points(), verbose=0) == pytest.approx(density)
    assert len(model.trainable_weights) == len(model.distribution.bijector.trainable_variables)
    mixture = model.distribution.distribution
    before = mixtures.mixture_parameters(mixture)
    model.fit(points(), epochs=1, batch_size=120, verbose=0)
    assert not np.allclose(before.loc, mixtures.mixture_parameters(mixture).loc, atol=1e-6)
    model.compile(sgd(0.01), mixture_update=gmnvp.GradientUpdate(), **HOW_TO_RUN)
    assert len(model.trainable_weights) == len(model.distribution.trainable_variables)
    before = values(mixture.trainable_variables)
    model.fit(points(), epochs=1, verbose=0)
    for a, b in zip(before, mixture.trainable_variables, strict=True):
        assert not np.array_equal(a, b)


@pytest.mark.slow
def test_validation_data_overrides_validation_split():
    x = points(32, seed=1)
    model = make_model("gradient", sgd(), run_eagerly=True)
    history = model.fit(points(), validation_data=x, validation_split=0.5, verbose=0).history
    expected = -np.mean(model.distribution.log_prob(x))
    assert history["val_loss"][0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_one_or_several_callbacks_are_accepted():
    seen = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(epoch)

    model = make_model(run_eagerly=True)
    for callbacks in (Note(), (Note(),), keras.callbacks.CallbackList([Note()], model=model)):
        model.fit(points(), verbose=0, callbacks=callbacks)
    assert seen == [0, 0, 0]


def test_fit_refuses_invalid_arguments():
    model = make_model(run_eagerly=True)
    with pytest.raises(ValueError, match=r"`class_weight`.*`sample_weight`"):
        model.fit(points(), np.zeros(120), class_weight={0: 2.0})
    with pytest.raises(ValueError, match=r"`validation_split`.*`validation_data`"):
        model.fit(tf.data.Dataset.from_tensors(points()), validation_split=0.5)
    with pytest.raises(ValueError, match=r"`validation_split` must be in \(0, 1\), got 2"):
        model.fit(points(), validation_split=2)
    with pytest.raises(ValueError, match="`x` must hold finite"):
        model.fit(np.where(points() > 3, np.nan, points()))
    with pytest.raises(ValueError, match="at least as many points as the mixture"):
        model.fit(points(1))
    with pytest.raises(ValueError, match="vectors of size 3"):
        model.fit(points()[:, :2])
    with pytest.raises(ValueError, match="`compile` must be called before `fit`"):
        gmnvp.FlowModel(make_flow()).fit(points())


@pytest.mark.parametrize("name", ["metrics", "weighted_metrics", "loss_weights", "loss"])
def test_compile_refuses_losses_and_metrics(name):
    with pytest.raises(ValueError, match=f"`{name}` cannot be chosen"):
        make_model(**{name: ["mse"]})


@pytest.mark.slow
def test_initialize_mixture_before_compile():
    model = gmnvp.FlowModel(make_flow(), seed=0)
    model.initialize_mixture(points().tolist())
    other = make_model("full_batch")
    other.initialize_mixture(points())
    pairs = zip(model.distribution.variables, other.distribution.variables, strict=True)
    for one, another in pairs:  # a list holds float64, which is standardised before it is cast
        np.testing.assert_allclose(one, another, rtol=1e-5, atol=1e-6)
