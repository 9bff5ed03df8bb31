"""Whether what a function is given is a flow, and if it only holds one, where."""

from __future__ import annotations

import operator

import tensorflow_probability as tfp

__all__ = ["check_has_mixture", "check_is_flow", "flow_location_hint"]

tfd = tfp.distributions

_MIXTURE_PARTS = ("mixture_distribution", "components_distribution", "posterior_marginal")
#: Where models, layers, detectors, fits and selections hold theirs.
_PLACES = ("distribution", "flow", "model.distribution")


def check_is_flow(value, name: str = "flow") -> None:
    """Raises a `TypeError` unless this is a distribution that has a bijector.

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
    """Raises a `TypeError` unless this is a flow over a mixture.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> check_has_mixture(gaussian_mixture_flow(2, seed=0))
    """
    check_is_flow(value, name)
    # By what it offers: TFP makes `MixtureSameFamily(...)` of a class that is no subclass of it
    # where a part is not a composite tensor.
    if not all(hasattr(value.distribution, part) for part in _MIXTURE_PARTS):
        raise TypeError(
            f"`{name}` must be a flow over a mixture, a `tfd.TransformedDistribution` of a "
            f"`tfd.MixtureSameFamily`, got one over {value.distribution!r}."
        )


def flow_location_hint(value) -> str:
    """The end of an error's sentence that says where this holds a flow, if it does.

    #### Examples

    >>> from tfp_gmnvp import FlowModel, gaussian_mixture_flow
    >>> flow_location_hint(FlowModel(gaussian_mixture_flow(2, seed=0)))
    '. Its `distribution` is one'
    """
    for place in _PLACES:
        try:
            held = operator.attrgetter(place)(value)
        except AttributeError:
            continue
        if _is_flow(held):
            return f". Its `{place}` is one"
    return ""


def _is_flow(value):
    has_parts = hasattr(value, "distribution") and hasattr(value, "bijector")
    return isinstance(value, tfd.Distribution) and has_parts
