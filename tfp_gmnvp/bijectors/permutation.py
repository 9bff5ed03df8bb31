"""Fixed permutations of a vector's entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp._compat import custom_gradient
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Permutation", "as_permutation"]


class Permutation(SinglePassBijector):
    """The permutation `forward(z)[i] = z[permutation[i]]` of the entries of a vector.

    Its gradient is computed by a gather with the inverse permutation. The gradient of
    `tfb.Permute` is a scatter, which is slow.

    #### Examples

    >>> Permutation([2, 0, 1]).forward([10.0, 20.0, 30.0]).numpy().tolist()
    [30.0, 10.0, 20.0]
    """

    def __init__(self, permutation: Sequence[int], *, name: str = "permutation"):
        """Builds the permutation.

        Args:
          permutation: the numbers 0 .. D-1 in any order.
          name: prefix of the operations' names.

        Raises:
          ValueError: if the numbers are not 0 .. D-1.
        """
        parameters = dict(locals())
        self._permutation = as_permutation(permutation, np.size(permutation))
        self._inverse_permutation = np.argsort(self._permutation).astype(np.int32)
        super().__init__(
            event_size=len(self._permutation),
            is_constant_jacobian=True,
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        return _reorder(x, self._permutation, self._inverse_permutation), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y, **call_kwargs):
        return _reorder(y, self._inverse_permutation, self._permutation), tf.zeros([], y.dtype)


def as_permutation(permutation: Sequence[int], event_size: int) -> np.ndarray:
    """Checks a permutation of 0 .. D-1 and returns it as an int32 array `[D]`.

    Args:
      permutation: the numbers.
      event_size: D.

    Raises:
      ValueError: if it does not hold each of 0 .. D-1 once.

    #### Examples

    >>> as_permutation([2, 0, 1], 3).tolist()
    [2, 0, 1]
    """
    order = np.asarray(permutation)
    if not np.array_equal(np.sort(order, axis=None), np.arange(event_size)) or order.ndim != 1:
        raise ValueError(
            f"`permutation` must hold each of 0 .. {event_size - 1} once, got {order.tolist()}."
        )
    return order.astype(np.int32)


def _reorder(x, permutation, inverse_permutation):
    @custom_gradient
    def reorder(x):
        return (
            tf.gather(x, permutation, axis=-1),
            lambda upstream: _reorder(upstream, inverse_permutation, permutation),
        )

    return reorder(x)
