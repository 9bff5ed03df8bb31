"""An invertible linear map, parametrised by its LU factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors.permutation import as_permutation
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["LULinear"]


class LULinear(SinglePassBijector):
    """The linear bijector with `z = L U P x`, which mixes all entries and always has an inverse.

    P is a fixed permutation, L lower triangular with a diagonal of ones, and U upper
    triangular with a positive diagonal, stored as logarithms (Kingma and Dhariwal 2018,
    arXiv:1807.03039, section 3.2):

        log|det dx/dz| = -sum_i log U_ii.

    `inverse`, which training evaluates, is a matrix product; `forward` solves two triangular
    systems. It starts as the permutation.

    #### Examples

    >>> linear = LULinear(3, permutation=[2, 0, 1])
    >>> linear.forward([1.0, 2.0, 3.0]).numpy().tolist()
    [3.0, 1.0, 2.0]
    """

    def __init__(
        self,
        event_size: int,
        *,
        permutation: Sequence[int] | None = None,
        dtype=tf.float32,
        name: str = "lu_linear",
    ):
        """Builds the permutation.

        Args:
          event_size: size D of the vectors.
          permutation: the initial value, `tfb.Permute(permutation)`; `None` for the
            identity.
          dtype: float dtype of the vectors and variables.
          name: prefix of the variables' and operations' names.

        Raises:
          ValueError: if `permutation` does not hold each of 0 .. D-1 once.
        """
        parameters = dict(locals())
        permutation = np.arange(event_size) if permutation is None else permutation
        self._permutation = as_permutation(permutation, event_size)
        #: L below the diagonal, U above it, log U_ii on it.
        self.lower_upper = tf.Variable(
            tf.zeros([event_size, event_size], dtype), name=f"{name}/lower_upper"
        )
        super().__init__(
            event_size=event_size,
            is_constant_jacobian=True,
            dtype=tf.as_dtype(dtype),
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, z, **call_kwargs):
        lower, upper, log_det = self._factors()
        columns = tf.transpose(tf.reshape(z, [-1, self.event_size]))
        columns = tf.linalg.triangular_solve(lower, columns)
        columns = tf.linalg.triangular_solve(upper, columns, lower=False)
        x = tf.gather(tf.transpose(columns), self._permutation, axis=-1)
        return tf.ensure_shape(tf.reshape(x, tf.shape(z)), z.shape), -log_det

    def _inverse_and_log_det(self, x, **call_kwargs):
        lower, upper, log_det = self._factors()
        matrix = tf.gather(lower @ upper, self._permutation, axis=-1)
        rows = tf.matmul(tf.reshape(x, [-1, self.event_size]), matrix, transpose_b=True)
        return tf.ensure_shape(tf.reshape(rows, tf.shape(x)), x.shape), log_det

    def _factors(self):
        both = tf.convert_to_tensor(self.lower_upper)
        log_diagonal = tf.linalg.diag_part(both)
        upper = tf.linalg.set_diag(tf.linalg.band_part(both, 0, -1), tf.exp(log_diagonal))
        lower = tf.linalg.band_part(both, -1, 0)
        lower = tf.linalg.set_diag(lower, tf.ones_like(log_diagonal))
        return lower, upper, tf.reduce_sum(log_diagonal)
