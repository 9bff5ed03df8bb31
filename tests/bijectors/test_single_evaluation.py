"""Each conditioner is evaluated once, and yet nothing is stale."""

import numpy as np
import pytest
import tensorflow as tf
from support import count_ops, perturb, points
from tensorflow_probability import bijectors as tfb
from test_real_nvp import normal_over, perturbed

from tfp_gmnvp.bijectors import SinglePassChain, real_nvp, standardization

COUPLINGS, HIDDEN = 3, (5, 4)
DENSE_LAYERS = COUPLINGS * (len(HIDDEN) + 1)
USES = {
    "log_prob": lambda distribution, x: distribution.log_prob(x),
    "sample": lambda distribution, x: distribution.sample(4, seed=[0, 1]),
    "sample_and_log_prob": lambda distribution, x: distribution.experimental_sample_and_log_prob(
        4, seed=[0, 1]
    ),
}


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("use", USES)
def test_each_conditioner_is_evaluated_once(use, standardized):
    bijector = real_nvp(4, COUPLINGS, HIDDEN, activation="relu", dtype=tf.float64)
    if standardized:
        bijector = SinglePassChain([standardization(points(9, 4), dtype=tf.float64), bijector])
    distribution = normal_over(bijector, 4)
    normal = normal_over(tfb.Identity(), 4)
    counts = count_ops(lambda x: USES[use](distribution, x), points(4, 4))
    of_normal = count_ops(lambda x: USES[use](normal, x), points(4, 4))
    assert counts["MatMul"] - of_normal.get("MatMul", 0) == DENSE_LAYERS
    assert counts["Relu"] == COUPLINGS * len(HIDDEN)


def test_each_conditioner_is_evaluated_once_in_a_training_step():
    """Backward takes two products a layer, but none for the gradient of the data."""
    bijector = real_nvp(2, COUPLINGS, HIDDEN, activation="relu", dtype=tf.float64)
    distribution = normal_over(bijector, 2)

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x))
        return tape.gradient(loss, bijector.trainable_variables)

    counts = count_ops(gradient, points(4, 2))
    assert counts["Relu"] == COUPLINGS * len(HIDDEN)
    assert counts["MatMul"] == 3 * DENSE_LAYERS - 1


@pytest.mark.slow
def test_real_nvp_is_never_stale():
    bijector = perturbed(3)
    standardized = SinglePassChain([standardization(points(9, 3), dtype=tf.float64), bijector])
    x = points(4, 3)
    for chain in (bijector, standardized):
        distribution = normal_over(chain, 3)
        compiled = tf.function(distribution.log_prob)
        for seed in range(2):
            before = distribution.log_prob(x)
            perturb(bijector, seed=seed, scale=0.1)
            after = distribution.log_prob(x)
            assert np.abs(after - before).max() > 1e-3
            np.testing.assert_array_equal(after, distribution.log_prob(tf.identity(x)))
            np.testing.assert_allclose(after, compiled(x), atol=1e-12)
            np.testing.assert_array_equal(chain.forward(x), chain.forward(tf.identity(x)))
            np.testing.assert_array_equal(chain.inverse(x), chain.inverse(tf.identity(x)))
