"""Functions of covariance matrices: Cholesky factors, a floor, a prior."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.scale_bijectors import ScaleTril
from tfp_gmnvp.mixtures.triangular import inverse_tril

__all__ = ["eigenvalues", "lift_eigenvalues", "log_prior_of_matrices", "unit_scale_tril"]


def unit_scale_tril(loc: tf.Variable, num_matrices: int, name: str):
    """Trainable Cholesky factors `[num_matrices, D, D]` that start as the identity.

    #### Examples

    >>> unit_scale_tril(tf.Variable(tf.zeros([3, 2])), 1, "mixture").numpy().tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    return tfp.util.TransformedVariable(
        tf.eye(loc.shape[-1], batch_shape=[num_matrices], dtype=loc.dtype),
        ScaleTril(),
        name=f"{name}/scale",
    )


def lift_eigenvalues(covariance: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
    """The most likely matrices that are nowhere below `diag(floor)`.

    Eigenvalues below one, in units of the floor, are raised to one; or, where the largest is so
    large that rounding would lose one, to the smallest that the dtype resolves.

    Args:
      covariance: `[..., D, D]`.
      floor: positive, `[D]` or `[..., D]`.

    Returns:
      A tensor like `covariance`.

    #### Examples

    >>> lift_eigenvalues(tf.constant([[4.0, 0.0], [0.0, 0.1]]), tf.ones([2])).numpy().tolist()
    [[4.0, 0.0], [0.0, 1.0]]
    """
    unit = _unit(floor)
    in_units = covariance / unit
    return tf.cond(
        _are_above_one(in_units), lambda: covariance, lambda: _lift_to_one(in_units) * unit
    )


def eigenvalues(covariance: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
    """The eigenvalues in units of a floor `[D]`, ascending, `[..., D]`.

    #### Examples

    >>> values = eigenvalues(tf.constant([[4.0, 0.0], [0.0, 9.0]]), tf.constant([1.0, 4.0]))
    >>> values.numpy().astype(float).round(3).tolist()
    [2.25, 4.0]
    """
    return tf.linalg.eigvalsh(covariance / _unit(floor))


def log_prior_of_matrices(covariance: tf.Tensor, points, scatter: tf.Tensor) -> tf.Tensor:
    """The log-density of each matrix under an inverse-Wishart prior, up to a constant.

        -(points log det Sigma + tr(Psi Sigma^-1)) / 2

    Args:
      covariance: `[..., D, D]`.
      points: how many points the prior counts for.
      scatter: the diagonal of Psi, `[D]`.

    Returns:
      A tensor `[...]`, in nats.

    #### Examples

    >>> float(log_prior_of_matrices(tf.eye(2), 1.0, tf.constant([1.0, 2.0])))
    -1.5
    """
    log_det = tf.linalg.logdet(covariance)
    psi = tf.broadcast_to(tf.linalg.diag(scatter), tf.shape(covariance))
    trace = tf.linalg.trace(tf.linalg.solve(covariance, psi))
    return -0.5 * (points * log_det + trace)


def _unit(floor):
    stddev = tf.sqrt(floor)
    return stddev[..., tf.newaxis] * stddev[..., tf.newaxis, :]


def _are_above_one(matrices):
    """Whether all eigenvalues are provably above one, by a cheap bound from a Cholesky factor.

        lambda_min(S) >= 1 / tr((S + j I)^-1) - j,    tr((S + j I)^-1) = |L^-1|^2

    The shift j keeps rounding from making an eigenvalue of S + j I negative.
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
    rounding = 4 * matrices.shape[-1] ** 0.5 * np.finfo(matrices.dtype.as_numpy_dtype).eps
    smallest = tf.maximum(rounding * eigenvalues[..., -1:], 1.0)
    lifted = eigenvectors * tf.maximum(eigenvalues, smallest)[..., tf.newaxis, :]
    return tf.matmul(lifted, eigenvectors, transpose_b=True)
