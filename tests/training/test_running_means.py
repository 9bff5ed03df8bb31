"""Keras' global settings and callbacks do not change the reported means."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from keras_models import make_flow, make_model, points

import tfp_gmnvp as gmnvp

keras = tf.keras
X = points()


@contextlib.contextmanager
def floatx(name):
    keras.backend.set_floatx(name)
    try:
        yield
    finally:
        keras.backend.set_floatx("float32")


@contextlib.contextmanager
def policy(name):
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def batches_of(x):
    """A data set, whose dtype Keras does not change."""
    return tf.data.Dataset.from_tensor_slices((x,)).batch(40)


def nll(model, x):
    return -model.distribution.log_prob(x).numpy().mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "dtype"), [(floatx, "float16"), (policy, "float16"), (policy, "bfloat16")]
)
def test_the_loss_keeps_its_digits_under_global_half_precision(setting, dtype):
    with setting(dtype):
        model = make_model()
        history = model.fit(X, validation_data=batches_of(X), verbose=0).history
        np.testing.assert_allclose(history["val_loss"], [nll(model, X)], rtol=1e-6)
        assert all(isinstance(loss, float) for loss in history["loss"])  # and no tensors
        far = 100 * X  # whose losses add up to more than float16 has
        loss = model.evaluate(batches_of(far), verbose=0)
        np.testing.assert_allclose(loss, nll(model, far), rtol=1e-5)


@pytest.mark.slow
def test_a_flow_in_float64_reports_in_float64():
    x = points().astype(np.float64)
    model = gmnvp.FlowModel(make_flow(dtype=tf.float64), seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    history = model.fit(batches_of(x), validation_data=batches_of(x), verbose=0).history
    np.testing.assert_allclose(history["val_loss"], [nll(model, x)], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("has_validation", [False, True])
def test_an_evaluation_during_an_epoch_does_not_change_its_means(has_validation):
    other, seen = X[:30] + 1.0, []

    class Evaluate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                seen.append((self.model.evaluate(other, verbose=0), nll(self.model, other)))
                self.model.predict(other, verbose=0)

    arguments = {"batch_size": 40, "epochs": 2, "shuffle": False, "verbose": 0}
    arguments["validation_data"] = X[:50] if has_validation else None
    expected = make_model().fit(X, **arguments).history
    history = make_model().fit(X, callbacks=[Evaluate()], **arguments).history
    assert history == expected
    assert len(seen) == 2
    np.testing.assert_allclose(*np.transpose(seen), rtol=1e-5)
