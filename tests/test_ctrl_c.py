"""A real interrupt at any of a fit's moments leaves a model that is of use. Under tf_keras, too."""

import signal

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_model, next_losses, points

keras = tf.keras
MOMENTS = {
    "on_epoch_begin": 1,
    "on_train_batch_begin": 2,
    "on_train_batch_end": 0,
    "on_test_batch_end": 0,
    "on_epoch_end": 0,
}


def interrupt_at(moment, number):
    """A callback that sends this process what Ctrl-C sends."""

    def send(self, found, logs=None):
        if found == number:
            signal.raise_signal(signal.SIGINT)

    return type("Interrupt", (keras.callbacks.Callback,), {moment: send})()


@pytest.mark.parametrize("moment", MOMENTS)
def test_log_prob_is_finite_and_training_goes_on(moment):
    model = make_model("full_batch", run_eagerly=True)
    interrupt = interrupt_at(moment, MOMENTS[moment])
    with pytest.raises(KeyboardInterrupt):
        next_losses(model, epochs=3, callbacks=[interrupt], validation_data=points(20))
    assert np.isfinite(model.distribution.log_prob(points())).all()
    before = [value.copy() for value in model.get_weights()]
    assert np.isfinite(next_losses(model, epochs=1)).all()
    assert not all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
