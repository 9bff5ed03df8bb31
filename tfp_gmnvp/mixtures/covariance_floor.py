"""Covariances that are kept off singular: the M-step under a lower bound."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.triangular import inverse_tril

__all__ = ["lift", "resolved_variance"]


def lift(covariance: tf.Tensor, floor: tf.Tensor, covariance_type: str) -> tf.Tensor:
    """The nearest covariance, in likelihood, that is nowhere below `diag(floor)`.

    Its smaller eigenvalues, in units of the floor, are lifted to one; or, where the largest is so
    large that rounding would swallow one, to what the dtype resolves beside it.

    Args:
      covariance: in the shape of its type; see `MixtureParameters`.
      floor: positive, `[D]`, or each component's own, `[K, D]`.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank', of which the variances
        are bounded and the loadings stay.

    Returns:
      A tensor in the shape of `covariance`.

    #### Examples

    >>> lift(tf.constant([[4.0, 0.1]]), tf.ones([2]), "diag").numpy().tolist()
    [[4.0, 1.0]]
    """
    if covariance_type == "spherical":
        return tf.maximum(covariance, tf.reduce_mean(floor, axis=-1))
    if covariance_type == "diag":
        return tf.maximum(covariance, floor)
    if covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        return factor_analysis.pack(tf.maximum(variance, floor), loadings)
    stddev = tf.sqrt(floor)
    unit = stddev[..., tf.newaxis] * stddev[..., tf.newaxis, :]
    in_units = covariance / unit
    return tf.cond(
        _are_above_one(in_units), lambda: covariance, lambda: _lift_to_one(in_units) * unit
    )


def resolved_variance(
    covariance: tf.Tensor, loc: tf.Tensor, covariance_type: str, dtype
) -> tf.Tensor:
    """The least variance that numbers of a dtype tell from none, entry by entry.

    Beside a component's own spread that is a matter of the condition of its matrix, and about its
    mean of the spacing of numbers there. It keeps covariances of dependent or constant columns
    positive definite where no other floor does.

    Args:
      covariance: in the shape of its type; see `MixtureParameters`.
      loc: means `[K, D]`.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      dtype: float dtype that the mixture is evaluated in.

    Returns:
      A tensor `[K, D]`, or `[D]` for 'tied'; positive.

    #### Examples

    >>> variance = resolved_variance(tf.constant([[4.0, 0.0]]), tf.ones([1, 2]), "diag", "float32")
    >>> [f"{entry:.0e}" for entry in variance[0].numpy()]
    ['1e-14', '1e-14']
    """
    eps = np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps
    spacing = tf.square(eps * loc) + np.finfo(np.float32).tiny
    if covariance_type in ("diag", "spherical"):  # whose entries have no condition
        return spacing
    if covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        diagonal = variance + tf.reduce_sum(tf.square(loadings), axis=-1)
    else:
        diagonal = tf.linalg.diag_part(covariance)
    condition = 8 * loc.shape[-1] ** 0.5 * eps
    if covariance_type == "tied":
        spacing = tf.reduce_max(spacing, axis=0)
    return tf.maximum(condition * diagonal, spacing)


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
    rounding = 4 * matrices.shape[-1] ** 0.5 * np.finfo(matrices.dtype.as_numpy_dtype).eps
    smallest = tf.maximum(rounding * eigenvalues[..., -1:], 1.0)
    lifted = eigenvectors * tf.maximum(eigenvalues, smallest)[..., tf.newaxis, :]
    return tf.matmul(lifted, eigenvectors, transpose_b=True)
