"""'tied_low_rank': all components share a few factors and a diagonal."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import set_parameters
from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.covariances.low_rank import (
    LowRank,
    num_parameters_of_factors,
    small_loadings,
)
from tfp_gmnvp.mixtures.covariances.rounding import beside_variances, spacing
from tfp_gmnvp.mixtures.low_rank_components import LowRankComponents
from tfp_gmnvp.mixtures.scale_bijectors import PositiveScale

__all__ = ["TiedLowRank", "TiedLowRankComponents"]


class TiedLowRank(LowRank):
    """One matrix W W^T + diag(psi) for all components: `covariance` is `[D, 1 + R]`.

    It is factor analysis of the points about their components' means: the loadings are estimated
    from all points, so that many components in many dimensions cost D (R + 1) numbers in all. The
    M-step is that of `LowRank` on the pooled moments

        S = sum_k N_k S_k / N,    S_k = sum_n r_nk (z_n - mu_k)(z_n - mu_k)^T / N_k.

    (Rubin and Thayer 1982, "EM algorithms for ML factor analysis", with the means of a mixture.)

    #### Examples

    >>> TiedLowRank(rank=1).num_parameters(num_components=3, event_size=4)
    8
    """

    name = "tied_low_rank"

    def shape(self, num_components, event_size):
        return super().shape(num_components, event_size)[1:]

    def num_parameters(self, num_components, event_size):
        return num_parameters_of_factors(event_size, self.rank)

    def unit_components(self, loc, *, seed, name):
        event_size = loc.shape[-1]
        scale = tfp.util.TransformedVariable(
            tf.ones([1, event_size], loc.dtype), PositiveScale(), name=f"{name}/scale"
        )
        loadings = small_loadings([1, event_size, self.rank], seed, loc.dtype)
        return TiedLowRankComponents(loc, scale, tf.Variable(loadings, name=f"{name}/loadings"))

    def components(self, loc, covariance):
        variance, loadings = factor_analysis.unpack(covariance[tf.newaxis])
        return TiedLowRankComponents(loc, tf.sqrt(variance), loadings)

    def read(self, components):
        variance = tf.square(components.shared_scale_diag)
        loadings = tf.convert_to_tensor(components.shared_loadings)
        return factor_analysis.pack(variance, loadings)[0]

    def assign(self, components, covariance):
        variance, loadings = factor_analysis.unpack(covariance[tf.newaxis])
        components.shared_scale_diag.assign(tf.cast(tf.sqrt(variance), components.dtype))
        components.shared_loadings.assign(tf.cast(loadings, components.dtype))

    def reference(self, loc, covariance):
        return super().reference(loc, _for_each(covariance, loc))

    def first_reference(self, variance, centers, *, seed):
        return self.reference(centers, self._first(variance[tf.newaxis], seed)[0])

    def sums(self, weights, deviation, reference):
        first, second = super().sums(weights, deviation, reference)
        return first, tf.reduce_sum(second, axis=0)

    def second_moments(self, probs, loc, covariance):
        return super().second_moments(tf.ones_like(probs[:1]), loc, covariance[tf.newaxis])[0]

    def m_step(self, reference, mass, second, step):
        shared = reference[:1, :, 1:]
        factor_step = tf.linalg.matvec(factor_analysis.posterior_map(shared)[0], step)
        cross = second[:, 1:] - tf.matmul(mass[:, tf.newaxis] * step, factor_step, transpose_a=True)
        squares = self.points_variances(None, mass, second, step)
        pooled = factor_analysis.pack(squares, cross[tf.newaxis] / tf.reduce_sum(mass))
        return factor_analysis.loadings_step(pooled, tf.zeros_like(step[:1]), shared)[0]

    def points_variances(self, covariance, mass, second, step):
        between = tf.linalg.matvec(tf.square(step), mass, transpose_a=True)
        return (second[tf.newaxis, :, 0] - between) / tf.reduce_sum(mass)

    def variances(self, covariance):
        return super().variances(covariance[tf.newaxis])

    def resolution(self, covariance, loc, dtype):
        of_matrix = beside_variances(self.variances(covariance)[0], loc, dtype)
        return tf.maximum(of_matrix, tf.reduce_max(spacing(loc, dtype), axis=0))

    def replace(self, covariance, collapsed, probs):
        return covariance

    def posterior_mode(self, covariance, mass, points, scatter):
        total = tf.reduce_sum(mass)[tf.newaxis]
        return super().posterior_mode(covariance[tf.newaxis], total, points, scatter)[0]

    def log_prior(self, covariance, loc, points, scatter):
        return super().log_prior(covariance[tf.newaxis], loc, points, scatter)


class TiedLowRankComponents(LowRankComponents):
    """Gaussians with the shared covariance `W W^T + diag(s)^2`.

    #### Examples

    >>> components = TiedLowRankComponents(tf.zeros([3, 5]), tf.ones([1, 5]), tf.ones([1, 5, 2]))
    >>> components.log_prob(tf.zeros([4, 1, 5])).shape.as_list()
    [4, 3]
    """

    def __init__(self, loc, scale_diag, loadings, *, name="TiedLowRankComponents"):
        """Builds the components.

        Args:
          loc: means mu_k, `[K, D]`.
          scale_diag: positive s, `[1, D]`.
          loadings: W, `[1, D, R]`.
          name: prefix of the operations' names.
        """
        parameters = dict(locals())
        super().__init__(loc, scale_diag, loadings, covariance_type=TiedLowRank.name, name=name)
        set_parameters(self, parameters)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return super()._parameter_properties(dtype, num_classes)

    @property
    def shared_scale_diag(self):
        """The standard deviations s of the diagonal part, `[1, D]`."""
        return self._scale_diag

    @property
    def shared_loadings(self):
        """The loadings W, `[1, D, R]`."""
        return self._loadings

    @property
    def scale_diag(self):
        """The standard deviations of every component, `[K, D]`."""
        return self._scale_diag + tf.zeros_like(self.loc)

    @property
    def loadings(self):
        """The loadings of every component, `[K, D, R]`."""
        return _for_each(self._loadings[0], self.loc)


def _for_each(shared, loc):
    """Repeats a shared tensor `[D, ...]` for each component, `[K, D, ...]`."""
    return tf.broadcast_to(shared, [loc.shape[0], *shared.shape])
