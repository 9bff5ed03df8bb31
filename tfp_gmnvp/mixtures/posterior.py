"""The posterior over components, also at points where all densities underflow to zero.

The square of a whitened point overflows long before the point does, and the log-densities of all
components are then minus infinity. Their differences can still be computed. With the affine maps
`v_k(z) = L_k^-1 (z - mu_k)` and the most likely component j at the point,

    log p(k | z) / p(j | z) = log pi_k / pi_j - log det L_k / L_j - t^2 (e_k . g_k) / 2,
    e_k = (v_k - v_j) / t,    g_k = (v_k + v_j) / t,

where t is the point's distance, so that e and g stay small, and no squares are subtracted. What
components share, for example a scale, is removed from e before it is computed: then their means
distinguish them at any distance.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp._compat import custom_gradient
from tfp_gmnvp.mixtures.components import GaussianComponents

__all__ = ["clip_to_range", "finite_log_joint", "log_posterior", "log_sum_exp"]

_REACH = 0.55  # of the range's logarithm: 2e21 in float32, 4e169 in float64


def log_posterior(mixture, z: tf.Tensor) -> tf.Tensor:
    """Computes log p(k | z), which is finite at any finite z.

    Far out it is that of the limit along the ray: all for the component with the widest covariance
    in the direction of z, and among equal covariances for the mean furthest in that direction.

    Args:
      mixture: a `tfd.MixtureSameFamily`; with other components than ours the limit is not taken.
      z: points `[..., D]`.

    Returns:
      A tensor `[..., K]`.

    #### Examples

    >>> from tfp_gmnvp.mixtures import MixtureParameters, as_mixture
    >>> mixture = as_mixture(MixtureParameters([0.5, 0.5], [[0.0], [1.0]], [4.0, 1.0]), "spherical")
    >>> tf.exp(log_posterior(mixture, [[0.5], [1e30]])).numpy().astype(float).round(2).tolist()
    [[0.35, 0.65], [1.0, 0.0]]
    """
    components = mixture.components_distribution
    if not isinstance(components, GaussianComponents):
        return tf.nn.log_softmax(_log_joint(mixture, z))
    z = tf.convert_to_tensor(z, dtype=components.dtype)
    highest = np.finfo(z.dtype.as_numpy_dtype).max
    near, furthest = highest**0.25, highest**0.45  # whose square is well within the range
    whitening, loc = components.whitening(), tf.convert_to_tensor(components.loc)
    center = tf.reduce_mean(loc, axis=0)
    z = tf.clip_by_value(z, -highest, highest)
    difference = tf.where(_size(z, [-1], keepdims=True) > highest / 4, z / 4, z) - center

    size = _size(difference, [-1], keepdims=True)[..., tf.newaxis]  # [..., 1, 1]
    unit = tf.where(size > near, size, tf.ones_like(size))
    of_point = whitening.linear(difference[..., tf.newaxis, :] / unit)  # [..., K, D]
    of_means = whitening.linear(loc - center)
    size = _size(of_point - of_means / unit, [-1], keepdims=True)
    size = tf.reduce_min(size, axis=-2, keepdims=True)
    is_far = (unit > 1) | (size > near)
    size = tf.where(is_far, tf.maximum(size, 1 / highest), tf.ones_like(size))
    reach = tf.minimum(unit * size, furthest)  # t
    of_point, of_means, reach = of_point / size, of_means / reach, reach[..., 0]

    log_weights = tf.nn.log_softmax(mixture.mixture_distribution.logits_parameter())
    constant = log_weights - whitening.log_det_scale
    squared = tf.reduce_sum(tf.square(of_point - of_means), axis=-1)
    ratio = _log_ratio(constant, of_point, of_means, squared, reach, whitening.is_same)
    ratio = tf.clip_by_value(ratio, -highest / 8, highest / 8)
    return tf.nn.log_softmax(tf.where(reach < furthest, ratio, tf.stop_gradient(ratio)))


def _log_ratio(constant, of_point, of_means, squared, reach, is_same):
    """Computes log p(k | z) / p(j | z) for the most likely j, `[..., K]`."""
    possible = tf.where(
        constant >= constant.dtype.min, squared, tf.fill(tf.shape(squared), squared.dtype.max)
    )
    lowest = tf.reduce_min(possible, axis=-1, keepdims=True)
    score = constant - 0.5 * reach * (reach * (squared - lowest))
    number = tf.range(squared.shape[-1], dtype=tf.int32)
    best = tf.argmax(score, axis=-1, output_type=tf.int32)[..., tf.newaxis]
    is_best = tf.cast(tf.equal(number, best), squared.dtype)

    def at_best(values):
        return tf.reduce_sum(is_best[..., tf.newaxis] * values, axis=-2, keepdims=True)

    constant_of_best = tf.where(is_best > 0, constant, tf.zeros_like(score))
    constant_of_best = tf.reduce_sum(constant_of_best, axis=-1, keepdims=True)
    is_other = 1 - tf.tensordot(is_best, tf.cast(is_same, squared.dtype), axes=1)
    apart = is_other[..., tf.newaxis] * (of_point - at_best(of_point))
    e = apart - (of_means - at_best(of_means))
    g = of_point - of_means + at_best(of_point - of_means)
    product = tf.reduce_sum(e * g, axis=-1)
    return (constant - constant_of_best) - 0.5 * reach * (reach * product)


def log_sum_exp(log_joint: tf.Tensor, mixture, z: tf.Tensor) -> tf.Tensor:
    """Computes log p(z), with the most likely component's gradient where it is minus infinity.

    Args:
      log_joint: log pi_k + log N(z | mu_k, Sigma_k), `[..., K]`.
      mixture: the mixture.
      z: points `[..., D]`.

    Returns:
      A tensor `[...]`, in nats.

    #### Examples

    >>> from tfp_gmnvp.mixtures import component_log_joint, gaussian_mixture
    >>> mixture, z = gaussian_mixture(2, 1, seed=0), tf.constant([1e25])
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(z)
    ...     log_prob = log_sum_exp(component_log_joint(mixture, z), mixture, z)
    >>> log_prob.numpy().item(), f"{tape.gradient(log_prob, z).numpy().item():.3g}"
    (-inf, '-1e+25')
    """

    @custom_gradient
    def total(log_joint):
        def gradient(upstream):
            far = _is_far(log_joint)
            shares = tf.nn.softmax(tf.where(far, tf.zeros_like(log_joint), log_joint))
            shares = tf.cond(
                tf.reduce_any(far),
                lambda: tf.where(far, tf.exp(log_posterior(mixture, z)), shares),
                lambda: shares,
            )
            return upstream[..., tf.newaxis] * shares

        return tf.reduce_logsumexp(log_joint, axis=-1), gradient

    return total(log_joint)


def finite_log_joint(mixture, z: tf.Tensor) -> tf.Tensor:
    """Computes the log-joint, replaced by finite numbers of the same order where it underflows.

    Args:
      mixture: a mixture.
      z: points `[N, D]`.

    Returns:
      A tensor `[N, K]`, in nats. Its softmax is p(k | z), or one-hot for the most likely component
      where log p(z) is beyond the range of the dtype, and its log-sum-exp log p(z), or half the
      lowest number of the dtype there.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> log_joint = finite_log_joint(gaussian_mixture(2, 1, seed=0), tf.constant([[1e25]]))
    >>> tf.nn.softmax(log_joint).numpy().max(axis=-1).tolist()
    [1.0]
    """
    log_joint = _log_joint(mixture, z)
    far, lowest = _is_far(log_joint), log_joint.dtype.min

    def with_stand_ins():
        posterior = log_posterior(mixture, z)
        is_best = tf.equal(posterior, tf.reduce_max(posterior, axis=-1, keepdims=True))
        of_far = tf.where(is_best, 0.5 * lowest, 0.75 * lowest)
        return tf.where(far, of_far, log_joint)

    return tf.cond(tf.reduce_any(far), with_stand_ins, lambda: log_joint)


def clip_to_range(x: tf.Tensor, event_ndims: int = 1, *, dtype=None) -> tf.Tensor:
    """Shrinks points that a bijector might take out of the dtype's range, along their ray.

    Args:
      x: points `[..., D]`, or other events.
      event_ndims: rank of the events.
      dtype: of the bijector; `None` for that of the points.

    Returns:
      A tensor of the same shape, whose entries are at most 2e21 (float32) or 4e169 (float64).

    #### Examples

    >>> [f"{entry:.2g}" for entry in clip_to_range(tf.constant([1e38, -2e38])).numpy()]
    ['7.8e+20', '-1.6e+21']
    """
    dtype = tf.as_dtype(dtype or x.dtype).as_numpy_dtype
    limit = tf.constant(float(np.finfo(dtype).max) ** _REACH, x.dtype)
    size = _size(x, list(range(-event_ndims, 0)), keepdims=True)
    return tf.where(size > limit, x * (limit / tf.maximum(size, limit)), x)


def _log_joint(mixture, z):
    log_weights = tf.nn.log_softmax(mixture.mixture_distribution.logits_parameter())
    return log_weights + mixture.components_distribution.log_prob(z[..., tf.newaxis, :])


def _is_far(log_joint):
    return tf.reduce_max(log_joint, axis=-1, keepdims=True) < log_joint.dtype.min


def _size(x, axis, keepdims=False):
    return tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=axis, keepdims=keepdims))
