"""How fast stepwise EM forgets."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_number

__all__ = ["PowerSchedule"]

keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class PowerSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Step sizes that fall as a power of the step: `eta_t = (t + offset)^-exponent`.

    With an exponent in (1/2, 1] the steps add up to infinity and their squares do not, so that
    stepwise EM converges for a fixed bijector (Cappe and Moulines 2009, arXiv:0712.4273, theorem
    1; Liang and Klein 2009, section 3). With one it is the plain average of all batches. As long
    as the bijector moves, what is long past should be forgotten: a constant step size.

    #### Examples

    >>> schedule = PowerSchedule(exponent=0.5, offset=4)
    >>> schedule(0).numpy().item(), schedule(12).numpy().item()
    (0.5, 0.25)
    """

    def __init__(self, exponent: float = 0.7, offset: float = 2.0):
        """Says how fast the steps shorten.

        Args:
          exponent: alpha, in [0, 1].
          offset: t_0 >= 1, which is added to the number of the step.

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
