"""Coupling layers: value and log-det from one evaluation of the conditioner."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.bijectors.affine import Affine
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Coupling"]

tfb = tfp.bijectors

_AFFINE = Affine()


class Coupling(SinglePassBijector):
    """A coupling layer: one part of the vector is kept and parametrises the map of the other part.

    With `z = (z_a, z_b)` and a bijector `g` whose parameters are the conditioner's output,

        x_a = z_a,    x_b = g(z_b; conditioner(z_a)),    log|det dx/dz| = log|det dg/dz_b|.

    Forward and inverse both take one evaluation of the conditioner (Dinh et al. 2017,
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
        bijector_fn: Callable[[tf.Tensor], tfb.Bijector] = _AFFINE,
        dtype=tf.float32,
        name: str = "coupling",
    ):
        """Builds the coupling.

        Args:
          conditioner: maps the part that is kept, `[..., a]`, to the parameters of `g`.
          event_size: size D of the vectors; the first part has `D // 2` entries: none with D = 1.
          first_moves: whether the first part is transformed rather than the second.
          bijector_fn: maps the conditioner's output to the bijector `g` of the other part, for
            example an `Affine` or a `RationalQuadratic`.
          dtype: float dtype of the vectors.
          name: prefix of the operations' names.

        Raises:
          ValueError: if `event_size` is below 1, or no entry would move.
        """
        parameters = dict(locals())
        self._sizes = split_sizes(event_size)
        if first_moves and not self._sizes[0]:
            raise ValueError("`first_moves` must be false where `event_size` is 1, got true.")
        self._conditioner = conditioner
        self._first_moves = first_moves
        is_ours = isinstance(bijector_fn, CouplingTransform)
        self._transform = bijector_fn if is_ours else _OfBijectors(bijector_fn)
        super().__init__(
            event_size=int(event_size), dtype=tf.as_dtype(dtype), parameters=parameters, name=name
        )

    @property
    def conditioner(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The map from the part that is kept to the parameters of the bijector of the other."""
        return self._conditioner

    def _forward_and_log_det(self, x, **call_kwargs):
        still, moving = self._split(x)
        parameters = self._conditioner(still, **call_kwargs)
        moving, log_det = self._transform.forward_and_log_det(moving, parameters)
        return self._join(still, moving), log_det

    def _inverse_and_log_det(self, y, **call_kwargs):
        still, moving = self._split(y)
        parameters = self._conditioner(still, **call_kwargs)
        moving, log_det = self._transform.inverse_and_log_det(moving, parameters)
        return self._join(still, moving), log_det

    def _split(self, x):
        first, second = tf.split(x, self._sizes, axis=-1)
        return (second, first) if self._first_moves else (first, second)

    def _join(self, still, moving):
        return tf.concat([moving, still] if self._first_moves else [still, moving], axis=-1)


class _OfBijectors(CouplingTransform):
    """The transform of a plain function from parameters to a bijector."""

    num_parameters = None

    def __init__(self, bijector_fn):
        self._bijector_fn = bijector_fn

    def __call__(self, parameters):
        return self._bijector_fn(parameters)


def split_sizes(event_size: int) -> tuple[int, int]:
    """The sizes of a coupling's two parts."""
    check_whole_number("event_size", event_size)
    return event_size // 2, event_size - event_size // 2
