"""Schedules of the step size of stepwise EM."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number

__all__ = ["PowerSchedule"]

keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class PowerSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Step sizes that decrease as a power of the step: `eta_t = (t + offset)^-exponent`.

    For an exponent in (1/2, 1] the sum of the step sizes is infinite, and the sum of their squares
    is finite. So stepwise EM converges for a fixed bijector (Cappe and Moulines 2009,
    arXiv:0712.4273, theorem 1; Liang and Klein 2009, section 3). For an exponent of one the running
    average is the plain average of all batches. While the bijector changes, old batches should be
    forgotten: use a constant step size.

    #### Examples

    >>> schedule = PowerSchedule(exponent=0.5, offset=4)
    >>> schedule(0).numpy().item(), schedule(12).numpy().item()
    (0.5, 0.25)
    """

    def __init__(self, exponent: float = 0.7, offset: float = 2.0):
        """Configures the decay of the step size.

        Args:
          exponent: the exponent, in [0, 1].
          offset: a number >= 1 that is added to the number of the step.

        Raises:
          ValueError: if an argument is out of its range.
        """
        check_number("exponent", exponent, lambda alpha: 0 <= alpha <= 1, "be in [0, 1]")
        check_number("offset", offset, lambda steps: steps >= 1, "be at least 1")
        self.exponent, self.offset = exponent, offset

    def __call__(self, step):
        return tf.pow(tf.cast(step, tf.float32) + self.offset, -self.exponent)

    def get_config(self):
        return {"exponent": self.exponent, "offset": self.offset}
