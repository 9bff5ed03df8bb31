"""Keras' methods for single batches check their arguments, as `fit` and `evaluate` do."""

import numpy as np
import pytest
from keras_models import make_model, points

X = points()


@pytest.fixture(scope="module")
def model():
    model = make_model()
    model.initialize_mixture(X)
    return model


@pytest.mark.slow
def test_the_loss_is_that_of_the_batch_alone(model):
    for rows in (slice(0, 40), slice(40, 100)):
        expected = -model.distribution.log_prob(X[rows]).numpy().mean()
        np.testing.assert_allclose(model.test_on_batch(X[rows]), expected, rtol=1e-5)
        np.testing.assert_allclose(model.train_on_batch(X[rows]), expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [None, np.zeros(120, int)])
def test_weights_of_classes_are_refused(model, labels):
    with pytest.raises(ValueError, match=r"`class_weight` is not supported.*`sample_weight`"):
        model.train_on_batch(X, labels, class_weight={0: 1.0, 1: 5.0})


def test_prediction(model):
    np.testing.assert_allclose(
        model.predict_on_batch(X.astype(np.float64).tolist()), model.distribution.log_prob(X), 1e-5
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, :2], r"size 3.* got shape \[120, 2\]"),
        (X[0], r"got shape \[3\]"),
        (np.full([4, 3], np.nan), "4 of its 4 rows"),
    ],
    ids=["width", "one row", "nan"],
)
def test_prediction_refuses_invalid_points(model, x, message):
    with pytest.raises(ValueError, match=f"`x` must hold .*{message}"):
        model.predict_on_batch(x)
