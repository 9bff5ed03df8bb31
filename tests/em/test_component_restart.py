"""Repair of collapsed components."""

import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES, full_covariances, points, random_parameters
from test_em import assert_same_parameters

from tfp_gmnvp.em import repair

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def collapsed_parameters(covariance_type, probs):
    parameters = random_parameters(len(probs), 2, covariance_type)
    return parameters._replace(probs=tf.constant(probs, tf.float64))


@each_covariance_type
def test_repair_leaves_sound_components_alone(covariance_type):
    parameters = collapsed_parameters(covariance_type, [0.5, 0.498, 0.002])
    assert_same_parameters(
        repair(parameters, points(3, 2), covariance_type), parameters, rtol=1e-15
    )


@each_covariance_type
@pytest.mark.parametrize("num_points", [1, 2, 4])
def test_repair_sets_collapsed_components_down(covariance_type, num_points):
    parameters = collapsed_parameters(covariance_type, [1e-5, 0.6, 0.0, 0.4 - 1e-5])
    worst = 100 + points(num_points, 2, dtype=np.float32)
    mended = repair(parameters, worst, covariance_type)
    np.testing.assert_allclose(mended.loc[0], worst[0])
    np.testing.assert_allclose(mended.loc[2], worst[min(1, num_points - 1)])
    np.testing.assert_array_equal(mended.loc[1::2], parameters.loc[1::2])
    kept = 0.75 * np.array([0.6, 0.4 - 1e-5]) / (1 - 1e-5)
    np.testing.assert_allclose(mended.probs, [0.125, kept[0], 0.125, kept[1]])
    assert mended.probs.dtype == mended.loc.dtype == tf.float64
    before, after = (full_covariances(p, covariance_type) for p in (parameters, mended))
    np.testing.assert_array_equal(after[1::2], before[1::2])
    average = np.tensordot(parameters.probs, before, axes=1)
    for k in (0, 2):
        np.testing.assert_allclose(after[k], before[k] if covariance_type == "tied" else average)


def test_repair_goes_by_the_share():
    parameters = collapsed_parameters("full", [0.96, 0.04])
    moved = repair(parameters, points(1, 2), "full", min_share=0.1)
    np.testing.assert_allclose(moved.probs, [0.75, 0.25])
    kept = repair(parameters, points(1, 2), "full", min_share=0.05)
    assert_same_parameters(kept, parameters, rtol=1e-15)
