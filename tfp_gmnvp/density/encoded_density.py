"""A density of some of a table's columns of any kinds, in the table's own units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.density import encoded_plot
from tfp_gmnvp.density.columns import ColumnKinds, rows
from tfp_gmnvp.density.condition_blocks import ConditionBlocks
from tfp_gmnvp.density.encoded_column import EncodedColumn, log_prob_of_numbers
from tfp_gmnvp.density.known_cells import numbers_of_array, own_number

__all__ = ["EncodedDensity"]


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
        density: ConditionBlocks,
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
        size, named = len(self.columns), zip(self.columns, kinds.kinds, strict=True)
        self._parts = [EncodedColumn(density, j, size, *column) for j, column in enumerate(named)]

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
        numbers, shape = self._numbers(x, self.kinds)
        return log_prob_of_numbers(self._density, self.kinds.kinds, numbers).reshape(shape)

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
        for part in wanted:
            part.check_has_numbers("mean")
        return self._shaped(np.stack([part.mean() for part in wanted], axis=-1), column)

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
        for part in wanted:
            part.check_has_order("quantile")
        x = np.stack([part.quantile(of_all) for part in wanted], axis=-1)
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
        for part in wanted:
            part.check_has_order("cdf")
        values = x if column is None else np.asarray(x, object)[..., np.newaxis]
        kinds = self.kinds.only([self._parts.index(part) for part in wanted])
        numbers, shape = self._numbers(values, kinds)
        numbers = numbers.reshape(-1, self._density.num_conditions, len(wanted))
        found = [part.cdf(numbers[..., i]) for i, part in enumerate(wanted)]
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
          ValueError: if there are several columns and none is named, or more than 10,000 values.
        """
        part = self._single("probabilities", column)
        x, probability = part.probabilities()
        some = self.kinds.only([self._parts.index(part)])
        container = dataclasses.replace(some.container, library=None)
        values = container.build(some.kinds, [x])[:, 0].tolist()
        found = probability if self._is_batch else probability[:, 0].tolist()
        return dict(zip(values, found, strict=True))

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
        part = self._single("plot", column)
        if part.kind.is_discrete:
            values = self.probabilities(part.name)
            probability = np.reshape(list(values.values()), [len(values), -1])
            return encoded_plot.draw_bars(ax, values, probability, part.name, self._labels)
        return encoded_plot.draw_curves(ax, *part.curve(), part.name, self._labels)

    def _numbers(self, x, kinds):
        """Numbers `[S N, d]` of values, and the shape of what is computed of them."""
        num_conditions, size = self._density.num_conditions, len(kinds.names)
        if not tables.is_table(x):
            is_numeric = isinstance(x, np.ndarray) and x.dtype.kind in "iuf"
            x = x if is_numeric else np.asarray(x, object)  # text does not make numbers text
        inner = (num_conditions, size) if self._is_batch else (size,)
        if np.shape(x)[-len(inner) :] != inner:
            wanted = ", ".join(["...", *map(str, inner)])
            raise ValueError(f"`x` must have shape [{wanted}], got shape {list(np.shape(x))}.")
        shape = np.shape(x)[:-1]
        if tables.is_table(x):
            numbers, _ = rows.checked(x, kinds.kinds, kinds.names)
        else:
            numbers = numbers_of_array(x.reshape(-1, size), kinds)
        if np.isnan(numbers).any():
            row, j = np.argwhere(np.isnan(numbers))[0]
            raise ValueError(
                f"`x` must not have missing values, got one of column {kinds.names[j]!r} in row "
                f"{row}."
            )
        return numbers, shape

    def _wanted(self, column):
        if column is None:
            return self._parts
        return [self._parts[own_number("column", column, self.kinds)]]

    def _single(self, method, column):
        if column is None and len(self.columns) > 1:
            raise ValueError(
                f"`{method}` takes one of several columns, {tables.shown_names(self.columns)}: "
                f"name it, `{method}(column={self.columns[0]!r})`."
            )
        return self._wanted(column)[0]

    def _shaped(self, values, column):
        """Values `[..., N, d]`, without N if there is no batch, and without d for one column."""
        values = values if column is None else values[..., 0]
        axis = -2 if column is None else -1
        return values if self._is_batch else np.take(values, 0, axis=axis)
