"""Loss scaling, as an optimizer asks for it, in Keras 3 and tf_keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

__all__ = [
    "adjusts_scale",
    "for_optimizer",
    "loss_scale",
    "lowering",
    "unwrapped",
]

keras = tf.keras


def unwrapped(optimizer):
    """The inner optimizer of a `LossScaleOptimizer`; any other optimizer itself.

    #### Examples

    >>> optimizer = tf.keras.optimizers.SGD()
    >>> unwrapped(optimizer) is optimizer
    True
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


def adjusts_scale(optimizer) -> bool:
    """Whether an optimizer skips steps itself, and lowers its scale when it does.

    #### Examples

    >>> adjusts_scale(tf.keras.optimizers.SGD())
    False
    """
    return hasattr(optimizer, "inner_optimizer") and getattr(optimizer, "dynamic", True)


def loss_scale(optimizer, dtype=tf.float32) -> tf.Tensor | None:
    """The factor by which the loss is multiplied before its gradient is taken.

    Args:
      optimizer: of Keras, built.
      dtype: float dtype of the loss.

    Returns:
      A scalar, or `None` if the loss is to stay as it is.

    #### Examples

    >>> loss_scale(tf.keras.optimizers.SGD()) is None
    True
    """
    scaled = getattr(optimizer, "scale_loss", getattr(optimizer, "get_scaled_loss", None))
    if scaled is None:  # of tf_keras, which has it in the `LossScaleOptimizer` alone
        return None
    one = tf.ones([], dtype)
    scale = scaled(one)
    return None if scale is one else tf.cast(scale, dtype)


def for_optimizer(optimizer, gradients: Sequence[tf.Tensor | None], scale) -> tuple[list, list]:
    """The gradients in the form that the optimizer takes, and the unscaled gradients.

    Args:
      optimizer: of Keras.
      gradients: of the scaled loss, one for each variable, or `None`.
      scale: what `loss_scale` returned.

    Returns:
      Two lists: those to be given to the optimizer, which in Keras 3 divides them itself, and the
      gradients of the loss.

    #### Examples

    >>> given, plain = for_optimizer(tf.keras.optimizers.SGD(), [tf.constant(6.0), None], None)
    >>> [float(g) for g in plain if g is not None]
    [6.0]
    """
    if scale is None:
        return list(gradients), list(gradients)
    if hasattr(optimizer, "get_unscaled_gradients"):
        plain = optimizer.get_unscaled_gradients(gradients)
        return plain, plain
    return list(gradients), [None if g is None else g / scale for g in gradients]


def lowering(optimizer, apply: Callable, gradients: Sequence) -> Callable[[], object] | None:
    """A function that makes an optimizer lower its scale, by a step with NaN gradients.

    Args:
      optimizer: of Keras.
      apply: gives gradients to the optimizer.
      gradients: one for each variable, or `None`.

    Returns:
      A function without arguments, or `None` for an optimizer that adjusts no scale.

    #### Examples

    >>> lowering(tf.keras.optimizers.SGD(), print, []) is None
    True
    """
    if not adjusts_scale(optimizer):
        return None
    return lambda: apply(
        [
            None if g is None else tf.fill(tf.shape(g), g.dtype.as_numpy_dtype(np.nan))
            for g in gradients
        ]
    )
