"""The reordering against TFP's own, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.permutation import Permutation

ORDER = [3, 0, 4, 1, 2]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("shape", [[5], [7, 5], [2, 3, 5]])
def test_agrees_with_tfp(dtype, shape):
    x = tf.random.stateless_normal(shape, [0, 1], dtype=dtype)
    ours, theirs = Permutation(ORDER), tfp.bijectors.Permute(ORDER)
    np.testing.assert_array_equal(ours.forward(x), theirs.forward(tf.identity(x)))
    np.testing.assert_array_equal(ours.inverse(x), theirs.inverse(tf.identity(x)))
    assert float(tf.reduce_sum(ours.forward_log_det_jacobian(x, event_ndims=1))) == 0.0
    assert ours.inverse_log_det_jacobian(x, event_ndims=1).dtype == dtype


def test_gradients_of_both_orders_agree_with_tfp_and_need_no_scatter():
    x = tf.random.stateless_normal([3, 5], [0, 1])

    def gradients(bijector):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(tf.exp(bijector.forward(x)) * tf.range(5.0))
            first = inner.gradient(value, x)
            total = tf.reduce_sum(first**2)
        return first, outer.gradient(total, x)

    for ours, theirs in zip(
        gradients(Permutation(ORDER)), gradients(tfp.bijectors.Permute(ORDER)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    graph = tf.function(lambda: gradients(Permutation(ORDER))).get_concrete_function().graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert not any("Scatter" in kind or "UnsortedSegment" in kind for kind in kinds)


@pytest.mark.parametrize("permutation", [[0, 2], [1, 1, 0], [[0, 1]], [0.5, 0]])
def test_refuses_what_is_no_permutation(permutation):
    with pytest.raises(ValueError, match="`permutation` must hold each of"):
        Permutation(permutation)
