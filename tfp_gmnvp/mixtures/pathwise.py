"""Pathwise gradients of samples of a Gaussian mixture, by implicit reparameterisation.

A sample z of the mixture is also a solution of `F(z; phi) = u` with u uniform, where F stacks the
conditional distribution functions of its coordinates. Holding u fixed while the parameters phi
move (Figurnov, Mohamed and Mnih 2018, "Implicit reparameterization gradients",
arXiv:1805.08498, equations 4 and 7) makes z a differentiable function of them:

    dz/dphi = -(dF/dz)^-1 dF/dphi

For Gaussians with inverse Cholesky factors W_k = L_k^-1, F has a closed form. With the whitened
point w_k = W_k (z - mu_k), whose d-th entry depends on z_1 .. z_d alone,

    log p_k(z_d | z_<d) = log phi(w_kd) + log W_kdd
    r_k(z_<d) = softmax_k(logits_k + sum_{j<d} log p_k(z_j | z_<j))
    F_d(z) = sum_k r_k(z_<d) Phi(w_kd),      dF_d/dz_d = p(z_d | z_<d)

Divided by p(z_d | z_<d), the d-th row of dF is

    sum_k a_kd dw_kd + b_kd (dlogits_k + sum_{j<d} dlog p_k(z_j | z_<j))

    a_kd = r_k(z_<=d) / W_kdd
    b_kd = r_k(z_<d) (Phi(w_kd) - F_d) / p(z_d | z_<d)

a_kd because phi(w_kd) r_k(z_<d) / p(z_d | z_<d) is a step of Bayes' rule, b_kd because the softmax
subtracts its mean. The ratios are taken in log-space, so that their parts need not be
representable. The matrix J of these rows as functions of dz is unit lower triangular. It is never
formed: `J^T lambda = dL/dz` is solved by back substitution in O(K D^2) for each sample, and the
gradients of a loss L with respect to the parameters follow in closed form.

The gradients are unbiased, but where components stand far apart, those of the weights come from the
rare samples between them, whose `1 / p(z_d | z_<d)` is large: the variance grows with the gap, and
a few samples seldom show that mass should move across it.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import custom_gradient

__all__ = ["reparameterize"]


def reparameterize(
    z: tf.Tensor, logits: tf.Tensor, loc: tf.Tensor, inverse_scale: tf.Tensor
) -> tf.Tensor:
    """Samples of a Gaussian mixture, with pathwise gradients with respect to its parameters.

    The values are those of `z`; gradients through `z` are replaced. As in
    `tfd.MixtureSameFamily`, there are first derivatives only: second ones raise a
    `LookupError`.

    Where the gap between two components is so wide that a sample in its middle has a gradient
    beyond the floating-point range (`1 / p(z_d | z_<d)` > 1e38 in float32, at about 13 standard
    deviations from all components, where no sample is ever drawn), that sample
    contributes a gradient of zero.

    Args:
      z: samples `[..., D]` of the mixture.
      logits: of the components' weights, `[K]`.
      loc: means `[K, D]`.
      inverse_scale: inverse lower Cholesky factors of the covariances, `[K, D, D]`.

    Returns:
      A tensor `[..., D]`, equal to `z`.

    #### Examples

    With one component z = mu + L noise, so that dz/dmu is the identity:

    >>> z, loc, inverse_scale = tf.constant([0.3, -1.0]), tf.zeros([1, 2]), tf.eye(2)[tf.newaxis]
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(loc)
    ...     value = tf.reduce_sum(
    ...         [3.0, 5.0] * reparameterize(z, tf.zeros([1]), loc, inverse_scale))
    >>> tape.gradient(value, loc).numpy().tolist()
    [[3.0, 5.0]]
    """
    z = tf.stop_gradient(z)

    @custom_gradient
    def attach(logits, loc, inverse_scale):
        def gradient(dz):
            event_size = z.shape[-1]
            gradients = _pull_back(
                tf.reshape(dz, [-1, event_size]),
                tf.reshape(z, [-1, event_size]),
                logits,
                loc,
                inverse_scale,
            )
            return tuple(_first_derivative_only(g) for g in gradients)

        return tf.identity(z), gradient

    return attach(*(tf.convert_to_tensor(p) for p in (logits, loc, inverse_scale)))


def _pull_back(dz, z, logits, loc, inverse_scale):
    """Gradients with respect to the parameters from those to the samples, `-dF^T lambda`."""
    deviation, whitened = _whiten(z, loc, inverse_scale)
    a, b = _slopes(whitened, logits, inverse_scale)
    multiplier = _back_substitution(dz, whitened, a, b, inverse_scale)[:, tf.newaxis]
    to_log_weight = b * multiplier  # [N, K, D]
    to_log_density = tf.cumsum(to_log_weight, axis=-1, exclusive=True, reverse=True)
    to_whitened = a * multiplier - whitened * to_log_density

    parts = (to_log_weight, to_log_density, to_whitened)
    is_finite = tf.reduce_all(tf.math.is_finite(tf.concat(parts, axis=-1)), [1, 2], keepdims=True)
    to_log_weight, to_log_density, to_whitened = (
        tf.where(is_finite, part, tf.zeros_like(part)) for part in parts
    )
    to_log_diagonal = tf.reduce_sum(to_log_density, axis=0)
    return (
        -tf.reduce_sum(to_log_weight, axis=[0, 2]),
        tf.einsum("nki,kij->kj", to_whitened, inverse_scale),
        -tf.einsum("nki,nkj->kij", to_whitened, deviation)
        - tf.linalg.diag(to_log_diagonal / tf.linalg.diag_part(inverse_scale)),
    )


def _back_substitution(dz, whitened, a, b, inverse_scale):
    """Solves `J^T lambda = dz` from the last coordinate to the first, `[N, D]`.

    (J^T lambda)_j = sum_k sum_{d>=j} W_kdj (a_kd lambda_d - w_kd sum_{e>d} b_ke lambda_e)
    """

    def step(state, coordinate):
        _, residual, to_log_density = state
        j, w, a, b, row = coordinate  # [], three times [N, K], [K, D]
        diagonal = tf.gather(row, j, axis=1)
        multiplier = tf.gather(residual, j, axis=1)
        multiplier += tf.linalg.matvec(w * to_log_density, diagonal)
        to_whitened = a * multiplier[:, tf.newaxis] - w * to_log_density
        return (
            multiplier,
            residual - tf.matmul(to_whitened, row),
            to_log_density + b * multiplier[:, tf.newaxis],
        )

    coordinates = [tf.transpose(t, [2, 0, 1]) for t in (whitened, a, b)]
    rows = tf.transpose(inverse_scale, [1, 0, 2])
    multiplier, _, _ = tf.scan(
        step,
        (tf.range(dz.shape[-1]), *coordinates, rows),
        (tf.zeros_like(dz[:, 0]), dz, tf.zeros_like(whitened[..., 0])),
        reverse=True,
    )
    return tf.transpose(multiplier)


def _slopes(whitened, logits, inverse_scale):
    """a and b, `[N, K, D]`: the slopes of F_d / p(z_d | z_<d) along w_kd and along log-weights.

    Phi(w_kd) - F_d is computed from the side of the smaller tail, where no digits cancel.
    """
    log_density = _log_density(whitened, inverse_scale)
    before, after = _log_weights(log_density, logits)
    a = tf.exp(after) / tf.linalg.diag_part(inverse_scale)

    transform = tf.reduce_sum(tf.exp(before + _log_ndtr(whitened)), axis=-2, keepdims=True)
    side = tf.where(transform > 0.5, -tf.ones_like(transform), tf.ones_like(transform))
    log_conditional = tf.reduce_logsumexp(before + log_density, axis=-2, keepdims=True)
    tail = tf.exp(before + _log_ndtr(side * whitened) - log_conditional)
    b = side * (tail - tf.exp(before) * tf.reduce_sum(tail, axis=-2, keepdims=True))
    return a, b


def _whiten(z, loc, inverse_scale):
    """z - mu_k and W_k (z - mu_k), `[..., K, D]`."""
    deviation = z[..., tf.newaxis, :] - loc
    return deviation, tf.einsum("kij,...kj->...ki", inverse_scale, deviation)


def _log_density(whitened, inverse_scale):
    """log p_k(z_d | z_<d), `[..., K, D]`, whose sum over d is finite however far z is."""
    log_diagonal = tf.math.log(tf.linalg.diag_part(inverse_scale))
    furthest = math.sqrt(whitened.dtype.max / whitened.shape[-1])
    squared = tf.square(tf.clip_by_value(whitened, -furthest, furthest))
    return log_diagonal - 0.5 * squared - 0.5 * math.log(2 * math.pi)


def _log_weights(log_density, logits):
    """log r_k(z_<d) and log r_k(z_<=d), `[..., K, D]`."""
    logits = logits[:, tf.newaxis]
    return (
        tf.nn.log_softmax(logits + tf.cumsum(log_density, axis=-1, exclusive=True), axis=-2),
        tf.nn.log_softmax(logits + tf.cumsum(log_density, axis=-1), axis=-2),
    )


def _log_ndtr(x):
    """log Phi(x), accurate in the lower tail."""
    return tfp.math.logerfc(-x / math.sqrt(2)) - math.log(2)


def _first_derivative_only(x):
    return tf.raw_ops.PreventGradient(
        input=x, message="Samples of a Gaussian mixture have no second derivatives."
    )
