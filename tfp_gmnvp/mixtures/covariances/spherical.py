"""'spherical': each component has one variance for all entries."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.components import DiagComponents
from tfp_gmnvp.mixtures.covariances.diagonal import Diagonal
from tfp_gmnvp.mixtures.scale_bijectors import PositiveScale

__all__ = ["Spherical"]


class Spherical(Diagonal):
    """Multiples of the identity: `covariance` is `[K]`.

    The statistics are those of `Diagonal`, of which the M-step takes the mean over entries.

    #### Examples

    >>> Spherical().num_parameters(num_components=3, event_size=2)
    3
    """

    name = "spherical"

    def shape(self, num_components, event_size):
        return [num_components]

    def num_parameters(self, num_components, event_size):
        return num_components

    def unit_components(self, loc, *, seed, name):
        del seed
        scale = tfp.util.TransformedVariable(
            tf.ones([loc.shape[0], 1], loc.dtype), PositiveScale(), name=f"{name}/scale"
        )
        return DiagComponents(loc, scale, covariance_type=self.name)

    def components(self, loc, covariance):
        return super().components(loc, covariance[:, tf.newaxis])

    def read(self, components):
        return super().read(components)[:, 0]

    def assign(self, components, covariance):
        super().assign(components, covariance[:, tf.newaxis])

    def second_moments(self, probs, loc, covariance):
        return super().second_moments(probs, loc, covariance[:, tf.newaxis]) + tf.zeros_like(loc)

    def m_step(self, reference, mass, second, step):
        return tf.reduce_mean(super().m_step(reference, mass, second, step), axis=-1)

    def variances(self, covariance):
        return covariance[:, tf.newaxis]

    def lift(self, covariance, floor):
        return tf.maximum(covariance, tf.reduce_mean(floor, axis=-1))

    def narrowest(self, covariance, floor):
        return covariance / tf.reduce_mean(floor)

    def posterior_mode(self, covariance, mass, points, scatter):
        return (mass * covariance + tf.reduce_mean(scatter)) / (mass + points)

    def log_prior(self, covariance, loc, points, scatter):
        variances = covariance[:, tf.newaxis] * tf.ones_like(loc)
        return super().log_prior(variances, loc, points, scatter)
