"""'diag': each component has a variance for each entry."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.components import DiagComponents
from tfp_gmnvp.mixtures.covariances.base import CovarianceStructure
from tfp_gmnvp.mixtures.covariances.rounding import spacing
from tfp_gmnvp.mixtures.covariances.sums import replace_rows, sum_of_products
from tfp_gmnvp.mixtures.scale_bijectors import PositiveScale

__all__ = ["Diagonal"]


class Diagonal(CovarianceStructure):
    """Diagonal matrices: `covariance` is `[K, D]`.

    #### Examples

    >>> Diagonal().num_parameters(num_components=3, event_size=2)
    6
    """

    name = "diag"

    def shape(self, num_components, event_size):
        return [num_components, event_size]

    def num_parameters(self, num_components, event_size):
        return num_components * event_size

    def unit_components(self, loc, *, seed, name):
        del seed
        scale = tfp.util.TransformedVariable(
            tf.ones(loc.shape, loc.dtype), PositiveScale(), name=f"{name}/scale"
        )
        return DiagComponents(loc, scale, covariance_type=self.name)

    def components(self, loc, covariance):
        return DiagComponents(loc, tf.sqrt(covariance), covariance_type=self.name)

    def read(self, components):
        return tf.square(components.scale_diag)

    def assign(self, components, covariance):
        components.scale_diag.assign(tf.cast(tf.sqrt(covariance), components.dtype))

    def sums(self, weights, deviation, reference):
        first = sum_of_products(weights, deviation)[:, 0]
        return first, sum_of_products(weights, tf.square(deviation))[:, 0]

    def second_moments(self, probs, loc, covariance):
        return probs[:, tf.newaxis] * covariance

    def m_step(self, reference, mass, second, step):
        return second / mass[:, tf.newaxis] - tf.square(step)

    def variances(self, covariance):
        return covariance

    def lift(self, covariance, floor):
        return tf.maximum(covariance, floor)

    def resolution(self, covariance, loc, dtype):
        return spacing(loc, dtype)  # entries are independent of each other

    def narrowest(self, covariance, floor):
        return tf.reduce_min(covariance / floor, axis=-1)

    def replace(self, covariance, collapsed, probs):
        return replace_rows(covariance, collapsed, probs)

    def posterior_mode(self, covariance, mass, points, scatter):
        mass = mass[:, tf.newaxis]
        return (mass * covariance + scatter) / (mass + points)

    def log_prior(self, covariance, loc, points, scatter):
        log_det = tf.reduce_sum(tf.math.log(covariance), axis=-1)
        trace = tf.reduce_sum(scatter / covariance, axis=-1)
        return -0.5 * (points * log_det + trace)
