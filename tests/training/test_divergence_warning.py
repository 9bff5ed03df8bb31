"""A warning if the final loss is far above the best one, but not for noise."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_model, points

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.divergence_warning import DivergenceCheck

keras = tf.keras


def warned_of(losses):
    check = DivergenceCheck()
    check.on_train_begin()
    for epoch, loss in enumerate(losses):
        check.on_epoch_end(epoch, {"loss": loss})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check.on_train_end()
    return [str(warning.message) for warning in caught]


@pytest.mark.one_keras
@pytest.mark.parametrize(
    "losses",
    [
        [3.0, 2.0, 1.0, 1.05],
        [3.0, 2.0, 1.0, 9.0],  # only one epoch
        [3.0, 1.0, 1.3, 1.39],  # less than a fifth of the decrease
        [1.0, 1.05, 1.09],  # less than a tenth of a nat
        [5.0, 2.0],
        [2.0],
        [],
    ],
)
def test_noise_gives_no_warning(losses):
    assert warned_of(losses) == []


@pytest.mark.one_keras
def test_the_warning_names_the_best_epoch_and_gives_advice():
    [text] = warned_of([3.0, 1.0, 1.5, 2.0, 2.5])
    for part in ("at 2.5 nats", "best, 1 in epoch 2 of 5", "`learning_rate`", "global_clipnorm"):
        assert part in text


@pytest.mark.one_keras
def test_a_second_training_starts_without_losses():
    check = DivergenceCheck()
    for losses in ([0.0, 0.0, 0.0], [5.0, 4.0, 3.0]):
        check.on_train_begin()
        for epoch, loss in enumerate(losses):
            check.on_epoch_end(epoch, {"loss": loss})
    assert check.rise == 0.0


@pytest.mark.slow
def test_only_a_fit_with_too_large_a_learning_rate_warns():
    x = points(200)
    with pytest.warns(gmnvp.TrainingWarning, match="training diverged"):
        diverging = make_model("gradient", keras.optimizers.SGD(0.01))
        raising = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 if epoch < 5 else 3.0)
        clipped = keras.optimizers.SGD(0.01, global_clipnorm=1.0)
        diverging.compile(clipped, mixture_update=gmnvp.GradientUpdate(), jit_compile=False)
        diverging.fit(x, epochs=12, callbacks=[raising], verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = make_model("gradient", keras.optimizers.SGD(0.01)).fit(x, epochs=12, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))
