"""Optimizers that average the weights: final weights are consistent; also under tf_keras."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, EACH_UPDATE, UPDATES, make_model, points, weights_of

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.weight_averages import averages_of

keras = tf.keras
IS_KERAS_3 = hasattr(keras, "Variable")
only_keras_3 = pytest.mark.skipif(not IS_KERAS_3, reason="Keras 3 alone has it")
HELD_OUT = points(200, seed=1)


def adam(rate=0.05, **arguments):
    return keras.optimizers.Adam(rate, use_ema=True, **{"ema_momentum": 0.9, **arguments})


def fit(model, **arguments):
    """The history of short training, without its warnings."""
    arguments = {"epochs": 4, "validation_data": HELD_OUT, **arguments}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gmnvp.TrainingWarning)
        return model.fit(points(), batch_size=30, verbose=0, **arguments).history


def loss(model, x=HELD_OUT):
    return model.evaluate(x, batch_size=len(x), verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.5, 0.99])
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_final_weights_are_no_worse_than_the_last_validation(update, momentum):
    model = make_model(update, adam(ema_momentum=momentum))
    history = fit(model)
    assert loss(model) < history["val_loss"][-1] + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("momentum", [0.8, 0.99])
def test_the_mixture_fits_the_final_bijector(momentum):
    model = make_model("stepwise", adam(ema_momentum=momentum))
    fit(model, validation_data=None)
    before = loss(model, points())
    gmnvp.fit_mixture(model.distribution, points(), covariance_floor=1e-3, tolerance=1e-3)
    assert loss(model, points()) > before - 0.01


@pytest.mark.slow
def test_better_averages_become_the_final_weights():
    """Very large steps, so that the weights oscillate about their average."""
    model = make_model("stepwise", keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.95))
    raw = make_model("stepwise", keras.optimizers.SGD(0.1))
    model.fit(points(), batch_size=30, epochs=60, validation_data=HELD_OUT, verbose=0)
    last = raw.fit(points(), batch_size=30, epochs=60, validation_data=HELD_OUT, verbose=0)
    assert loss(model) < last.history["val_loss"][-1] - 0.005
    for weight, average in averages_of(model.optimizer, model.weights):
        np.testing.assert_array_equal(weight, average)


@pytest.mark.slow
def test_short_training_keeps_its_weights_and_warns():
    model, plain = (
        make_model("gradient", optimizer)
        for optimizer in (adam(ema_momentum=0.999), keras.optimizers.Adam(0.05))
    )
    with pytest.warns(gmnvp.TrainingWarning, match=r"leaves the weights themselves.*ema_momentum"):
        model.fit(points(), batch_size=30, epochs=2, shuffle=False, verbose=0)
    plain.fit(points(), batch_size=30, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.distribution.variables, plain.distribution.variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_early_stopping_overrides_the_choice(update):
    model = make_model(update, adam(0.2))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    history = fit(model, epochs=8, callbacks=[stop])
    assert loss(model) == pytest.approx(min(history["val_loss"]), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("update", "arguments"),
    [
        *((update, {}) for update in UPDATES),
        pytest.param("stepwise", *BY_XLA.values, marks=BY_XLA.marks),
    ],
)
def test_averages_with_zero_momentum_change_nothing(update, arguments):
    optimizer = keras.optimizers.SGD(
        0.02, use_ema=True, ema_momentum=0.0, ema_overwrite_frequency=1
    )
    model = make_model(update, optimizer, **arguments)
    plain = make_model(update, keras.optimizers.SGD(0.02), **arguments)
    for each in (model, plain):
        each.initialize_mixture(points())
        for _ in range(3):
            each.train_on_batch(points(40))
    for a, b in zip(weights_of(model), weights_of(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@only_keras_3
@pytest.mark.parametrize("arguments", [{}, BY_XLA])
def test_the_mixture_is_overwritten_with_the_bijector(arguments):
    optimizer = adam(ema_momentum=0.5, ema_overwrite_frequency=2)
    model = make_model("stepwise", optimizer, **arguments)
    model.initialize_mixture(points())
    for step in range(1, 5):
        model.train_on_batch(points(40, seed=step))
        pairs = averages_of(optimizer, model.weights)
        assert len(pairs) == len(model.distribution.trainable_variables)
        are_equal = [np.array_equal(weight, average) for weight, average in pairs]
        # Keras' first average is the weight itself.
        assert are_equal == [step == 1 or step % 2 == 0] * len(pairs)


@pytest.mark.slow
@pytest.mark.parametrize("frequency", [1, 7])
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_every_overwrite_frequency(update, frequency):
    model = make_model(update, adam(ema_overwrite_frequency=frequency))
    history = fit(model, epochs=6)
    assert np.isfinite(history["val_loss"]).all()
    assert loss(model) < history["val_loss"][-1] + 1e-4
    before = loss(model, points())
    gmnvp.fit_mixture(model.distribution, points(), covariance_floor=1e-3, tolerance=1e-3)
    assert loss(model, points()) > before - (0.3 if update == "gradient" else 0.01)


@pytest.mark.slow
@only_keras_3
@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("update", UPDATES)
def test_validation_uses_the_swapped_weights(update, swap_on_epoch, tmp_path):
    model = make_model(update, adam())
    path = tmp_path / "best.weights.h5"
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch),
        keras.callbacks.ModelCheckpoint(
            path, "val_loss", save_best_only=True, save_weights_only=True
        ),
    ]
    history = fit(model, callbacks=callbacks)
    left = loss(model)
    assert left < history["val_loss"][-1] + 1e-4
    if update != "gradient":  # it does not fit the mixture at the end
        gmnvp.fit_mixture(model.distribution, points(), covariance_floor=1e-3, tolerance=1e-3)
        assert loss(model) > left - 0.02
    if swap_on_epoch:
        model.load_weights(path)
        assert loss(model) == pytest.approx(min(history["val_loss"]), abs=1e-4)


@pytest.mark.slow
def test_averages_start_from_the_initialised_mixture():
    """`compile` builds the averages before the mixture is initialised."""
    model = make_model("gradient", adam(ema_momentum=0.999))
    model.initialize_mixture(points())
    for weight, average in averages_of(model.optimizer, model.weights):
        np.testing.assert_array_equal(weight, average)


@pytest.mark.slow
def test_averages_continue_after_loading(tmp_path):
    model = make_model("stepwise", adam())
    fit(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for a, b in zip(
        averages_of(again.optimizer, again.weights),
        averages_of(model.optimizer, model.weights),
        strict=True,
    ):
        np.testing.assert_array_equal(a[1], b[1])
    assert loss(again) == pytest.approx(loss(model), abs=1e-6)
    assert np.isfinite(fit(again)["val_loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generator", "sequence", "endless"])
def test_data_of_other_kinds(kind):
    x = points()
    batches = [x[i : i + 30] for i in range(0, 120, 30)]
    data = tf.data.Dataset.from_tensor_slices(x).batch(30).repeat()
    if kind == "generator":
        data = ((batch,) for _ in range(9) for batch in batches)
    if kind == "sequence":
        data = x.tolist()
    model = make_model("stepwise", adam())
    model.initialize_mixture(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gmnvp.TrainingWarning)
        arguments = {} if kind == "sequence" else {"steps_per_epoch": 4}
        model.fit(data, epochs=2, verbose=0, **arguments)
    assert np.isfinite(loss(model))
