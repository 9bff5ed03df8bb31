"""Components whose covariance rests on its lower bound."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.em.m_step import total_variance
from tfp_gmnvp.mixtures import MixtureParameters, mixture_parameters, mixture_structure

__all__ = ["components_at_floor"]

tfd = tfp.distributions

_CLOSE = 4.0  # twice the standard deviation: float32 resolves the smallest eigenvalues no better


def components_at_floor(mixture: tfd.MixtureSameFamily, covariance_floor: float) -> tuple[int, ...]:
    """Returns the components whose covariance is at or near the floor in some direction.

    Args:
      mixture: made by `gaussian_mixture`.
      covariance_floor: as in `maximization`, relative to the total variance of the mixture.

    Returns:
      Their numbers, ascending.

    #### Examples

    >>> from tfp_gmnvp.mixtures import as_mixture
    >>> covariance = tf.constant([[1.0, 1.0], [1.0, 1e-6]])
    >>> parameters = MixtureParameters(tf.constant([0.5, 0.5]), tf.zeros([2, 2]), covariance)
    >>> components_at_floor(as_mixture(parameters, "diag"), covariance_floor=1e-6)
    (1,)
    """
    structure = mixture_structure(mixture)
    parameters = MixtureParameters(*(tf.cast(p, tf.float64) for p in mixture_parameters(mixture)))
    floor = covariance_floor * total_variance(parameters, structure)
    is_near = structure.narrowest(parameters.covariance, floor).numpy() <= _CLOSE
    return tuple(map(int, np.flatnonzero(np.broadcast_to(is_near, [len(parameters.loc)]))))
