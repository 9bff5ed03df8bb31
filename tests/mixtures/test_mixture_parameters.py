"""The mixture's parameters in and out."""

import numpy as np
import pytest
import tensorflow as tf
from support import COVARIANCE_TYPES, mixture_with, random_parameters

from tfp_gmnvp.mixtures import (
    MixtureParameters,
    as_mixture,
    assign_parameters,
    gaussian_mixture,
    mixture_parameters,
)

each_covariance_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.float64])


@each_covariance_type
@each_dtype
def test_parameters_come_back_as_assigned(covariance_type, dtype):
    parameters = random_parameters(3, 4, covariance_type)
    for given_dtype in (tf.float32, tf.float64):
        given_parameters = MixtureParameters(*(tf.cast(p, given_dtype) for p in parameters))
        actual = mixture_parameters(mixture_with(given_parameters, covariance_type, dtype=dtype))
        exact = dtype == given_dtype == tf.float64
        for value, desired in zip(actual, parameters, strict=True):
            assert value.dtype == dtype
            np.testing.assert_allclose(
                value, desired, rtol=1e-12 if exact else 1e-4, atol=1e-12 if exact else 1e-5
            )


def test_python_numbers_keep_their_precision():
    mixture = gaussian_mixture(2, 1, "diag", dtype=tf.float64)
    assign_parameters(mixture, MixtureParameters([0.3, 0.7], [[0.1], [2]], [[0.1], [0.3]]))
    probs, loc, covariance = mixture_parameters(mixture)
    np.testing.assert_allclose(probs, [0.3, 0.7], rtol=1e-14)
    np.testing.assert_allclose(loc, [[0.1], [2.0]], rtol=1e-14)
    np.testing.assert_allclose(covariance, [[0.1], [0.3]], rtol=1e-14)


@each_covariance_type
def test_parameters_of_another_shape(covariance_type):
    mixture = gaussian_mixture(2, 3, covariance_type, dtype=tf.float64, seed=0)
    before = mixture_parameters(mixture)
    parameters = random_parameters(2, 3, covariance_type)
    for name in MixtureParameters._fields:
        wrong = parameters._replace(**{name: tf.ones([7, 7, 7, 7], tf.float64)})
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*7, 7"):
            assign_parameters(mixture, wrong)
    wrong = parameters._replace(probs=parameters.probs[:1])
    with pytest.raises(ValueError, match=r"`probs` must have shape \[2\].*got \(1,\)"):
        as_mixture(wrong, covariance_type)
    for value, desired in zip(mixture_parameters(mixture), before, strict=True):
        np.testing.assert_array_equal(value, desired)
