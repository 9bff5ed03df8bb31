"""The number of free parameters of a flow over a mixture."""

from __future__ import annotations

import tensorflow_probability as tfp

from tfp_gmnvp import mixtures
from tfp_gmnvp.flows import on_arrays
from tfp_gmnvp.training.parameter_table import count

__all__ = ["num_parameters"]

tfd = tfp.distributions


def num_parameters(flow: tfd.TransformedDistribution) -> int:
    """Counts the free parameters nu of the bijector and the mixture.

        nu = nu_bijector + (K - 1) + K D + nu_covariance
        nu_covariance = K D (D + 1) / 2 full, D (D + 1) / 2 tied, K D diag, K spherical,
            K (D (R + 1) - R (R - 1) / 2) low_rank, loadings being the same up to a rotation

    nu_bijector is the number of entries of its trainable variables; the constants of a
    standardisation do not count. It is the same for every K, so the differences between mixtures
    under one kind of flow are those of plain mixtures. Flows of different depth or width, and plain
    mixtures, can be compared, too.

    Args:
      flow: a flow over a `gaussian_mixture`.

    Returns:
      An integer.

    Raises:
      TypeError: if it is not a flow, or its mixture was not made by `gaussian_mixture`.

    #### Examples

    >>> from tensorflow_probability import bijectors as tfb
    >>> from tfp_gmnvp import gaussian_mixture
    >>> num_parameters(tfd.TransformedDistribution(gaussian_mixture(3, 2), tfb.Identity()))
    17
    """
    event_size = on_arrays.event_size(flow)
    components = flow.distribution.components_distribution
    covariance_type = getattr(components, "covariance_type", None)
    if covariance_type is None:
        raise TypeError(
            "`flow` must have a mixture made by `gaussian_mixture`, whose covariance type sets how "
            f"many parameters are free, got components {type(components).__name__}."
        )
    num_components = int(components.batch_shape[-1])
    structure = mixtures.mixture_structure(flow.distribution)
    of_covariances = structure.num_parameters(num_components, event_size)
    of_mixture = num_components - 1 + num_components * event_size + of_covariances
    return count(flow.bijector.trainable_variables) + of_mixture
