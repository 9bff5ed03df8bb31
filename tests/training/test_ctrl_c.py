"""After a real interrupt at any moment of `fit` the model remains usable; also under tf_keras."""

import signal

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_model, next_losses, points, weights_of

keras = tf.keras
MOMENTS = {
    "on_epoch_begin": 1,
    "on_train_batch_begin": 2,
    "on_train_batch_end": 0,
    "on_test_batch_end": 0,
    "on_epoch_end": 0,
}


@pytest.fixture(autouse=True)
def heard():
    """Enables Ctrl-C, which a process ignores if a shell started it in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(moment, number):
    """A callback that sends this process the signal of Ctrl-C."""

    def send(self, found, logs=None):
        if found == number:
            signal.raise_signal(signal.SIGINT)

    return type("Interrupt", (keras.callbacks.Callback,), {moment: send})()


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_log_prob_is_finite_and_training_can_continue(moment):
    model = make_model("full_batch", run_eagerly=True)
    interrupt = interrupt_at(moment, MOMENTS[moment])
    with pytest.raises(KeyboardInterrupt):
        next_losses(model, epochs=3, callbacks=[interrupt], validation_data=points(20))
    assert np.isfinite(model.distribution.log_prob(points())).all()
    before = weights_of(model)
    assert np.isfinite(next_losses(model, epochs=1)).all()
    assert not all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("update", ["full_batch", "stepwise"])
def test_after_ctrl_c_the_model_is_usable(update, tmp_path):
    model, interrupt = make_model(update), interrupt_at("on_train_batch_end", 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(points(), batch_size=40, callbacks=[interrupt], verbose=0)
    assert np.isfinite(model.predict(points(), verbose=0)).all()
    model.save(str(tmp_path / "model.keras"))
    assert np.isfinite(next_losses(model, epochs=1)).all()
