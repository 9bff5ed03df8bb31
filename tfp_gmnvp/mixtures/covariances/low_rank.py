"""'low_rank': each component has a few factors of its own plus a diagonal."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.covariances.base import CovarianceStructure
from tfp_gmnvp.mixtures.covariances.diagonal import Diagonal
from tfp_gmnvp.mixtures.covariances.rounding import beside_variances, spacing
from tfp_gmnvp.mixtures.covariances.sums import replace_rows, sum_of_products
from tfp_gmnvp.mixtures.low_rank_components import LowRankComponents
from tfp_gmnvp.mixtures.scale_bijectors import PositiveScale

__all__ = ["LowRank"]


class LowRank(CovarianceStructure):
    """Matrices W_k W_k^T + diag(psi_k): `covariance` is `[K, D, 1 + R]`, psi_k before W_k.

    The M-step is that of `factor_analysis`. It needs the covariances of the E-step, so a
    `reference` holds them: means, psi_k and W_k, `[K, D, 2 + R]`.

    #### Examples

    >>> LowRank(rank=1).num_parameters(num_components=3, event_size=4)
    24
    """

    name = "low_rank"
    has_rank = True

    def __init__(self, rank: int | None = None):
        """Sets the rank.

        Args:
          rank: R >= 1, the number of factors; `None` where it follows from tensors.

        Raises:
          ValueError: if it is not a whole number >= 1.
        """
        if rank is not None:
            check_whole_number("rank", rank)
        self.rank = rank

    def shape(self, num_components, event_size):
        return [num_components, event_size, None if self.rank is None else 1 + self.rank]

    def num_parameters(self, num_components, event_size):
        return num_components * num_parameters_of_factors(event_size, self.rank)

    def unit_components(self, loc, *, seed, name):
        scale = tfp.util.TransformedVariable(
            tf.ones(loc.shape, loc.dtype), PositiveScale(), name=f"{name}/scale"
        )
        loadings = small_loadings([*loc.shape, self.rank], seed, loc.dtype)
        return LowRankComponents(loc, scale, tf.Variable(loadings, name=f"{name}/loadings"))

    def components(self, loc, covariance):
        variance, loadings = factor_analysis.unpack(covariance)
        return LowRankComponents(loc, tf.sqrt(variance), loadings)

    def read(self, components):
        variance = tf.square(components.scale_diag)
        return factor_analysis.pack(variance, tf.convert_to_tensor(components.loadings))

    def assign(self, components, covariance):
        variance, loadings = factor_analysis.unpack(covariance)
        components.scale_diag.assign(tf.cast(tf.sqrt(variance), components.dtype))
        components.loadings.assign(tf.cast(loadings, components.dtype))

    def reference(self, loc, covariance):
        return factor_analysis.pack(loc, covariance)

    def centers(self, reference):
        return reference[..., 0]

    def first_reference(self, variance, centers, *, seed):
        return self.reference(centers, self._first(variance + tf.zeros_like(centers), seed))

    def _first(self, variance, seed):
        """Covariances `[K, D, 1 + R]` with these diagonals `[K, D]`, and loadings at random."""
        (seed,) = tfp.random.split_seed(stateless_seed(seed), n=1, salt="loadings")
        return factor_analysis.initial_loadings(variance, self.rank, seed=seed)

    def sums(self, weights, deviation, reference):
        first = sum_of_products(weights, deviation)[:, 0]
        return first, factor_analysis.second_moments(deviation, weights, reference[..., 1:])

    def second_moments(self, probs, loc, covariance):
        variance, loadings = factor_analysis.unpack(covariance)
        total = variance + tf.reduce_sum(tf.square(loadings), axis=-1)
        return probs[:, tf.newaxis, tf.newaxis] * factor_analysis.pack(total, loadings)

    def m_step(self, reference, mass, second, step):
        moments = second / mass[:, tf.newaxis, tf.newaxis]
        return factor_analysis.loadings_step(moments, step, reference[..., 1:])

    def variances(self, covariance):
        return covariance[..., 0] + tf.reduce_sum(tf.square(covariance[..., 1:]), axis=-1)

    def points_variances(self, covariance, mass, second, step):
        return Diagonal().m_step(None, mass, second[..., 0], step)

    def lift(self, covariance, floor):
        variance, loadings = factor_analysis.unpack(covariance)
        return factor_analysis.pack(tf.maximum(variance, floor), loadings)

    def resolution(self, covariance, loc, dtype):
        of_matrix = beside_variances(self.variances(covariance), loc, dtype)
        return tf.maximum(of_matrix, spacing(loc, dtype))

    def narrowest(self, covariance, floor):
        return tf.reduce_min(covariance[..., 0] / floor, axis=-1)

    def replace(self, covariance, collapsed, probs):
        # The covariance of the heaviest component, as loadings have no average.
        heaviest = tf.one_hot(tf.argmax(probs), probs.shape[0], dtype=probs.dtype)
        return replace_rows(covariance, collapsed, heaviest)

    def posterior_mode(self, covariance, mass, points, scatter):
        variance, loadings = factor_analysis.unpack(covariance)
        variance = Diagonal().posterior_mode(variance, mass, points, scatter)
        return factor_analysis.pack(variance, loadings)

    def log_prior(self, covariance, loc, points, scatter):
        return Diagonal().log_prior(covariance[..., 0], loc, points, scatter)


def num_parameters_of_factors(event_size: int, rank: int) -> int:
    """The free parameters of one W W^T + diag(psi): no more than those of a whole matrix."""
    rank = min(rank, event_size)
    of_factors = event_size * (rank + 1) - rank * (rank - 1) // 2  # up to a rotation of W
    return min(event_size * (event_size + 1) // 2, of_factors)


def small_loadings(shape, seed, dtype):
    """Draws small random loadings; loadings of zero would be a stationary point."""
    (seed,) = tfp.random.split_seed(seed, n=1, salt="loadings")
    return 0.01 * tf.random.stateless_normal(shape, seed, dtype=dtype)
