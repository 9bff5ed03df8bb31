"""Mixtures of factor analysers: covariances of low rank plus a diagonal.

    z = mu_k + W_k f + e,    f ~ N(0, I_R),    e ~ N(0, diag(psi_k))
    Sigma_k = W_k W_k^T + diag(psi_k)

With `[K, D, R]` loadings W_k and `[K, D]` variances psi_k a covariance takes D (R + 1) numbers
rather than D^2. They are stored as one tensor `[K, D, 1 + R]`, psi_k before W_k; see `pack`.

The M-step of W_k and psi_k is one step of the EM whose missing data are the factors f as well
(Ghahramani and Hinton 1996, "The EM algorithm for mixtures of factor analyzers", equations 13 to
16; Rubin and Thayer 1982). With the posterior's map of the factors,

    E[f | z, k] = B_k (z - mu_k),    B_k = (I + W_k^T psi_k^-1 W_k)^-1 W_k^T psi_k^-1

and the responsibilities' covariance S_k of the points about their mean, it is

    W_k <- S_k B_k^T (I - B_k W_k + B_k S_k B_k^T)^-1,    psi_k <- diag(S_k - W_k B_k S_k).

So of S_k only `S_k B_k^T` and the diagonal are needed, sums of K D (R + 1) numbers: no matrix D x D
is ever formed. The likelihood never decreases, also with the lower bound on psi, as each entry of
psi is maximised separately.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = ["initial_loadings", "loadings_step", "pack", "posterior_map", "second_moments", "unpack"]


def pack(variance: tf.Tensor, loadings: tf.Tensor) -> tf.Tensor:
    """Packs the variances psi and loadings W into one tensor.

    Args:
      variance: psi_k, `[K, D]`.
      loadings: W_k, `[K, D, R]`.

    Returns:
      A tensor `[K, D, 1 + R]`.

    #### Examples

    >>> pack(tf.ones([3, 5]), tf.zeros([3, 5, 2])).shape.as_list()
    [3, 5, 3]
    """
    return tf.concat([variance[..., tf.newaxis], loadings], axis=-1)


def unpack(covariance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Unpacks the variances psi `[K, D]` and the loadings W `[K, D, R]`.

    Args:
      covariance: `[K, D, 1 + R]`.

    Returns:
      The variances and the loadings.

    #### Examples

    >>> variance, loadings = unpack(tf.ones([3, 5, 3]))
    >>> variance.shape.as_list(), loadings.shape.as_list()
    ([3, 5], [3, 5, 2])
    """
    return covariance[..., 0], covariance[..., 1:]


def posterior_map(covariance: tf.Tensor) -> tf.Tensor:
    """The matrices B_k that map `z - mu_k` to the posterior mean of the factors.

    Args:
      covariance: `[K, D, 1 + R]`.

    Returns:
      A tensor `[K, R, D]`.

    #### Examples

    >>> print(posterior_map(tf.constant([[[1.0, 2.0]]])).numpy().round(3))  # 2 / (1 + 2^2)
    [[[0.4]]]
    """
    precision_tril, weighted = _posterior_precision(covariance)
    return tf.linalg.cholesky_solve(precision_tril, tf.linalg.matrix_transpose(weighted))


def _posterior_precision(covariance):
    """The Cholesky factors `[K, R, R]` of the factors' posterior precisions, and Psi^-1 W."""
    variance, loadings = unpack(covariance)
    weighted = loadings / variance[..., tf.newaxis]
    precision = tf.matmul(weighted, loadings, transpose_a=True)
    precision += tf.eye(loadings.shape[-1], dtype=loadings.dtype)
    return tf.linalg.cholesky(precision), weighted


def second_moments(deviation: tf.Tensor, weights: tf.Tensor, covariance: tf.Tensor) -> tf.Tensor:
    """Computes the second moments that the M-step needs, given the current covariances.

    Args:
      deviation: z_n - c_k, `[K, N, D]`.
      weights: w_n r_nk, `[K, N, 1]`.
      covariance: `[K, D, 1 + R]`.

    Returns:
      The sums of `w_n r_nk (z_n - c_k)^2` and of `w_n r_nk (z_n - c_k) (B_k (z_n - c_k))^T`,
      packed as `[K, D, 1 + R]`.

    #### Examples

    >>> z = tf.constant([[[2.0]]])
    >>> print(second_moments(z, tf.ones_like(z), tf.constant([[[1.0, 2.0]]])).numpy().round(3))
    [[[4.  1.6]]]
    """
    factors = tf.matmul(deviation, posterior_map(covariance), transpose_b=True)  # [K, N, R]
    squares = tf.matmul(weights, tf.square(deviation), transpose_a=True)[:, 0]
    return pack(squares, tf.matmul(weights * deviation, factors, transpose_a=True))


def loadings_step(second: tf.Tensor, step: tf.Tensor, covariance: tf.Tensor) -> tf.Tensor:
    """The M-step of loadings and variances.

    Args:
      second: `second_moments` divided by the mass, `[K, D, 1 + R]`.
      step: d_k, the new mean less the reference point, `[K, D]`.
      covariance: the covariances that the moments were taken with, `[K, D, 1 + R]`.

    Returns:
      The new covariances `[K, D, 1 + R]`.

    #### Examples

    The moments of the model itself leave it unchanged:

    >>> covariance = tf.constant([[[1.0, 2.0]]])
    >>> moments = tf.constant([[[5.0, 2.0]]])
    >>> print(loadings_step(moments, tf.zeros([1, 1]), covariance).numpy().round(5))
    [[[1. 2.]]]
    """
    precision_tril, weighted = _posterior_precision(covariance)
    mapped = tf.linalg.cholesky_solve(precision_tril, tf.linalg.matrix_transpose(weighted))
    squares, cross = unpack(second)
    factor_step = tf.einsum("krd,kd->kr", mapped, step)
    squares -= tf.square(step)
    cross -= step[..., tf.newaxis] * factor_step[:, tf.newaxis]  # S B^T
    # The posterior covariance I - B W by its precision: without a difference, so never singular.
    identity = tf.eye(weighted.shape[-1], batch_shape=weighted.shape[:-2], dtype=weighted.dtype)
    factor_moments = tf.linalg.cholesky_solve(precision_tril, identity)
    factor_moments += tf.matmul(mapped, cross)
    factor_moments = 0.5 * (factor_moments + tf.linalg.matrix_transpose(factor_moments))
    loadings = tf.linalg.matrix_transpose(
        tf.linalg.solve(factor_moments, tf.linalg.matrix_transpose(cross))
    )
    return pack(squares - tf.reduce_sum(loadings * cross, axis=-1), loadings)


def initial_loadings(variance: tf.Tensor, rank: int, *, seed) -> tf.Tensor:
    """Draws initial covariances, half of whose variance is explained by random loadings.

    Loadings of zero are a stationary point, as all their directions are equal.

    Args:
      variance: the total variance of each entry, `[K, D]`.
      rank: R, the number of factors.
      seed: stateless seed `[2]`.

    Returns:
      Covariances `[K, D, 1 + R]` with that expected diagonal.

    #### Examples

    >>> initial_loadings(tf.ones([3, 5]), 2, seed=[0, 0]).shape.as_list()
    [3, 5, 3]
    """
    noise = tf.random.stateless_normal([*variance.shape, rank], seed, dtype=variance.dtype)
    return pack(0.5 * variance, tf.sqrt(0.5 * variance / rank)[..., tf.newaxis] * noise)
