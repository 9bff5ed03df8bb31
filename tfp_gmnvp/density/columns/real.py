"""Columns of real numbers without bounds."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.density.columns.base import ContinuousKind, check_numbers

__all__ = ["Real"]


@dataclasses.dataclass(frozen=True)
class Real(ContinuousKind):
    """Any real number: z = x.

    #### Examples

    >>> Real().description
    'real'
    """

    kind = "real"

    def fitted(self, column, others=None):
        check_numbers(column, self.kind)
        return self

    def scalar_bijector(self, dtype=tf.float64):
        return tfp.bijectors.Identity()

    @property
    def description(self):
        return "real"
