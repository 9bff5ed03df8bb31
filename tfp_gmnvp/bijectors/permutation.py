"""A fixed reordering of a vector's entries, whose gradient is another one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["Permutation"]


class Permutation(SinglePassBijector):
    """The reordering `forward(z)[i] = z[permutation[i]]` of the entries of a vector.

    Its transpose is its inverse, so that its gradient, too, is computed by a gather. That of a
    gather in general, and so of `tfb.Permute`, is a scatter, which is slow.

    #### Examples

    >>> Permutation([2, 0, 1]).forward([10.0, 20.0, 30.0]).numpy().tolist()
    [30.0, 10.0, 20.0]
    """

    def __init__(self, permutation: Sequence[int], *, name: str = "permutation"):
        """Builds the reordering.

        Args:
          permutation: the numbers 0 .. D-1 in any order.
          name: prefix of the operations' names.

        Raises:
          ValueError: if the numbers are not 0 .. D-1.
        """
        parameters = dict(locals())
        permutation = np.asarray(permutation)
        if permutation.ndim != 1 or sorted(permutation.tolist()) != list(range(permutation.size)):
            raise ValueError(
                f"`permutation` must hold each of 0 .. D-1 once, got {permutation.tolist()}."
            )
        self._permutation = permutation.astype(np.int32)
        self._inverse_permutation = np.argsort(permutation).astype(np.int32)
        super().__init__(
            event_size=permutation.size, is_constant_jacobian=True, parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x, **condition):
        return _reorder(x, self._permutation, self._inverse_permutation), tf.zeros([], x.dtype)

    def _inverse_and_log_det(self, y, **condition):
        return _reorder(y, self._inverse_permutation, self._permutation), tf.zeros([], y.dtype)


def _reorder(x, permutation, inverse_permutation):
    @tf.custom_gradient
    def reorder(x):
        return (
            tf.gather(x, permutation, axis=-1),
            lambda upstream: _reorder(upstream, inverse_permutation, permutation),
        )

    return reorder(x)
