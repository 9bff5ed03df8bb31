"""Covariances that are kept off singular: the M-step under a lower bound."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.triangular import inverse_tril

__all__ = ["lift"]


def lift(covariance: tf.Tensor, floor: tf.Tensor, covariance_type: str) -> tf.Tensor:
    """The nearest covariance, in likelihood, that is nowhere below `diag(floor)`.

    Its smaller eigenvalues, in units of the floor, are lifted to one.

    Args:
      covariance: in the shape of its type; see `MixtureParameters`.
      floor: positive, `[D]`.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank', of which the variances
        are bounded and the loadings stay.

    Returns:
      A tensor in the shape of `covariance`.

    #### Examples

    >>> lift(tf.constant([[4.0, 0.1]]), tf.ones([2]), "diag").numpy().tolist()
    [[4.0, 1.0]]
    """
    if covariance_type == "spherical":
        return tf.maximum(covariance, tf.reduce_mean(floor))
    if covariance_type == "diag":
        return tf.maximum(covariance, floor)
    if covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        return factor_analysis.pack(tf.maximum(variance, floor), loadings)
    stddev = tf.sqrt(floor)
    unit = stddev[:, tf.newaxis] * stddev
    in_units = covariance / unit
    return tf.cond(
        _are_above_one(in_units), lambda: covariance, lambda: _lift_to_one(in_units) * unit
    )


def _are_above_one(matrices):
    """Whether all eigenvalues surely are, by a Cholesky factor: a bound far cheaper than they are.

        lambda_min(S) >= 1 / tr((S + j I)^-1) - j,    tr((S + j I)^-1) = |L^-1|^2

    The shift j lets rounding push no eigenvalue of S + j I below zero.
    """
    size, dtype = matrices.shape[-1], matrices.dtype
    identity = tf.eye(size, dtype=dtype)
    rounding = size * np.finfo(dtype.as_numpy_dtype).eps
    shift = 0.5 + rounding * tf.linalg.trace(matrices)[..., tf.newaxis, tf.newaxis]
    scale_tril = tf.linalg.cholesky(matrices + shift * identity)
    trace = tf.reduce_sum(tf.square(inverse_tril(scale_tril)), axis=[-2, -1], keepdims=True)
    return tf.reduce_all((1.0 + shift) * trace <= 1.0)


def _lift_to_one(matrices):
    eigenvalues, eigenvectors = tf.linalg.eigh(matrices)
    lifted = eigenvectors * tf.maximum(eigenvalues, 1.0)[..., tf.newaxis, :]
    return tf.matmul(lifted, eigenvectors, transpose_b=True)
