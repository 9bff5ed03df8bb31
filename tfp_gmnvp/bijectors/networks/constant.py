"""Conditioners that read nothing: the couplings of a single column."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp.bijectors.context import join_context

__all__ = ["Constant"]


class Constant(tf.Module):
    """The same parameters for every point, one `tf.Variable` that starts at zero.

    A coupling of one column keeps nothing that a network could read.

    #### Examples

    >>> Constant(2)(tf.zeros([3, 0])).numpy().tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, output_size: int, *, dtype=tf.float32, name: str = "constant"):
        """Builds the conditioner.

        Args:
          output_size: size of the output's last axis.
          dtype: float dtype of the variable.
          name: prefix of the variable's name.
        """
        super().__init__(name=name)
        with self.name_scope:
            self.parameters = tf.Variable(tf.zeros([output_size], dtype), name="parameters")

    def __call__(
        self,
        inputs: tf.Tensor,
        *,
        context: tf.Tensor | None = None,
        dropout_seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Maps `[..., 0]` to `[..., output_size]`.

        Args:
          inputs: `[..., 0]`, whose leading shape counts.
          context: must be `None`.
          dropout_seed: not used.
        """
        inputs = join_context(inputs, context, 0)
        shape = tf.concat([tf.shape(inputs)[:-1], self.parameters.shape], axis=0)
        static = inputs.shape[:-1].concatenate(self.parameters.shape)
        return tf.ensure_shape(tf.broadcast_to(self.parameters, shape), static)
