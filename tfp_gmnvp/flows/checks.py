"""Checks that an argument is a flow, with hints for objects that hold one."""

from __future__ import annotations

import operator

import tensorflow_probability as tfp

__all__ = ["check_has_mixture", "check_is_flow", "flow_location_hint"]

tfd = tfp.distributions

_MIXTURE_PARTS = ("mixture_distribution", "components_distribution", "posterior_marginal")
#: Attributes of models, layers, detectors, fits and selections that hold a flow.
_PLACES = ("distribution", "flow", "model.distribution")


def check_is_flow(value, name: str = "flow") -> None:
    """Raises a `TypeError` unless the value is a distribution with a bijector.

    #### Examples

    >>> from tfp_gmnvp import FlowModel, gaussian_mixture_flow
    >>> check_is_flow(gaussian_mixture_flow(2, seed=0))
    >>> check_is_flow(FlowModel(gaussian_mixture_flow(2, seed=0)))
    Traceback (most recent call last):
    TypeError: `flow` must be a flow, as `gaussian_mixture_flow` returns, got ...
    """
    if not _is_flow(value):
        raise TypeError(
            f"`{name}` must be a flow, as `gaussian_mixture_flow` returns, got {value!r}"
            f"{flow_location_hint(value)}."
        )


def check_has_mixture(value, name: str = "flow") -> None:
    """Raises a `TypeError` unless the value is a flow over a mixture.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> check_has_mixture(gaussian_mixture_flow(2, seed=0))
    """
    check_is_flow(value, name)
    # Duck typing: `tfd.MixtureSameFamily(...)` returns another class if a part is not a
    # composite tensor.
    if not all(hasattr(value.distribution, part) for part in _MIXTURE_PARTS):
        raise TypeError(
            f"`{name}` must be a flow over a mixture, a `tfd.TransformedDistribution` of a "
            f"`tfd.MixtureSameFamily`, got one over {value.distribution!r}."
        )


def flow_location_hint(value) -> str:
    """Returns the end of an error message, which names the attribute that holds a flow, if any.

    #### Examples

    >>> from tfp_gmnvp import FlowModel, gaussian_mixture_flow
    >>> flow_location_hint(FlowModel(gaussian_mixture_flow(2, seed=0)))
    '. Use its `distribution`'
    """
    for place in _PLACES:
        try:
            held = operator.attrgetter(place)(value)
        except AttributeError:
            continue
        if _is_flow(held):
            return f". Use its `{place}`"
    return ""


def _is_flow(value):
    has_parts = hasattr(value, "distribution") and hasattr(value, "bijector")
    return isinstance(value, tfd.Distribution) and has_parts
