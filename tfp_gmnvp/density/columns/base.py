"""What a kind of column is: how its values become real numbers, and back."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import forward_and_log_det, inverse_and_log_det
from tfp_gmnvp.density.columns.reading import Column

__all__ = ["NEAREST", "ColumnKind", "ContinuousKind", "check_numbers", "inside", "refuse"]

tfb = tfp.bijectors

#: The least distance of dequantisation noise from 0 and 1.
NEAREST = 1e-12


class ColumnKind(abc.ABC):
    """A kind of column.

    Values of a column go through three forms: those of the table, numbers x (the values
    themselves, or the positions of categories), and real numbers z, which a mixture or flow sees.

    A continuous kind is a bijector between x and z. A discrete kind gives each x a cell of the
    real line; the cells are disjoint, and together they are the whole line. The probability of x
    is that of its cell. With a number u in (0, 1), `place` gives a point of the cell:

        P(x) = integral of g over the cell = integral over (0, 1) of g(z(x, u)) dz/du du
    """

    #: What it is called in `columns`.
    kind: ClassVar[str]
    #: Whether values have probabilities, rather than densities.
    is_discrete: ClassVar[bool] = False
    #: The period after which values repeat, or `None`.
    period: ClassVar[float | None] = None

    @abc.abstractmethod
    def fitted(self, column: Column, others: np.ndarray | None = None) -> Self:
        """Returns this kind with all that was left open chosen by a column.

        Args:
          column: the column; missing entries are left out.
          others: other columns of the table as real numbers `[N, M]`, for the order of categories.
        """

    @abc.abstractmethod
    def numbers(self, column: Column) -> np.ndarray:
        """Checks a column's values, and returns numbers x `[N]`, NaN where missing."""

    def is_possible(self, column: Column) -> np.ndarray:
        """Whether values are of this kind, `[N]`; missing ones are."""
        return np.ones(len(column.values), bool)

    @abc.abstractmethod
    def place(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns z, and log|dz/dx| of a continuous kind or log dz/du of a discrete one.

        Args:
          x: numbers, none of them missing.
          u: numbers in (0, 1) of the same shape, which continuous kinds ignore.
        """

    def noise(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draws u `[size]` for dequantisation, within (0, 1)."""
        return rng.uniform(NEAREST, 1 - NEAREST, size=size)

    @abc.abstractmethod
    def numbers_of(self, z: np.ndarray) -> np.ndarray:
        """Returns the numbers x of real numbers z."""

    def numbers_between(self, low: float, high: float) -> np.ndarray:
        """Returns the numbers x of a discrete kind, ascending, `[C]`.

        Args:
          low: a real number z; numbers that are all below its cell may be left out.
          high: a real number; numbers that are all above its cell may be left out.

        Raises:
          TypeError: if the kind is continuous.
        """
        raise TypeError(f"a column of kind {self.kind!r} has too many values to list.")

    def values_of(self, x: np.ndarray) -> np.ndarray:
        """Returns the values of numbers x, which are NaN where missing."""
        return x

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Describes the kind in a few words."""

    def get_config(self) -> dict:
        """Returns the kind and its settings in types that JSON takes."""
        settings = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            value = value.get_config() if isinstance(value, ColumnKind) else value
            settings[field.name] = list(value) if isinstance(value, tuple) else value
        return {"kind": self.kind, **settings}


class ContinuousKind(ColumnKind):
    """A kind of column that is a bijector.

    A subclass implements `scalar_bijector`, from real numbers z to values x.
    """

    #: Values must be above the first and below the second.
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    @abc.abstractmethod
    def scalar_bijector(self, dtype=tf.float64) -> tfb.Bijector:
        """Returns the elementwise bijector from z to x."""

    def numbers(self, column: Column) -> np.ndarray:
        check_numbers(column, self.kind)
        return column.values

    def place(self, x, u):
        z, log_det = inverse_and_log_det(
            self.scalar_bijector(), tf.constant(x, tf.float64), event_ndims=0
        )
        return z.numpy(), np.broadcast_to(log_det.numpy(), np.shape(x))

    def numbers_of(self, z):
        x = forward_and_log_det(self.scalar_bijector(), tf.constant(z, tf.float64), event_ndims=0)
        return inside(x[0].numpy(), *self.bounds)


def check_numbers(column: Column, kind: str) -> None:
    """Raises a `TypeError` if a column holds text or bools."""
    if not column.holds_numbers:
        row = int(np.flatnonzero(~column.is_missing)[0])
        raise TypeError(
            f"column {column.name!r} is declared {kind!r} and must hold numbers, got "
            f"{column.shown(row)}: declare it 'category', or convert it."
        )


def inside(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Moves numbers that rounding has set on a bound to the next number of their dtype inside.

    #### Examples

    >>> x = inside(np.array([0.0, 0.5, 1.0]), 0.0, 1.0)
    >>> bool(0 < x[0] < 1e-300), x[1].item(), bool(x[2] < 1)
    (True, 0.5, True)
    """
    dtype = x.dtype.type
    least, most = np.nextafter(dtype(low), dtype(np.inf)), np.nextafter(dtype(high), -dtype(np.inf))
    tiny = np.finfo(dtype).tiny  # not smaller: logarithms may take such numbers for zero
    least, most = (tiny if low == 0 else least), (-tiny if high == 0 else most)
    return np.clip(x, least, most)


def refuse(column: Column, is_bad: np.ndarray, must: str, instead: str) -> None:
    """Raises a `ValueError` if a column has bad entries, with their number and the first of them.

    Args:
      column: the column.
      is_bad: which entries are bad, `[N]`; missing entries never are.
      must: what values must be.
      instead: what would work.
    """
    rows = np.flatnonzero(is_bad & ~column.is_missing)
    if len(rows):
        raise ValueError(
            f"column {column.name!r} must {must}, and {len(rows)} of its {len(is_bad)} entries "
            f"{'does' if len(rows) == 1 else 'do'} not, the first of them "
            f"{column.shown(int(rows[0]))}: {instead}."
        )
