"""Gaussian components with covariances of low rank plus a diagonal."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.components import GaussianComponents
from tfp_gmnvp.mixtures.triangular import inverse_tril

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

    def _scaled(self):
        """A_k `[K, D, R]`, and the Cholesky factors of `I + A^T A`."""
        scaled = self.loadings / self.scale_diag[..., tf.newaxis]
        gram = tf.matmul(scaled, scaled, transpose_a=True)
        return scaled, tf.linalg.cholesky(gram + tf.eye(self.rank, dtype=self.dtype))

    def _whiten(self, z):
        scaled, cholesky = self._scaled()
        inverse = inverse_tril(cholesky)
        upper = tf.linalg.matrix_transpose(cholesky) + tf.eye(self.rank, dtype=self.dtype)
        small = tf.linalg.triangular_solve(upper, inverse, lower=False)
        unit = (z - self.loc) / self.scale_diag
        factors = tf.einsum("kdr,...kd->...kr", tf.matmul(scaled, small, transpose_b=True), unit)
        return unit - tf.einsum("kdr,...kr->...kd", scaled, factors)

    def _sample_n(self, n, seed=None):
        diagonal_seed, factor_seed = tfp.random.split_seed(tfp.random.sanitize_seed(seed), n=2)

        def normal(like, seed):
            shape = tf.concat([[n], tf.shape(like)], axis=0)
            return tf.random.stateless_normal(shape, seed, dtype=self.dtype)

        factors = normal(self.loadings[:, 0], factor_seed)
        noise = self.scale_diag * normal(self.loc, diagonal_seed)
        return self.loc + noise + tf.einsum("kdr,...kr->...kd", self.loadings, factors)

    def _scale_matvec(self, noise):
        return tf.linalg.matvec(tf.linalg.cholesky(self._covariance()), noise)

    def _log_det_scale(self):
        diagonal = tf.linalg.diag_part(self._scaled()[1])
        return tf.reduce_sum(tf.math.log(self.scale_diag), axis=-1) + tf.reduce_sum(
            tf.math.log(diagonal), axis=-1
        )

    def _covariance(self):
        outer = tf.matmul(self.loadings, self.loadings, transpose_b=True)
        return outer + tf.linalg.diag(tf.square(self.scale_diag))

    def _variance(self):
        return tf.square(self.scale_diag) + tf.reduce_sum(tf.square(self.loadings), axis=-1)
