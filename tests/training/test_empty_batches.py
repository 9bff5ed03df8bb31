"""Empty batches, which filters in a pipeline may produce, have no effect."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import BY_XLA, EACH_UPDATE, HOW_TO_RUN, make_model, points

keras = tf.keras
X = points(80)
NONE = X[:0]


def pipeline(*batches):
    spec = (tf.TensorSpec([None, X.shape[1]]),)
    data = tf.data.Dataset.from_generator(lambda: ((b,) for b in batches), output_signature=spec)
    return data.apply(tf.data.experimental.assert_cardinality(len(batches)))


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param(HOW_TO_RUN, id="graph"), BY_XLA])
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_no_step_is_skipped_and_nothing_is_nan(update, how):
    with_some, without = (make_model(update, keras.optimizers.SGD(0.01), **how) for _ in range(2))
    data = pipeline(NONE, X[:40], NONE, X[40:], *[NONE] * 12)
    for model in (with_some, without):
        model.initialize_mixture(X)
    history = with_some.fit(data, verbose=0).history
    expected = without.fit(pipeline(X[:40], X[40:]), verbose=0).history
    assert history["skipped_steps"] == [0]
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    variables = zip(with_some.distribution.variables, without.distribution.variables, strict=True)
    for variable, other in variables:
        np.testing.assert_allclose(variable, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        with_some.evaluate(data, verbose=0), without.evaluate(X, verbose=0), rtol=1e-5
    )
    assert with_some.predict(data, verbose=0).shape == (80,)
