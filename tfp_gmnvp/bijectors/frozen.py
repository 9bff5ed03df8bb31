"""A bijector that hides its variables, so that nothing around it trains them."""

from __future__ import annotations

import dataclasses

import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import (
    SinglePassBijector,
    forward_and_log_det,
    inverse_and_log_det,
)

__all__ = ["Frozen"]

tfb = tfp.bijectors


class Frozen(SinglePassBijector):
    """A bijector without variables, which follows the values of another bijector's.

    For example, a surrogate posterior that is built around the bijector of a prior has variables of
    its own. Training it leaves the prior's bijector unchanged.

    #### Examples

    >>> from tfp_gmnvp.bijectors import LULinear
    >>> held = Frozen(LULinear(2, permutation=[1, 0]))
    >>> held.forward([1.0, 2.0]).numpy().tolist(), held.variables
    ([2.0, 1.0], ())
    """

    def __init__(self, bijector: SinglePassBijector, *, name: str = "held"):
        """Wraps a bijector.

        Args:
          bijector: a `SinglePassBijector`.
          name: prefix of the operations' names.
        """
        self._holder = _Container(bijector)
        super().__init__(
            domain_shape=bijector.domain_shape,
            codomain_shape=bijector.codomain_shape,
            forward_min_event_ndims=bijector.forward_min_event_ndims,
            inverse_min_event_ndims=bijector.inverse_min_event_ndims,
            dtype=bijector.dtype,
            parameters={"bijector": self._holder, "name": name},
            name=name,
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        return forward_and_log_det(self._holder.bijector, x, **call_kwargs)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return inverse_and_log_det(self._holder.bijector, y, **call_kwargs)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}


@dataclasses.dataclass(frozen=True, eq=False)
class _Container:
    """Hides a bijector from the search of `tf.Module` for variables."""

    bijector: tfb.Bijector
