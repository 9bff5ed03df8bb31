"""Builds a flow of any kind from its configuration."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow_probability as tfp

from tfp_gmnvp.flows import columns
from tfp_gmnvp.flows.configuration import flow_arguments, restore_data
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow
from tfp_gmnvp.flows.image_flow import image_flow
from tfp_gmnvp.flows.mixture_flow import standardized_mixture

__all__ = ["build_flow"]

tfd = tfp.distributions


def build_flow(config: Mapping) -> tfd.TransformedDistribution:
    """Builds an untrained flow from its `flow_config`.

    Args:
      config: what `configuration.flow_config` returned.

    Returns:
      What `gaussian_mixture_flow`, `image_flow` or `standardized_mixture` returns.

    #### Examples

    >>> build_flow({"event_size": 3, "num_components": 2}).event_shape.as_list()
    [3]
    """
    arguments = flow_arguments(config)
    names = [part and tuple(part) for part in arguments.pop("columns", ())]
    factories = (gaussian_mixture_flow, image_flow, standardized_mixture)
    factories = {factory.__name__: factory for factory in factories}
    flow = factories[arguments.pop("factory", "gaussian_mixture_flow")](**arguments)
    values = config.get("standardize")
    if values is not None and not isinstance(values, bool):  # a flag in files of older versions
        restore_data(flow, values)
    return columns.remember(flow, columns.Columns(*names))
