"""A distribution whose circular columns are wrapped at their periods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.density.columns import rows
from tfp_gmnvp.density.columns.base import ColumnKind

__all__ = ["Wrapped"]

tfd = tfp.distributions


class Wrapped(tfd.Distribution):
    """The distribution of z with circular columns wrapped at their periods P.

        log p(x) = log sum_m g(z(x) + m P),    m_j = -1, 0, 1 in each circular column

    The other columns stay as they are.

    #### Examples

    >>> from tfp_gmnvp.density.columns import Circular
    >>> normal = tfd.MultivariateNormalDiag([0.0], [0.5])
    >>> angle = Wrapped(normal, [Circular(start=0.0, cut=3.0)])
    >>> bool(abs(angle.log_prob([0.1]) - angle.log_prob([0.1 + 2 * np.pi])) < 1e-5)
    True
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        kinds: Sequence[ColumnKind],
        *,
        name: str = "wrapped",
    ):
        """Builds the distribution.

        Args:
          distribution: g, of vectors `[D]`.
          kinds: of the D columns, fitted.
          name: prefix of the operations' names.

        Raises:
          ValueError: if there are more than four circular columns.
        """
        parameters = dict(locals())
        self._distribution = distribution
        self._shifts = rows.windings(kinds)
        is_circular = np.array([kind.period is not None for kind in kinds])
        self._period = np.array([kind.period or 1.0 for kind in kinds])
        self._cut = np.where(is_circular, [getattr(kind, "cut", 0.0) or 0.0 for kind in kinds], 0)
        self._start = np.where(
            is_circular, [getattr(kind, "start", 0.0) or 0.0 for kind in kinds], 0
        )
        self._is_circular = is_circular
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=False,
            allow_nan_stats=distribution.allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def distribution(self) -> tfd.Distribution:
        """The distribution g of z."""
        return self._distribution

    def _batch_shape(self):
        return self._distribution.batch_shape

    def _batch_shape_tensor(self, **parameters):
        return self._distribution.batch_shape_tensor()

    def _event_shape(self):
        return self._distribution.event_shape

    def _event_shape_tensor(self):
        return self._distribution.event_shape_tensor()

    def _sample_n(self, n, seed=None):
        return self._turned(self._distribution.sample(n, seed=seed), self._start)

    def _log_prob(self, value):
        z = self._turned(value, self._cut)
        parts = [
            self._distribution.log_prob(z + tf.constant(shift, z.dtype)) for shift in self._shifts
        ]
        return tf.reduce_logsumexp(tf.stack(parts), axis=0)

    def _turned(self, value, start):
        """Wraps circular columns into [start, start + P)."""
        start, period = (tf.constant(part, value.dtype) for part in (start, self._period))
        return tf.where(self._is_circular, start + tf.math.floormod(value - start, period), value)
