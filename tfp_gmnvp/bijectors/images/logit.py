"""The logit transform of pixels."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.bijectors.chain import SinglePassChain

__all__ = ["logit_pixels"]

tfb = tfp.bijectors


def logit_pixels(
    num_levels: int = 256, *, alpha: float = 0.05, dtype=tf.float32, name: str = "logit_pixels"
) -> tfb.Bijector:
    """The bijector whose inverse takes pixels in [0, L] to `logit(alpha + (1 - 2 alpha) x / L)`.

    So `log_prob` of a flow that ends in it is in the pixels' own units. Dinh et al. 2017
    (arXiv:1605.08803, section 4.1) print `1 - alpha` for the slope, with which the logit of the
    brightest pixels has no bound; here both ends are finite.

    Args:
      num_levels: L, the number of grey levels, so that dequantised pixels lie in [0, L].
      alpha: in (0, 0.5), the distance that is kept from the ends.
      dtype: float dtype of the images.
      name: prefix of the operations' names.

    Returns:
      An elementwise bijector, as a `SinglePassChain`.

    Raises:
      ValueError: if a number is out of range.

    #### Examples

    >>> print(logit_pixels(16).inverse([0.0, 8.0, 16.0]).numpy().round(3))
    [-2.944  0.     2.944]
    """
    check_number("num_levels", num_levels, lambda levels: levels >= 1, "be at least 1")
    check_number("alpha", alpha, lambda share: 0 < share < 0.5, "be in (0, 0.5)")
    scale = tf.constant(num_levels / (1 - 2 * alpha), dtype)
    shift = tf.constant(-alpha, dtype)
    return SinglePassChain([tfb.Scale(scale), tfb.Shift(shift), tfb.Sigmoid()], name=name)
