"""Integer seeds give the same values whatever was drawn before, and XLA gives them, too."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfp_gmnvp
from tfp_gmnvp._shared.seeds import standard_normal, stateless_seed


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**40 + 1, -3])
def test_integer_seeds_do_not_depend_on_any_state(seed):
    tf.random.set_seed(1)
    first = stateless_seed(seed)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(first, stateless_seed(seed))
    assert not np.array_equal(first, stateless_seed(int(seed) + 1))
    np.testing.assert_array_equal(stateless_seed(first), first)


@pytest.mark.parametrize("seed", [7, 2**40 + 1, -3])
def test_an_integer_as_a_tensor_is_that_integer(seed):
    for tensor in (tf.constant(seed, tf.int64), tf.constant(seed % 1000)):
        expected = stateless_seed(int(tensor))
        np.testing.assert_array_equal(stateless_seed(tensor), expected)
        np.testing.assert_array_equal(tf.function(stateless_seed)(tensor), expected)
    flow = tfp_gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=tf.constant(seed, tf.int64))
    other = tfp_gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=seed)
    np.testing.assert_array_equal(flow.log_prob([1.0, 2.0]), other.log_prob([1.0, 2.0]))


@pytest.mark.parametrize("seed", [tf.constant(1.0), tf.constant([[1, 2]]), tf.constant([1.0, 2.0])])
def test_tensors_that_are_no_seed(seed):
    with pytest.raises(TypeError, match="`seed` must be a whole number, a stateless seed of two"):
        stateless_seed(seed)


def test_no_seed_draws_one():
    assert not np.array_equal(stateless_seed(None), stateless_seed(None))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_normal_numbers_are_those_of_a_standard_normal(dtype):
    draws = standard_normal([1000, 1000], [0, 1], dtype)
    assert draws.dtype == dtype and draws.shape == [1000, 1000]
    assert scipy.stats.kstest(np.ravel(draws)[::10], "norm").pvalue > 0.01
    for order, moment in enumerate([0.0, 1.0, 0.0, 3.0], 1):  # within four standard errors
        powers = draws.numpy().astype(np.float64) ** order
        assert abs(powers.mean() - moment) < 4 * powers.std() / 1000
    assert 4.5 < np.abs(draws).max() < 5.6


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_normal_numbers_are_the_same_wherever_they_are_drawn(jit_compile, dtype):
    draw = tf.function(lambda seed: standard_normal([50, 3], seed, dtype), jit_compile=jit_compile)
    seed = tf.constant([3, 4])
    np.testing.assert_allclose(
        draw(seed), standard_normal([50, 3], seed, dtype), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("whole", "dtype"), [(tf.int32, tf.float32), (tf.int64, tf.float64)])
def test_normal_numbers_of_the_outermost_bits_are_finite(whole, dtype, monkeypatch):
    ends = tf.constant([whole.min, whole.max])
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *args, **kwargs: ends)
    low, high = standard_normal([2], [0, 1], dtype).numpy()
    assert 5 < high < 9 and low == -high


@pytest.mark.slow
@pytest.mark.parametrize("num_components", [1, 3])
def test_samples_are_the_same_whether_xla_draws_them_or_not(num_components):
    flow = tfp_gmnvp.gaussian_mixture_flow(2, num_components, num_couplings=2, seed=0)
    compiled = tf.function(lambda: flow.sample(200, seed=[0, 1]), jit_compile=True)
    np.testing.assert_allclose(compiled(), flow.sample(200, seed=[0, 1]), rtol=1e-3, atol=1e-4)
