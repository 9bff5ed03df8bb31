"""Frozen parts of a flow: `trainable = False` on the bijector, the mixture, or a part."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures

__all__ = ["frozen_variables", "is_mixture_frozen"]

tfd = tfp.distributions


def frozen_variables(flow: tfd.TransformedDistribution) -> set:
    """The variables of the parts of a flow that have `trainable = False`.

    A part is the flow, its bijector, its mixture, any `tf.Module` inside them, such as one
    coupling, or a Keras layer that is used as a conditioner.

    Args:
      flow: a flow over a mixture.

    Returns:
      The references of the variables, from `tf.Variable.ref`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 3, num_couplings=2, seed=0)
    >>> flow.bijector.trainable = False
    >>> frozen = frozen_variables(flow)
    >>> {v.ref() in frozen for v in flow.bijector.variables}
    {True}
    >>> {v.ref() in frozen for v in flow.distribution.variables}
    {False}
    """
    frozen = set()
    for module in (flow, *flow.submodules):
        if getattr(module, "trainable", True) is False:
            frozen |= {v.ref() for v in module.variables}
        layer = getattr(module, "keras_layer", None)  # if it is a conditioner
        if layer is not None:
            frozen |= _references(layer.weights) - _references(layer.trainable_weights)
    return frozen


def is_mixture_frozen(flow: tfd.TransformedDistribution, frozen: set) -> bool:
    """Whether the mixture is frozen; its gate is ignored.

    Args:
      flow: a flow over a mixture.
      frozen: what `frozen_variables` returned.

    Raises:
      ValueError: if only a part of the mixture is frozen.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> is_mixture_frozen(gaussian_mixture_flow(2), set())
    False
    """
    mixture = flow.distribution
    of_gate = {v.ref() for v in mixtures.gate_variables(mixture)}
    variables = [v for v in mixture.trainable_variables if v.ref() not in of_gate]
    held = [v.name for v in variables if v.ref() in frozen]
    if held and len(held) < len(variables):
        raise ValueError(
            "`trainable = False` must hold for the whole mixture or for no part of it, because EM "
            f"updates the whole mixture; got a part, {held}. `GradientUpdate()` can train the rest."
        )
    return bool(held)


def _references(weights):
    return {(w if isinstance(w, tf.Variable) else w.value).ref() for w in weights}
