"""One coupling layer: value and log-det from one evaluation of its conditioner."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Coupling", "affine"]

tfb = tfp.bijectors


def affine(parameters: tf.Tensor, *, max_log_scale: float = 1.5) -> tfb.Bijector:
    """The affine bijector `x = exp(s) * z + t` of a coupling, with a bounded `s`.

    The parameters hold `t` and a raw log-scale `r`; `s = b tanh(r / b)` lies in `(-b, b)`, and is
    zero where `r` is (Dinh et al. 2017, arXiv:1605.08803, eqs. 4 and 8).

    Args:
      parameters: `[..., 2 m]`, the shifts before the raw log-scales.
      max_log_scale: the bound `b`, in nats per dimension.

    Returns:
      An elementwise `tfb.Bijector` of `[..., m]`.

    #### Examples

    >>> affine(tf.constant([1.0, 2.0, 0.0, 0.0])).forward([5.0, 5.0]).numpy().tolist()
    [6.0, 7.0]
    """
    shift, raw = tf.split(parameters, 2, axis=-1)
    log_scale = max_log_scale * tf.tanh(raw / max_log_scale)
    return tfb.Shift(shift)(tfb.Scale(log_scale=log_scale))


class Coupling(SinglePassBijector):
    """A coupling: one part of the vector stands still and tells how the other part moves.

    With `z = (z_a, z_b)` and a bijector `g` whose parameters are the conditioner's output,

        x_a = z_a,    x_b = g(z_b; conditioner(z_a)),    log|det dx/dz| = log|det dg/dz_b|.

    Going either way takes one evaluation of the conditioner (Dinh et al. 2017,
    arXiv:1605.08803, section 3.2).

    #### Examples

    >>> coupling = Coupling(lambda x: tf.concat([x, 0.0 * x], -1), event_size=2)
    >>> coupling.forward([1.0, 5.0]).numpy().tolist()
    [1.0, 6.0]
    """

    def __init__(
        self,
        conditioner: Callable[[tf.Tensor], tf.Tensor],
        event_size: int,
        *,
        first_moves: bool = False,
        bijector_fn: Callable[[tf.Tensor], tfb.Bijector] = affine,
        dtype=tf.float32,
        name: str = "coupling",
    ):
        """Builds the coupling.

        Args:
          conditioner: maps the part that stands still `[..., a]` to the parameters of `g`.
          event_size: size D of the vectors; the first part has `D // 2` entries.
          first_moves: whether the first part moves rather than the second.
          bijector_fn: maps the conditioner's output to the bijector `g` of the moving part.
          dtype: float dtype of the vectors.
          name: prefix of the operations' names.

        Raises:
          ValueError: if `event_size` is below 2.
        """
        parameters = dict(locals())
        self._sizes = split_sizes(event_size)
        self._conditioner = conditioner
        self._first_moves = first_moves
        self._bijector_fn = bijector_fn
        super().__init__(
            event_size=int(event_size), dtype=tf.as_dtype(dtype), parameters=parameters, name=name
        )

    @property
    def conditioner(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The map from the part that stands still to the parameters of the one that moves."""
        return self._conditioner

    def _forward_and_log_det(self, x, **condition):
        still, moving = self._split(x)
        bijector = self._bijector_fn(self._conditioner(still, **condition))
        log_det = bijector.forward_log_det_jacobian(moving, event_ndims=1)
        return self._join(still, bijector.forward(moving)), log_det

    def _inverse_and_log_det(self, y, **condition):
        still, moving = self._split(y)
        bijector = self._bijector_fn(self._conditioner(still, **condition))
        log_det = bijector.inverse_log_det_jacobian(moving, event_ndims=1)
        return self._join(still, bijector.inverse(moving)), log_det

    def _split(self, x):
        first, second = tf.split(x, self._sizes, axis=-1)
        return (second, first) if self._first_moves else (first, second)

    def _join(self, still, moving):
        return tf.concat([moving, still] if self._first_moves else [still, moving], axis=-1)


def split_sizes(event_size: int) -> tuple[int, int]:
    """The sizes of a coupling's two parts."""
    if not isinstance(event_size, numbers.Integral) or event_size < 2:
        raise ValueError(f"`event_size` must be a whole number >= 2, got {event_size!r}.")
    return event_size // 2, event_size - event_size // 2
