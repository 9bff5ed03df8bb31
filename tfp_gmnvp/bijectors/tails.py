"""Far tails drawn in: what lies beyond a bound counts by its logarithm."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Tails", "compress_tails"]

tfb = tfp.bijectors

_WIDTH = 0.1
_HIGHEST = 80.0  # its exponential is finite in float32


def compress_tails(bound: np.ndarray, *, dtype=tf.float32, name: str = "tails") -> tfb.Bijector:
    """Builds the bijector that compresses the tails of columns with outliers.

    Args:
      bound: where tails begin in each standardised column, `[D]`, infinite for no tails; see
        `column_spread`.
      dtype: float dtype of the bijector.
      name: the prefix of the variable's name.

    Returns:
      A `Tails`.

    #### Examples

    >>> print(compress_tails(np.array([3.0, np.inf])).inverse([[1e4, 7.0]]).numpy().round(1))
    [[4.2 7. ]]
    """
    bound = np.minimum(bound, tf.as_dtype(dtype).max)
    return Tails(tf.Variable(bound, trainable=False, dtype=dtype, name=f"{name}/bound"), name=name)


class Tails(SinglePassBijector):
    """The identity up to a bound c, and the exponential beyond, entry by entry.

        x = z,    |z| <= c;    x = sign(z) (c + w (exp((|z| - c) / w) - 1)),    |z| > c

    Its slope is continuous. With a width w of 0.1, a value that is ten thousand times farther out
    becomes one unit farther in the latents. So a few outliers do not attract a component or
    dominate gradients, and their density decreases with the distance in the data.

    #### Examples

    >>> tails = Tails(tf.Variable([2.0], trainable=False), width=1.0)
    >>> print(tails.forward([[1.0], [3.0]]).numpy().round(4))
    [[1.    ]
     [3.7183]]
    """

    def __init__(self, bound, width: float = _WIDTH, name="tails"):
        """Builds the bijector.

        Args:
          bound: c >= 0, `[D]`, a variable.
          width: w > 0.
          name: prefix of the operations' names.
        """
        parameters = dict(locals())
        self.bound, self.width = bound, width
        super().__init__(
            domain_shape=bound.shape, dtype=bound.dtype, parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        beyond = tf.nn.relu(tf.abs(x) - self.bound) / self.width
        far = tf.sign(x) * (self.bound + self.width * tf.math.expm1(tf.minimum(beyond, _HIGHEST)))
        return tf.where(beyond > 0, far, x), tf.reduce_sum(beyond, axis=-1)

    def _inverse_and_log_det(self, y, **call_kwargs):
        logarithm = tf.math.log1p(tf.nn.relu(tf.abs(y) - self.bound) / self.width)
        near = tf.sign(y) * (self.bound + self.width * logarithm)
        return tf.where(logarithm > 0, near, y), -tf.reduce_sum(logarithm, axis=-1)
