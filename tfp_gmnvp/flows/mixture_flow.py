"""Gaussian mixtures of standardised data: flows without couplings."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors import SinglePassChain
from tfp_gmnvp.flows.configuration import record_arguments
from tfp_gmnvp.flows.distribution import Flow
from tfp_gmnvp.flows.gaussian_mixture_flow import standardizing
from tfp_gmnvp.mixtures import gaussian_mixture

__all__ = ["standardized_mixture"]

tfd = tfp.distributions


def standardized_mixture(
    event_size: int,
    num_components: int = 1,
    *,
    covariance_type: str = "full",
    standardize,
    reparameterize: bool = False,
    dtype=tf.float32,
    seed=None,
    name: str | None = None,
) -> tfd.TransformedDistribution:
    """Builds a Gaussian mixture of standardised data, as a flow.

        log p(x) = log sum_k pi_k N((x - m) / s | mu_k, Sigma_k) - sum_d log s_d

    The tails of columns with outliers are compressed, as in `gaussian_mixture_flow`.

    Args:
      event_size: size D of the vectors.
      num_components: number K >= 1 of components.
      covariance_type: see `gaussian_mixture`.
      standardize: data `[N, D]`.
      reparameterize: see `gaussian_mixture`.
      dtype: float32 or float64.
      seed: integer or stateless seed `[2]` of the mixture's initial values.
      name: of the distribution.

    Returns:
      A `tfd.TransformedDistribution`, which `FlowModel` saves and `export_flow` exports as any
      other flow.

    #### Examples

    >>> flow = standardized_mixture(2, 3, standardize=[[0.0, 1.0], [2.0, 5.0]], seed=0)
    >>> len(flow.bijector.trainable_variables), flow.event_shape.as_list()
    (0, [2])
    """
    arguments = dict(locals())
    mixture = gaussian_mixture(
        num_components,
        event_size,
        covariance_type,
        reparameterize=reparameterize,
        dtype=dtype,
        seed=seed,
    )
    parts = standardizing(standardize, event_size, dtype=dtype)
    bijector = SinglePassChain(parts) if len(parts) > 1 else parts[0]
    flow = Flow(mixture, bijector, name=name)
    return record_arguments(flow, {**arguments, "factory": "standardized_mixture"})
