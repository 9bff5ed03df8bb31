"""'full': each component has a covariance of its own."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp.mixtures.components import TriLComponents
from tfp_gmnvp.mixtures.covariances.base import CovarianceStructure
from tfp_gmnvp.mixtures.covariances.matrices import (
    eigenvalues,
    lift_eigenvalues,
    log_prior_of_matrices,
    unit_scale_tril,
)
from tfp_gmnvp.mixtures.covariances.rounding import beside_variances, spacing
from tfp_gmnvp.mixtures.covariances.sums import replace_rows, sum_of_products

__all__ = ["Full"]


class Full(CovarianceStructure):
    """Any positive definite matrices: `covariance` is `[K, D, D]`.

    #### Examples

    >>> Full().num_parameters(num_components=3, event_size=2)
    9
    """

    name = "full"

    def shape(self, num_components, event_size):
        return [num_components, event_size, event_size]

    def num_parameters(self, num_components, event_size):
        return num_components * event_size * (event_size + 1) // 2

    def unit_components(self, loc, *, seed, name):
        del seed
        scale = unit_scale_tril(loc, loc.shape[0], name)
        return TriLComponents(loc, scale, covariance_type=self.name)

    def components(self, loc, covariance):
        return TriLComponents(loc, tf.linalg.cholesky(covariance), covariance_type=self.name)

    def read(self, components):
        scale_tril = tf.convert_to_tensor(components.scale_tril)
        return tf.matmul(scale_tril, scale_tril, transpose_b=True)

    def assign(self, components, covariance):
        scale_tril = tf.linalg.cholesky(covariance)
        components.scale_tril.assign(tf.cast(scale_tril, components.dtype))

    def sums(self, weights, deviation, reference):
        # Both moments from one matrix product.
        both = sum_of_products(tf.concat([weights, weights * deviation], -1), deviation)
        return both[:, 0], both[:, 1:]

    def second_moments(self, probs, loc, covariance):
        return probs[:, tf.newaxis, tf.newaxis] * covariance

    def m_step(self, reference, mass, second, step):
        outer = step[:, :, tf.newaxis] * step[:, tf.newaxis, :]
        return second / mass[:, tf.newaxis, tf.newaxis] - outer

    def variances(self, covariance):
        return tf.linalg.diag_part(covariance)

    def lift(self, covariance, floor):
        return lift_eigenvalues(covariance, floor)

    def resolution(self, covariance, loc, dtype):
        of_matrix = beside_variances(self.variances(covariance), loc, dtype)
        return tf.maximum(of_matrix, spacing(loc, dtype))

    def narrowest(self, covariance, floor):
        return eigenvalues(covariance, floor)[..., 0]

    def replace(self, covariance, collapsed, probs):
        return replace_rows(covariance, collapsed, probs)

    def posterior_mode(self, covariance, mass, points, scatter):
        mass = mass[:, tf.newaxis, tf.newaxis]
        return (mass * covariance + tf.linalg.diag(scatter)) / (mass + points)

    def log_prior(self, covariance, loc, points, scatter):
        return log_prior_of_matrices(covariance, points, scatter)
