"""'tied': all components share one covariance."""

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
from tfp_gmnvp.mixtures.covariances.sums import sum_of_products

__all__ = ["Tied"]


class Tied(CovarianceStructure):
    """One positive definite matrix for all: `covariance` is `[D, D]`.

    #### Examples

    >>> Tied().num_parameters(num_components=3, event_size=2)
    3
    """

    name = "tied"

    def shape(self, num_components, event_size):
        return [event_size, event_size]

    def num_parameters(self, num_components, event_size):
        return event_size * (event_size + 1) // 2

    def unit_components(self, loc, *, seed, name):
        del seed
        return TriLComponents(loc, unit_scale_tril(loc, 1, name), covariance_type=self.name)

    def components(self, loc, covariance):
        scale_tril = tf.linalg.cholesky(covariance)[tf.newaxis]
        return TriLComponents(loc, scale_tril, covariance_type=self.name)

    def read(self, components):
        scale_tril = tf.convert_to_tensor(components.scale_tril)
        return tf.matmul(scale_tril, scale_tril, transpose_b=True)[0]

    def assign(self, components, covariance):
        scale_tril = tf.linalg.cholesky(covariance)[tf.newaxis]
        components.scale_tril.assign(tf.cast(scale_tril, components.dtype))

    def sums(self, weights, deviation, reference):
        first = sum_of_products(weights, deviation)[:, 0]
        return first, tf.reduce_sum(sum_of_products(weights * deviation, deviation), axis=0)

    def second_moments(self, probs, loc, covariance):
        return covariance

    def m_step(self, reference, mass, second, step):
        between = tf.einsum("k,ki,kj->ij", mass, step, step)
        return (second - between) / tf.reduce_sum(mass)

    def variances(self, covariance):
        return tf.linalg.diag_part(covariance)[tf.newaxis]

    def lift(self, covariance, floor):
        return lift_eigenvalues(covariance, floor)

    def resolution(self, covariance, loc, dtype):
        of_matrix = beside_variances(tf.linalg.diag_part(covariance), loc, dtype)
        return tf.maximum(of_matrix, tf.reduce_max(spacing(loc, dtype), axis=0))

    def narrowest(self, covariance, floor):
        return eigenvalues(covariance, floor)[..., 0]

    def replace(self, covariance, collapsed, probs):
        return covariance

    def posterior_mode(self, covariance, mass, points, scatter):
        total = tf.reduce_sum(mass)
        return (total * covariance + tf.linalg.diag(scatter)) / (total + points)

    def log_prior(self, covariance, loc, points, scatter):
        return log_prior_of_matrices(covariance, points, scatter)
