"""The step of which all values of a rounded column are multiples."""

from __future__ import annotations

import numpy as np

__all__ = ["Lattice", "find_lattice"]

_FINEST = 20  # of the smallest distance between values, which need not be neighbours
_TOLERANCE = 1e-3  # steps


class Lattice:
    """Numbers `offset + step * k` of whole k.

    #### Examples

    >>> tenths = Lattice(0.1, 0.0)
    >>> tenths.nearest(np.array([0.30000000000000004])).tolist(), tenths.has(np.array([0.25]))
    ([0.3], array([False]))
    """

    def __init__(self, step: float, offset: float = 0.0):
        """Sets the step and one of the numbers."""
        self.step, self.offset = float(step), float(offset)

    def multiples(self, x: np.ndarray) -> np.ndarray:
        """Returns the nearest k of each number."""
        return np.round((x - self.offset) / self.step)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """Returns the nearest numbers of the lattice, without needless digits."""
        nearest = self.offset + self.step * self.multiples(x)
        for digits in range(13):
            if all(_has_digits(number, digits) for number in (self.step, self.offset)):
                return np.round(nearest, digits)
        return nearest

    def has(self, x: np.ndarray) -> np.ndarray:
        """Returns which numbers are on the lattice, but for the rounding of float32."""
        rounding = 2 * np.spacing(np.abs(x).astype(np.float32)).astype(np.float64)
        distance = np.abs(x - (self.offset + self.step * self.multiples(x)))
        return distance <= _TOLERANCE * self.step + np.minimum(rounding, 0.1 * self.step)


def find_lattice(x: np.ndarray) -> Lattice | None:
    """Finds the widest step of which all distances between values are whole multiples.

    Args:
      x: numbers `[N]`, none missing.

    Returns:
      A `Lattice`, whose offset is zero where that fits; `None` if there is no such step of at
      least a twentieth of the smallest distance, or there are fewer than two values.

    #### Examples

    >>> find_lattice(np.array([0.1, 0.7, 0.5])).step
    0.2
    >>> find_lattice(np.array([0.1, 0.7, 0.41234567])) is None
    True
    """
    values = np.unique(x)
    distances = np.diff(values)
    distances = distances[distances > 8 * np.spacing(np.max(np.abs(x), initial=0.0))]
    if not len(distances):
        return None
    for divisor in range(1, _FINEST + 1):
        for step in _steps(values, float(distances.min()) / divisor):
            for offset in (0.0, float(values[0])):
                lattice = Lattice(step, offset)
                if np.all(lattice.has(values)):
                    return lattice
    return None


def _steps(values, about) -> list[float]:
    """The step near a number that fits the range, with few digits if rounding allows it."""
    width = float(values[-1] - values[0])
    number = max(1, round(width / about))
    largest = np.max(np.abs(values))
    is_float32 = np.array_equal(values.astype(np.float32), values)
    rounding = np.spacing(np.float32(largest) if is_float32 else largest)
    step = width / number
    short = (float(f"{step:.{digits}g}") for digits in (1, 2, 3, 6, 9, 12))
    return [*(s for s in short if abs(s - step) <= 2 * float(rounding) / number), step]


def _has_digits(number, digits) -> bool:
    scaled = abs(number) * 10.0**digits
    return abs(scaled - round(scaled)) <= 1e-9 * max(1.0, scaled)
