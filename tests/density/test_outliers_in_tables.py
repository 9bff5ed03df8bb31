"""`fit_density` of tables with a few far rows: the density is that of the others."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp import copy_flow
from tfp_gmnvp.flows.on_arrays import as_points, log_prob


def table(num_outliers, seed=0):
    """Two clusters, in other units each, and rows far out."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=[400, 2]) + 4.0 * rng.integers(2, size=[400, 1])
    x[:num_outliers] = 1e4 * rng.normal(size=[num_outliers, 2])
    return x * [1.0, 100.0]


@pytest.mark.slow
def test_a_plain_mixture_with_outliers_describes_the_others():
    small = {"num_components": [2], "covariance_types": ["full"], "steps": 2, "seed": 0}
    small |= {"hidden_units": (4,), "num_couplings": 1}
    fits = [gmnvp.fit_density(table(n), **small) for n in (0, 2)]
    fresh = table(0, seed=1)
    densities = []
    for fit in fits:
        assert not fit.keeps_flow
        flow = fit.model.distribution
        densities.append(log_prob(flow, as_points(flow, fresh)).mean())
        copied = copy_flow(flow)
        points = tf.constant(fresh, flow.dtype)
        np.testing.assert_array_equal(copied.log_prob(points), flow.log_prob(points))
    assert abs(densities[0] - densities[1]) < 0.1
