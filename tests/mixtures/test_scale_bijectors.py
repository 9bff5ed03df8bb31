"""Bijectors of scales against those of TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.scale_bijectors import PositiveScale, ScaleTril

tfb = tfp.bijectors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("ours", "theirs", "shape", "event_ndims"),
    [
        (PositiveScale(), tfb.Exp(), [5, 3], (0, 0)),
        (ScaleTril(), tfb.FillScaleTriL(diag_bijector=tfb.Exp(), diag_shift=None), [5, 6], (1, 2)),
    ],
    ids=["positive", "tril"],
)
def test_they_are_those_of_tfp(ours, theirs, shape, event_ndims, dtype):
    x = tf.random.stateless_normal(shape, [0, 1], dtype=dtype)
    y = theirs.forward(x)
    np.testing.assert_array_equal(ours.forward(x), y)
    np.testing.assert_allclose(ours.inverse(y), x, rtol=1e-5, atol=1e-6)
    for method, value, ndims in (
        ("forward_log_det_jacobian", x, event_ndims[0]),
        ("inverse_log_det_jacobian", y, event_ndims[1]),
    ):
        expected = getattr(theirs, method)(value, event_ndims=ndims)
        found = getattr(ours, method)(value, event_ndims=ndims)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_shapes_of_events():
    bijector = ScaleTril()
    assert bijector.forward_event_shape([4, 6]).as_list() == [4, 3, 3]
    assert bijector.inverse_event_shape([4, 3, 3]).as_list() == [4, 6]
    assert bijector.forward_event_shape([4, None]).as_list() == [4, None, None]
    assert bijector.forward_event_shape_tensor([4, 6]).numpy().tolist() == [4, 3, 3]
    assert bijector.inverse_event_shape_tensor([4, 3, 3]).numpy().tolist() == [4, 6]
