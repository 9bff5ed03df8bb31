"""A density of some of a table's columns of any kinds, in the table's own units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.density import encoded_plot
from tfp_gmnvp.density.averaged_density import AveragedDensity
from tfp_gmnvp.density.columns import Circular, ColumnKinds, Integer, rows
from tfp_gmnvp.density.columns.row_log_prob import log_prob_of_rows
from tfp_gmnvp.density.known_cells import own_number

__all__ = ["EncodedDensity"]

_NUM_DRAWS = {"exact": 64, "by quadrature": 64, "by samples": 16}  # within cells
_OUTSIDE = 1e-9
_MOST_VALUES = 1000


class EncodedDensity:
    """The density of d columns in the table's own units, for one condition or a batch of N.

    `FlowMixture.given` and `FlowMixture.marginal` make it. Discrete columns have probabilities,
    and the others densities. Shapes have `[N]` in front of `[d]` for a batch alone. Where a method
    takes a `column`, the result is that of this column alone, and shapes have no `[d]`.

    Attributes:
      columns: names of the columns, or their numbers where there are no names.
      kinds: of these columns.

    #### Examples

    >>> from tfp_gmnvp.density.estimator_questions import given
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> kinds = ColumnKinds.of_table([["a", 1.0], ["b", 2.0], ["b", 4.0]], {1: "positive"})
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> density = given(flow, kinds, {1: 1.5}, num_samples=2, seed=0)
    >>> {value: round(p, 4) for value, p in density.probabilities().items()}
    {'b': 0.6667, 'a': 0.3333}
    >>> np.exp(density.log_prob([["a"], ["b"]])).round(4).tolist()
    [0.3333, 0.6667]
    >>> density.sample(3, seed=0).tolist()
    [['b'], ['b'], ['b']]
    """

    def __init__(
        self,
        density: AveragedDensity,
        kinds: ColumnKinds,
        *,
        is_batch: bool,
        labels: Sequence[str] = (),
    ):
        """Keeps what it is given.

        Args:
          density: of the encoded columns.
          kinds: of these columns.
          is_batch: whether there is a batch of conditions.
          labels: of the first conditions, for plots.
        """
        self._density, self.kinds = density, kinds
        self._is_batch, self._labels = is_batch, tuple(labels)
        self.columns = tuple(kinds.names)

    def __repr__(self):
        condition = ""
        if self._is_batch:
            condition = f"{self._density.num_conditions} conditions, "
        elif self._labels:
            condition = f"given {self._labels[0]}, "
        return f"EncodedDensity(columns={self.columns!r}, {condition}{self._density.way})"

    @property
    def effective_sample_size(self) -> np.ndarray | float | None:
        """Number of independent samples that each condition rests on; `None` if on none."""
        sizes = self._density.effective_sample_size
        return sizes if sizes is None or self._is_batch else float(sizes[0])

    def sample(self, num_samples: int, *, seed: int):
        """Draws rows.

        Args:
          num_samples: for each condition.
          seed: integer seed.

        Returns:
          A table `[num_samples, d]` like that of `fit`; for a batch an array
          `[num_samples, N, d]`, of objects if a column holds text.
        """
        check_whole_number("num_samples", num_samples)
        z = self._density.sample(num_samples, seed)
        if not self._is_batch:
            return self.kinds.decode(z[:, 0])
        container = dataclasses.replace(self.kinds.container, library=None)
        kinds = dataclasses.replace(self.kinds, container=container)
        return kinds.decode(z.reshape(-1, z.shape[-1])).reshape(z.shape)

    def log_prob(self, x) -> np.ndarray:
        """The log-probability of discrete columns times the density of the others, in nats.

        Args:
          x: values: an array or lists `[..., N, d]`, or `[..., d]` if there is no batch; or a table
            `[S, d]`, with a row for each of the N conditions if there is a batch.

        Returns:
          An array `[..., N]`, or `[...]`.

        Raises:
          ValueError: if x has another shape, or a value is missing or not of its column's kind.
        """
        return self._log_prob(*self._numbers(x, self.kinds))

    def mean(self, column: int | str | None = None) -> np.ndarray:
        """The mean of each column, `[N, d]` or `[d]`.

        Of a circular column it is the direction of the mean of points on the circle.

        Args:
          column: the only one that is asked for, or `None`.

        Raises:
          TypeError: if a column is a category.
          ValueError: if a mean is not finite.
        """
        wanted = self._wanted(column)
        for j in wanted:
            self._check_has_numbers("mean", j)
        return self._shaped(np.stack([self._mean_of(j) for j in wanted], axis=-1), column)

    def quantile(self, probability, column: int | str | None = None) -> np.ndarray:
        """Quantiles of each column alone.

        Args:
          probability: a number in (0, 1), or `[Q]` of them.
          column: the only one that is asked for, or `None`.

        Returns:
          An array `[Q, N, d]`, without Q for a number, and without N if there is no batch.

        Raises:
          TypeError: if a column is a category or circular.
          ValueError: if a probability is not in (0, 1).
        """
        of_all = np.atleast_1d(np.asarray(probability, np.float64))
        if of_all.ndim != 1 or not ((of_all > 0) & (of_all < 1)).all():
            raise ValueError(f"`probability` must hold numbers in (0, 1), got {probability!r}.")
        wanted = self._wanted(column)
        for j in wanted:
            self._check_has_order("quantile", j)
        z = self._density.quantile(of_all)
        x = np.stack([self.kinds.kinds[j].numbers_of(z[..., j]) for j in wanted], axis=-1)
        found = self._shaped(x, column)
        return found if np.ndim(probability) else found[0]

    def cdf(self, x, column: int | str | None = None) -> np.ndarray:
        """The distribution function P(X <= x) of each column alone.

        Args:
          x: values `[..., N, d]`, or `[..., d]` if there is no batch; without d for one `column`.
          column: the only one that is asked for, or `None`.

        Returns:
          An array of the shape of x.

        Raises:
          TypeError: if a column is a category or circular.
          ValueError: as of `log_prob`.
        """
        wanted = self._wanted(column)
        for j in wanted:
            self._check_has_order("cdf", j)
        values = x if column is None else np.asarray(x, object)[..., np.newaxis]
        numbers, shape = self._numbers(values, self.kinds.only(wanted))
        numbers = numbers.reshape(-1, self._density.num_conditions, len(wanted))
        found = [self._cdf_at(j, numbers[..., i], 1.0) for i, j in enumerate(wanted)]
        found = np.stack(found, axis=-1).reshape(*shape, len(wanted))
        return found if column is None else found[..., 0]

    def probabilities(self, column: int | str | None = None) -> dict:
        """The probability of each value of a discrete column alone.

        Args:
          column: its name or number; `None` if it is the only column.

        Returns:
          Values in the order of their cells, with their probabilities: numbers, or arrays `[N]`
          for a batch. Integers without bounds leave out values beyond the 1e-9-quantiles.

        Raises:
          TypeError: if the column is continuous.
          ValueError: if there are several columns and none is named, or more than 1,000 values.
        """
        j = self._single("probabilities", column)
        x, probability = self._probabilities(j)
        values = self.kinds.only([j])
        container = dataclasses.replace(values.container, library=None)
        keys = container.build(values.kinds, [x])[:, 0].tolist()
        found = probability if self._is_batch else probability[:, 0].tolist()
        return dict(zip(keys, found, strict=True))

    def plot(self, ax=None, column: int | str | None = None):
        """Draws one column: a curve for each condition, or bars if it is discrete.

        Args:
          ax: axes of matplotlib; the current ones if `None`.
          column: the name or number; `None` if it is the only column.

        Returns:
          The axes.

        Raises:
          ValueError: if there are several columns and none is named.
        """
        j = self._single("plot", column)
        if self.kinds.kinds[j].is_discrete:
            values = self.probabilities(self.columns[j])
            probability = np.reshape(list(values.values()), [len(values), -1])
            return encoded_plot.draw_bars(ax, values, probability, self.columns[j], self._labels)
        x = self._grid(j)
        density = self._density_on(j, x)
        return encoded_plot.draw_curves(ax, x, density, self.columns[j], self._labels)

    def _log_prob(self, x, shape):
        found, _ = log_prob_of_rows(
            self.kinds.kinds,
            lambda z, row: self._density.log_prob(z, row % self._density.num_conditions),
            x,
            num_draws=_NUM_DRAWS[self._density.way],
            seed=0,
        )
        return found.reshape(shape)

    def _mean_of(self, j):
        kind = self.kinds.kinds[j]
        if isinstance(kind, Circular):
            turn = 2 * np.pi / kind.period
            sine, cosine = (
                self._density.expectation(lambda z, f=f: f(turn * z[..., j : j + 1]))[:, 0]
                for f in (np.sin, np.cos)
            )
            return kind.numbers_of(np.arctan2(sine, cosine) / turn)
        if isinstance(kind, Integer) and len(self._values(j)) <= _MOST_VALUES:
            x, probability = self._probabilities(j)
            return x @ probability
        inner = kind.inner if isinstance(kind, Integer) else kind
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self._density.expectation(lambda z: inner.numbers_of(z[..., j : j + 1]))[:, 0]
        if not np.isfinite(mean).all():
            raise ValueError(
                f"the mean of column {self.columns[j]!r} is not finite: ask for `quantile(0.5)`."
            )
        return mean

    def _values(self, j):
        """Numbers of a discrete column, but for those that hardly ever occur."""
        z = self._density.quantile(np.array([_OUTSIDE, 1 - _OUTSIDE]))[..., j]
        return self.kinds.kinds[j].numbers_between(z[0].min(), z[1].max())

    def _probabilities(self, j):
        """Numbers `[C]`, and their probabilities `[C, N]`."""
        x, num_conditions = self._values(j), self._density.num_conditions
        if len(x) > _MOST_VALUES:
            raise ValueError(
                f"column {self.columns[j]!r} has {len(x)} values, which are more than "
                f"{_MOST_VALUES}: use `cdf` or `quantile`."
            )
        of_all = np.repeat(x[:, np.newaxis], num_conditions, axis=1)
        if self._density.way == "by quadrature":  # its `cdf` has steps
            probability = np.exp(self._log_prob(of_all.reshape(-1, 1), of_all.shape))
            return x, probability / probability.sum(axis=0)
        below, above = (self._cdf_at(j, of_all, u) for u in (0.0, 1.0))
        return x, np.maximum(above - below, 0.0)

    def _cdf_at(self, j, x, u):
        """The distribution function of a column at a place in the cells of numbers `[S, N]`."""
        return self._encoded_cdf(j, self.kinds.kinds[j].place(x, np.full(x.shape, u))[0])

    def _encoded_cdf(self, j, z):
        points = np.zeros([*z.shape, len(self.columns)])
        points[..., j] = z
        return self._density.cdf(points)[..., j]

    def _grid(self, j):
        """Points of the axis of a continuous column."""
        kind = self.kinds.kinds[j]
        num_points = 61 if self._density.way == "by samples" else 301
        if isinstance(kind, Circular):
            return kind.start + kind.period * np.linspace(0.0, 1.0, num_points, endpoint=False)
        z = self._density.quantile(np.array([0.001, 0.995]))[..., j]
        low, high = kind.numbers_of(np.array([z[0].min(), z[1].max()]))
        margin = 0.05 * (high - low)
        least, most = np.nextafter(kind.bounds, [np.inf, -np.inf])
        return np.linspace(max(low - margin, least), min(high + margin, most), num_points)

    def _density_on(self, j, x):
        """The density of a continuous column at points `[S]`, `[S, N]`."""
        num_conditions = self._density.num_conditions
        if len(self.columns) == 1:
            of_all = np.repeat(x, num_conditions)[:, np.newaxis]
            return np.exp(self._log_prob(of_all, [len(x), num_conditions]))
        edges = np.concatenate([x[:1], 0.5 * (x[1:] + x[:-1]), x[-1:]])
        kind = self.kinds.kinds[j]
        if isinstance(kind, Circular):
            half = 0.5 * (x[1] - x[0])
            edges[[0, -1]] = x[0] - half, x[-1] + half
            z = edges + kind.period * np.arange(-2, 3)[:, np.newaxis]
        else:
            z = kind.place(edges, None)[0][np.newaxis]
        of_all = np.repeat(z.reshape(-1, 1), num_conditions, axis=1)
        cdf = self._encoded_cdf(j, of_all).reshape(*z.shape, num_conditions)
        return np.diff(cdf, axis=1).sum(axis=0) / np.diff(edges)[:, np.newaxis]

    def _numbers(self, x, kinds):
        """Numbers `[S N, d]` of values, and the shape of what is computed of them."""
        num_conditions, size = self._density.num_conditions, len(kinds.names)
        if not tables.is_table(x):
            x = np.asarray(x)
            x = x if x.dtype.kind in "iuf" else np.asarray(x, object)
        inner = (num_conditions, size) if self._is_batch else (size,)
        if np.shape(x)[-len(inner) :] != inner:
            wanted = ", ".join(["...", *map(str, inner)])
            raise ValueError(f"`x` must have shape [{wanted}], got shape {list(np.shape(x))}.")
        shape = np.shape(x)[:-1]
        flat = x if tables.is_table(x) else x.reshape(-1, size)
        numbers = rows.checked(flat, kinds.kinds, kinds.names)
        if np.isnan(numbers).any():
            row, j = np.argwhere(np.isnan(numbers))[0]
            raise ValueError(
                f"`x` must not have missing values, got one of column {kinds.names[j]!r} in row "
                f"{row}."
            )
        return numbers, shape

    def _wanted(self, column):
        if column is None:
            return list(range(len(self.columns)))
        return [own_number("column", column, self.kinds)]

    def _single(self, method, column):
        if column is None and len(self.columns) > 1:
            raise ValueError(
                f"`{method}` takes one of several columns, {tables.shown_names(self.columns)}: "
                f"name it, `{method}(column={self.columns[0]!r})`."
            )
        return self._wanted(column)[0]

    def _check_has_numbers(self, method, j):
        if self.kinds.kinds[j].kind == "category":
            name, others = self.columns[j], len(self.columns) > 1
            more = f", or name another column, `{method}(..., column=...)`" if others else ""
            raise TypeError(
                f"column {name!r} is a category and has no {method}: ask for "
                f"`probabilities({name!r})`{more}."
            )

    def _check_has_order(self, method, j):
        self._check_has_numbers(method, j)
        if isinstance(self.kinds.kinds[j], Circular):
            raise TypeError(
                f"column {self.columns[j]!r} is circular and has no {method}: ask for `mean`, "
                "`log_prob` or `sample`."
            )

    def _shaped(self, values, column):
        """Values `[..., N, d]`, without N if there is no batch, and without d for one column."""
        values = values if column is None else values[..., 0]
        axis = -2 if column is None else -1
        return values if self._is_batch else np.take(values, 0, axis=axis)
