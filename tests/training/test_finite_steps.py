"""A step whose loss or gradient is not finite changes nothing; also under tf_keras."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, EACH_UPDATE, assert_same, make_model, next_losses, points

from tfp_gmnvp.training.finite_steps import FiniteSteps

keras = tf.keras


def state(model):
    """All that a step could change: weights, and the state of the update and the optimizer."""
    optimizer = model.optimizer.variables
    optimizer = optimizer() if callable(optimizer) else optimizer
    return [tf.convert_to_tensor(v).numpy() for v in (*model.get_weights(), *optimizer)]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"run_eagerly": True}, {}, BY_XLA])
@pytest.mark.parametrize("update", EACH_UPDATE[1:])
def test_a_step_on_huge_points_changes_nothing(update, arguments):
    model = make_model(update, **arguments)
    model.train_on_batch(points(40))
    before = state(model)
    far = points(40)
    far[7] = 1e30  # finite, and its square is not
    model.train_on_batch(far)
    assert_same(state(model), before)
    model.train_on_batch(points(40))
    assert not all(np.array_equal(a, b) for a, b in zip(state(model), before, strict=True))
    assert int(model._finite_steps.skipped) == 1
    assert int(model._finite_steps.in_a_row) == 0


def with_bad_rows(*rows):
    x = points()
    x[list(rows)] = 1e30
    return tf.data.Dataset.from_tensor_slices(x).batch(40)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_every_epoch_shows_how_many_steps_were_skipped(update):
    model = make_model(update)
    model.initialize_mixture(points())
    assert model.fit(points(), epochs=2, verbose=0).history["skipped_steps"] == [0, 0]
    skipping = model.fit(with_bad_rows(50, 51, 119), epochs=3, verbose=0).history
    assert skipping["skipped_steps"] == [2, 2, 2]
    assert np.isfinite(next_losses(model, epochs=1)).all()


@pytest.mark.slow
def test_skipped_steps_do_not_influence_the_other_steps():
    with_bad, without = make_model("stepwise"), make_model("stepwise")
    for model in (with_bad, without):
        model.initialize_mixture(points())
    with_bad.fit(with_bad_rows(50), epochs=2, verbose=0)
    good = points()[np.r_[0:40, 80:120]]
    without.fit(good, batch_size=40, shuffle=False, epochs=2, verbose=0)
    assert_same(state(with_bad), state(without))


@pytest.mark.slow
def test_several_skipped_steps_in_a_row_stop_training_with_advice():
    model = make_model("stepwise")
    model.initialize_mixture(points())
    before = state(model)
    far = tf.data.Dataset.from_tensors(np.full([40, 3], 1e30, np.float32)).repeat(50)
    with pytest.raises(FloatingPointError, match=r"10 steps in a row.*`learning_rate`"):
        model.fit(far, verbose=0)
    assert_same(state(model), before)
    assert np.isfinite(next_losses(model, epochs=1)).all()


@pytest.mark.one_keras
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_one_nan_in_one_gradient_skips_the_step(bad):
    steps, taken = FiniteSteps(), []
    gradients = [tf.ones([3]), None, tf.constant([0.0, bad])]
    steps.take(taken.append, tf.constant(0.0), gradients)
    steps.take(taken.append, tf.constant(bad if abs(bad) > 1e38 or bad != bad else np.nan), [])
    assert not taken
    steps.take(taken.append, tf.constant(0.0), gradients[:2])
    assert len(taken) == 1
    assert (int(steps.skipped), int(steps.in_a_row)) == (2, 0)


def test_counts_are_not_weights_of_the_model():
    model = make_model("stepwise")
    names = [w.name for w in model.weights]
    assert not any("skipped" in name for name in names)
