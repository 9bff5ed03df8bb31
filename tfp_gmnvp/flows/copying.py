"""Copies of a flow, which further training does not change."""

from __future__ import annotations

import tensorflow_probability as tfp

from tfp_gmnvp.flows.building import build_flow
from tfp_gmnvp.flows.checks import check_is_flow
from tfp_gmnvp.flows.configuration import flow_config

__all__ = ["copy_flow"]

tfd = tfp.distributions


def copy_flow(flow: tfd.TransformedDistribution) -> tfd.TransformedDistribution:
    """Copies a flow: new variables with the current values.

    A training step assigns one variable after another, so another thread may read some variables
    from before the step and some from after it. A copy that the training thread makes between two
    steps or epochs is consistent, and any number of threads may use it.

    Args:
      flow: a flow made by `gaussian_mixture_flow` or `image_flow`.

    Returns:
      The same kind of distribution.

    Raises:
      ValueError: if another function built the flow, or Keras cannot serialise a callable.

    #### Examples

    >>> import tfp_gmnvp
    >>> flow = tfp_gmnvp.gaussian_mixture_flow(2, num_components=3, seed=0)
    >>> copied, expected = copy_flow(flow), flow.log_prob([0.0, 1.0])
    >>> for variable in flow.trainable_variables:
    ...     _ = variable.assign_add(0.1 + variable)
    >>> bool(copied.log_prob([0.0, 1.0]) == expected)
    True
    >>> bool(flow.log_prob([0.0, 1.0]) == expected)
    False
    """
    check_is_flow(flow)
    copied = build_flow(flow_config(flow))
    for variable, value in zip(copied.variables, flow.variables, strict=True):
        variable.assign(value)
    return copied
