"""Affine couplings with a bounded log-scale."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform

__all__ = ["Affine"]

tfb = tfp.bijectors


@dataclasses.dataclass(frozen=True)
class Affine(CouplingTransform):
    """Affine couplings `x = exp(s) * z + t` with a bounded log-scale `s`.

    The parameters are `t` and a raw log-scale `r`; `s = b tanh(r / b)` lies in `(-b, b)`, and is
    zero where `r` is zero (Dinh et al. 2017, arXiv:1605.08803, eqs. 4 and 8).

    Attributes:
      max_log_scale: the bound `b` on the absolute log-scale, in nats per dimension.

    #### Examples

    >>> Affine(max_log_scale=2.0)(tf.constant([1.0, 0.0])).forward([5.0]).numpy().tolist()
    [6.0]
    """

    max_log_scale: float = 1.5

    def __post_init__(self):
        """Checks the bound.

        Raises:
          ValueError: if it is not positive.
        """
        check_number("max_log_scale", self.max_log_scale, lambda bound: bound > 0, "be positive")

    @property
    def num_parameters(self) -> int:
        """Parameters per entry: a shift and a raw log-scale."""
        return 2

    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        """Builds the affine bijector with these parameters.

        Args:
          parameters: `[..., 2 m]`, the shifts before the raw log-scales.

        Returns:
          An elementwise `tfb.Bijector` of `[..., m]`.
        """
        shift, log_scale = self._shift_and_log_scale(parameters)
        return tfb.Shift(shift)(tfb.Scale(log_scale=log_scale))

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> tuple:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return x * tf.exp(log_scale) + shift, tf.reduce_sum(log_scale, axis=-1)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> tuple:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return (y - shift) * tf.exp(-log_scale), -tf.reduce_sum(log_scale, axis=-1)

    def _shift_and_log_scale(self, parameters):
        shift, raw = tf.split(parameters, 2, axis=-1)
        return shift, self.max_log_scale * tf.tanh(raw / self.max_log_scale)
