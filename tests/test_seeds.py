"""Integer seeds give the same values whatever was drawn before."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_gmnvp.seeds import stateless_seed


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**40 + 1, -3])
def test_integer_seeds_do_not_depend_on_any_state(seed):
    tf.random.set_seed(1)
    first = stateless_seed(seed)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(first, stateless_seed(seed))
    assert not np.array_equal(first, stateless_seed(int(seed) + 1))
    np.testing.assert_array_equal(stateless_seed(first), first)


def test_no_seed_draws_one():
    assert not np.array_equal(stateless_seed(None), stateless_seed(None))
