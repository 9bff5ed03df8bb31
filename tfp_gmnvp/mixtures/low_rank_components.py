"""Gaussian components with covariances of low rank plus a diagonal."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.components import GaussianComponents, Whitening, equal_scales
from tfp_gmnvp.mixtures.triangular import inverse_tril, log_det_tril

__all__ = ["LowRankComponents"]

tfb = tfp.bijectors


class LowRankComponents(GaussianComponents):
    """Gaussians with covariances `W_k W_k^T + diag(s_k)^2`, as of factor analysers.

    With `A = diag(s)^-1 W` and the Cholesky factor `L L^T = I + A^T A`, of size R only, points are
    whitened by

        u = (z - mu) / s,    v = u - A (I + L^T)^-1 L^-1 A^T u,
        log N(z) = -|v|^2 / 2 - sum log s - log det L - D/2 log 2 pi.

    |v|^2 is Woodbury's `u^T (I - A (I + A^T A)^-1 A^T) u`, as a sum of squares: no difference of
    large numbers is taken.

    #### Examples

    >>> components = LowRankComponents(tf.zeros([3, 5]), tf.ones([3, 5]), tf.ones([3, 5, 2]))
    >>> components.log_prob(tf.zeros([4, 1, 5])).shape.as_list()
    [4, 3]
    """

    def __init__(
        self,
        loc,
        scale_diag,
        loadings,
        *,
        covariance_type="low_rank",
        validate_args=False,
        name="LowRankComponents",
    ):
        """Builds the components.

        Args:
          loc: means mu_k, `[K, D]`.
          scale_diag: positive s_k, `[K, D]`.
          loadings: W_k, `[K, D, R]`.
          covariance_type: 'low_rank'.
          validate_args: as of `tfd.Distribution`.
          name: prefix of the operations' names.
        """
        parameters = dict(locals())
        self._scale_diag, self._loadings = scale_diag, loadings
        super().__init__(
            loc,
            covariance_type=covariance_type,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def scale_diag(self):
        """The standard deviations s_k of the diagonal part, `[K, D]`."""
        return self._scale_diag

    @property
    def loadings(self):
        """The loadings W_k, `[K, D, R]`."""
        return self._loadings

    @property
    def rank(self) -> int:
        """The number R of factors."""
        return self._loadings.shape[-1]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "loc": tfp.util.ParameterProperties(event_ndims=1),
            "scale_diag": tfp.util.ParameterProperties(
                event_ndims=1, default_constraining_bijector_fn=tfb.Softplus
            ),
            "loadings": tfp.util.ParameterProperties(event_ndims=2),
        }

    def inverse_scale(self):
        return inverse_tril(tf.linalg.cholesky(self._covariance()))

    def _scaled(self, scale_diag):
        """A_k `[K, D, R]`, and the Cholesky factors of `I + A^T A`."""
        scaled = self.loadings / scale_diag[..., tf.newaxis]
        gram = tf.matmul(scaled, scaled, transpose_a=True)
        return scaled, tf.linalg.cholesky(gram + tf.eye(self.rank, dtype=self.dtype))

    def whitening(self):
        scale_diag, loadings = (tf.convert_to_tensor(p) for p in (self.scale_diag, self.loadings))
        linear, log_det_scale = self._linear(scale_diag)
        return Whitening(linear, log_det_scale, equal_scales(self.loc, scale_diag, loadings))

    def _whiten(self, z):
        linear, log_det_scale = self._linear(tf.convert_to_tensor(self.scale_diag))
        return linear(z - self.loc), log_det_scale

    def _linear(self, scale_diag):
        """The map from `z - mu` to v, and the log-determinants."""
        scaled, cholesky = self._scaled(scale_diag)
        inverse = inverse_tril(cholesky)
        upper = tf.linalg.matrix_transpose(cholesky) + tf.eye(self.rank, dtype=self.dtype)
        small = tf.linalg.triangular_solve(upper, inverse, lower=False)
        to_factors = tf.matmul(scaled, small, transpose_b=True)

        def linear(vectors):
            unit = vectors / scale_diag
            factors = tf.einsum("kdr,...kd->...kr", to_factors, unit)
            return unit - tf.einsum("kdr,...kr->...kd", scaled, factors)

        return linear, _log_det(scale_diag, cholesky)

    def _noise_shape(self):
        """`[K, D + R]`, as samples take noise of the diagonal part and factors."""
        return tf.shape(self.loc) + tf.constant([0, self.rank])

    def _scale_matvec(self, noise):
        diagonal, factors = self._split(noise)
        return self.scale_diag * diagonal + tf.einsum("kdr,...kr->...kd", self.loadings, factors)

    def _scale_matvec_at(self, component, noise):
        diagonal, factors = self._split(noise)
        is_drawn = tf.one_hot(component, self.loadings.shape[0], dtype=self.dtype)
        factors = is_drawn[..., tf.newaxis] * factors[..., tf.newaxis, :]  # [n, K, R]
        from_factors = tf.einsum("kdr,nkr->nd", self.loadings, factors)
        return tf.gather(self.scale_diag, component) * diagonal + from_factors

    def _split(self, noise):
        """The noise of the diagonal part `[..., D]`, and the factors `[..., R]`."""
        return noise[..., : -self.rank], noise[..., -self.rank :]

    def _log_det_scale(self):
        scale_diag = tf.convert_to_tensor(self.scale_diag)
        return _log_det(scale_diag, self._scaled(scale_diag)[1])

    def _covariance(self):
        outer = tf.matmul(self.loadings, self.loadings, transpose_b=True)
        return outer + tf.linalg.diag(tf.square(self.scale_diag))

    def _variance(self):
        return tf.square(self.scale_diag) + tf.reduce_sum(tf.square(self.loadings), axis=-1)


def _log_det(scale_diag, cholesky):
    return tf.reduce_sum(tf.math.log(scale_diag), axis=-1) + log_det_tril(cholesky)
