"""One column of a density of encoded columns, in the column's own units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.density.columns import Circular, ColumnKind, Integer
from tfp_gmnvp.density.columns.base import inside
from tfp_gmnvp.density.columns.row_log_prob import log_prob_of_rows
from tfp_gmnvp.density.condition_blocks import ConditionBlocks

__all__ = ["EncodedColumn", "log_prob_of_numbers"]

_NUM_DRAWS = {"exact": 64, "by quadrature": 64, "by samples": 16}  # within cells
_OUTSIDE = 1e-9
_MOST_VALUES = 10_000
_LEAST_DRAWN = 0.005  # of the highest density


def log_prob_of_numbers(
    density: ConditionBlocks, kinds: Sequence[ColumnKind], x: np.ndarray
) -> np.ndarray:
    """The log-probability of discrete columns times the density of the others.

    Args:
      density: of N conditions and d encoded columns.
      kinds: of the columns.
      x: numbers `[S N, d]`, the conditions of each point next to each other.

    Returns:
      An array `[S N]`, in nats.

    #### Examples

    >>> from tfp_gmnvp.density.averaged_density import AveragedDensity
    >>> from tfp_gmnvp.density.conditional_density import given
    >>> from tfp_gmnvp.density.columns import Real
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> density = ConditionBlocks([AveragedDensity(given(flow, {0: 0.0}), np.ones([1, 1]))])
    >>> log_prob_of_numbers(density, [Real()], np.array([[0.0]])).round(4).tolist()
    [-0.9189]
    """
    return log_prob_of_rows(
        kinds,
        lambda z, row: density.log_prob(z, row % density.num_conditions),
        x,
        num_draws=_NUM_DRAWS[density.way],
        seed=0,
    )[0]


class EncodedColumn:
    """One column of a density, under N conditions.

    #### Examples

    >>> from tfp_gmnvp.density.averaged_density import AveragedDensity
    >>> from tfp_gmnvp.density.conditional_density import given
    >>> from tfp_gmnvp.density.columns import Positive
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> density = ConditionBlocks([AveragedDensity(given(flow, {0: 0.0}), np.ones([1, 1]))])
    >>> column = EncodedColumn(density, 0, 1, "price", Positive(transform="log"))
    >>> column.mean().round(4).tolist(), float(np.exp(0.5).round(4))
    ([1.6487], 1.6487)
    """

    def __init__(
        self, density: ConditionBlocks, number: int, size: int, name: int | str, kind: ColumnKind
    ):
        """Keeps what it is given.

        Args:
          density: of all d encoded columns.
          number: of the column.
          size: d.
          name: of the column.
          kind: of the column.
        """
        self._density, self._number, self._size = density, number, size
        self.name, self.kind = name, kind

    def check_has_numbers(self, method: str) -> None:
        """Raises a `TypeError` if the column is a category."""
        if self.kind.kind == "category":
            more = f", or name another column, `{method}(..., column=...)`"
            raise TypeError(
                f"column {self.name!r} is a category and has no {method}: ask for "
                f"`probabilities({self.name!r})`{more if self._size > 1 else ''}."
            )

    def check_has_order(self, method: str) -> None:
        """Raises a `TypeError` if the column is a category or circular."""
        self.check_has_numbers(method)
        if isinstance(self.kind, Circular):
            raise TypeError(
                f"column {self.name!r} is circular and has no {method}: ask for `mean`, "
                "`log_prob` or `sample`."
            )

    def mean(self) -> np.ndarray:
        """The mean `[N]`; of a circular column the direction of the mean on the circle.

        Raises:
          ValueError: if it is not finite.
        """
        kind = self.kind
        if isinstance(kind, Circular):
            turn = 2 * np.pi / kind.period
            sine, cosine = (self._expectation(lambda z, f=f: f(turn * z)) for f in (np.sin, np.cos))
            return kind.numbers_of(np.arctan2(sine, cosine) / turn)
        if isinstance(kind, Integer):
            if len(self._values()) <= _MOST_VALUES:
                x, probability = self.probabilities()
                return x @ probability
            kind = kind.inner  # rounding does not matter among so many values
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self._expectation(kind.numbers_of)
        if not np.isfinite(mean).all():
            raise ValueError(
                f"the mean of column {self.name!r} is not finite: ask for `quantile(0.5)`."
            )
        return mean

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles at `[Q]`, `[Q, N]`."""
        return self.kind.numbers_of(self._density.quantile(probability)[..., self._number])

    def cdf(self, x: np.ndarray, place: float = 1.0) -> np.ndarray:
        """P(X <= x) at numbers `[S, N]`.

        Args:
          x: numbers.
          place: u, where in a discrete number's cell; 1 for its end.
        """
        return self._encoded_cdf(self.kind.place(x, np.full(x.shape, place))[0])

    def probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of a discrete column `[C]`, and their probabilities `[C, N]`.

        Raises:
          TypeError: if the column is continuous.
          ValueError: if there are more than 10,000 numbers.
        """
        x = self._values()
        if len(x) > _MOST_VALUES:
            raise ValueError(
                f"column {self.name!r} has {len(x)} values, which are more than {_MOST_VALUES}: "
                "use `cdf` or `quantile`."
            )
        of_all = np.repeat(x[:, np.newaxis], self._density.num_conditions, axis=1)
        return x, np.maximum(self.cdf(of_all) - self.cdf(of_all, 0.0), 0.0)

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The density of a continuous column: points `[S]`, and `[S, N]`."""
        kind = self.kind
        num_points = 61 if self._density.way == "by samples" else 301
        if isinstance(kind, Circular):
            ends = np.array([0.0, 1.0 - 1e-9])
            x = np.linspace(*(kind.start + kind.period * ends), num_points)
            return x, self._density_at(x)
        found = self.quantile(np.array([0.001, 0.999]))
        low, high = found[0].min(), found[1].max()
        margin = 0.05 * (high - low)
        low, high = inside(np.array([low - margin, high + margin]), *kind.bounds)
        for _ in range(2):  # skewed densities have long tails, which need no room
            x = np.linspace(low, high, num_points)
            density = self._density_at(x)
            highest = density.max(axis=1)
            shown = np.flatnonzero(highest > _LEAST_DRAWN * highest.max())
            low, high = x[max(shown[0] - 1, 0)], x[min(shown[-1] + 1, num_points - 1)]
        return x, density

    def _density_at(self, x):
        """The density at points `[S]`, `[S, N]`; of one of several columns by its `cdf`."""
        num_conditions = self._density.num_conditions
        if self._size == 1:
            of_all = np.repeat(x, num_conditions)[:, np.newaxis]
            log_prob = log_prob_of_numbers(self._density, [self.kind], of_all)
            return np.exp(log_prob).reshape(len(x), num_conditions)
        edges = np.concatenate([x[:1], 0.5 * (x[1:] + x[:-1]), x[-1:]])
        if isinstance(self.kind, Circular):
            z = edges + self.kind.period * np.arange(-2, 3)[:, np.newaxis]
        else:
            z = self.kind.place(edges, None)[0][np.newaxis]
        of_all = np.repeat(z.reshape(-1, 1), num_conditions, axis=1)
        cdf = self._encoded_cdf(of_all).reshape(*z.shape, num_conditions)
        return np.diff(cdf, axis=1).sum(axis=0) / np.diff(edges)[:, np.newaxis]

    def _values(self):
        """Numbers of a discrete column, but for those that hardly ever occur."""
        outer = np.array([_OUTSIDE, 1 - _OUTSIDE])
        low, high = self._density.quantile(outer)[..., self._number]
        return self.kind.numbers_between(low.min(), high.max())

    def _encoded_cdf(self, z):
        points = np.zeros([*z.shape, self._size])
        points[..., self._number] = z
        return self._density.cdf(points)[..., self._number]

    def _expectation(self, function):
        some = slice(self._number, self._number + 1)
        return self._density.expectation(lambda z: function(z[..., some]))[:, 0]
