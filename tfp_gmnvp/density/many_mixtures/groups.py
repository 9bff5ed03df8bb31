"""Components of several mixtures in one row, and which mixture each belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Groups"]


class Groups:
    """Mixtures of K_1 .. K_B components, whose M = K_1 + .. + K_B components stand in a row.

    #### Examples

    >>> groups = Groups([1, 2])
    >>> groups.sums(np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 5.0]
    >>> groups.of_components(np.array([7.0, 8.0])).tolist()
    [7.0, 8.0, 8.0]
    """

    def __init__(self, sizes: Sequence[int]):
        """Lays the components out.

        Args:
          sizes: K_b, `[B]`.
        """
        self.sizes = np.asarray(sizes, np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.owner = np.repeat(np.arange(len(self.sizes)), self.sizes)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum over each mixture's components: `[M, ...]` to `[B, ...]`."""
        return np.add.reduceat(values, self.starts, axis=0)

    def maxima(self, values: np.ndarray) -> np.ndarray:
        """The highest of each mixture's components: `[M, ...]` to `[B, ...]`."""
        return np.maximum.reduceat(values, self.starts, axis=0)

    def of_components(self, values: np.ndarray) -> np.ndarray:
        """Repeats the value of a mixture for each of its components: `[B, ...]` to `[M, ...]`."""
        return values[self.owner]

    def components(self, chosen: np.ndarray) -> np.ndarray:
        """The numbers of the components of some mixtures, ascending.

        Args:
          chosen: booleans `[B]`.
        """
        return np.flatnonzero(chosen[self.owner])
