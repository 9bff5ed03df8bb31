"""Moving averages that an optimizer keeps of the weights, the mixture's among them.

Keras averages what the optimizer trains, and at the end of `fit` puts the averages in place of the
weights. A mixture that was fitted to the one bijector does not fit the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_gmnvp._compat import averaged_variables
from tfp_gmnvp.training.keras_weights import IS_KERAS_3, tf_variable
from tfp_gmnvp.training.loss_scales import unwrapped

__all__ = [
    "averages_of",
    "overwrites_weights",
    "restart",
    "uses_averages",
    "weights_to_average",
]


def uses_averages(optimizer) -> bool:
    """Whether an optimizer, or one within it, averages weights.

    #### Examples

    >>> optimizers = tf.keras.optimizers.Adam(), tf.keras.optimizers.Adam(use_ema=True)
    >>> [uses_averages(optimizer) for optimizer in optimizers]
    [False, True]
    """
    return bool(_averaging(optimizer))


def overwrites_weights(optimizer) -> bool:
    """Whether averages replace the weights during training, not only at its end.

    #### Examples

    >>> overwrites_weights(tf.keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=9))
    True
    """
    return any(part.ema_overwrite_frequency for part in _averaging(optimizer))


def weights_to_average(optimizer, weights: Sequence) -> list:
    """Weights beyond the trained ones that an optimizer averages if it is built for them.

    Keras 3 averages, and swaps, all weights that an optimizer was built for; tf_keras those that it
    trains.

    Args:
      optimizer: of Keras.
      weights: that it does not train.

    Returns:
      All of the weights, or none.

    #### Examples

    >>> weights_to_average(tf.keras.optimizers.Adam(), [1, 2])
    []
    """
    inner = unwrapped(optimizer)
    averages = IS_KERAS_3 and uses_averages(inner) and not hasattr(inner, "optimizers")
    return list(weights) if averages else []


def restart(optimizer, weights: Sequence) -> None:
    """Sets moving averages to the current weights, from which training starts.

    Args:
      optimizer: of Keras, built or not, or `None`.
      weights: whose averages are to be set; what is not averaged is left out.

    #### Examples

    >>> variable, optimizer = tf.Variable([2.0]), tf.keras.optimizers.SGD(use_ema=True)
    >>> optimizer.build([variable])
    >>> _ = variable.assign([3.0])
    >>> restart(optimizer, [variable])
    >>> [average.numpy().tolist() for _, average in averages_of(optimizer, [variable])]
    [[3.0]]
    """
    for weight, average in averages_of(optimizer, weights):
        average.assign(weight)


def averages_of(optimizer, weights: Sequence) -> list[tuple[tf.Variable, tf.Variable]]:
    """Pairs of a weight and its moving average; weights without an average are left out.

    Args:
      optimizer: of Keras, built or not, or `None`.
      weights: of Keras.

    #### Examples

    >>> averages_of(tf.keras.optimizers.SGD(), [tf.Variable(1.0)])
    []
    """
    return [
        (variable, average)
        for part in _averaging(optimizer)
        for variable, average in averaged_variables(part, list(map(tf_variable, weights)))
    ]


def _averaging(optimizer) -> list:
    """The optimizers with `use_ema`, also within a wrapper or a combination."""
    inner = unwrapped(optimizer)
    parts = getattr(inner, "optimizers", [inner])
    return [part for part in parts if getattr(part, "use_ema", False)]
