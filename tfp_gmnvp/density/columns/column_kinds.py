"""The kinds of all columns of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.tables import shown_names
from tfp_gmnvp.bijectors.by_column import ByColumn
from tfp_gmnvp.density.columns import fitting, rows
from tfp_gmnvp.density.columns.base import ColumnKind
from tfp_gmnvp.density.columns.container import Container
from tfp_gmnvp.density.columns.description import described
from tfp_gmnvp.density.columns.detection import detect
from tfp_gmnvp.density.columns.reading import distinct_rows, read_columns
from tfp_gmnvp.density.columns.registry import kind_from_config
from tfp_gmnvp.density.columns.row_log_prob import log_prob_of_rows
from tfp_gmnvp.density.columns.wrapped import Wrapped

__all__ = ["ColumnKinds"]

DECLARED = "declared"  # the reason of a kind that users gave

tfb, tfd = tfp.bijectors, tfp.distributions


@dataclasses.dataclass(frozen=True, repr=False)
class ColumnKinds:
    """The kinds of a table's columns: what takes rows to real numbers, and back.

    Each column x_j becomes one column z_j of real numbers, NaN where x_j is missing. A density g of
    z is one of x:

        log p(x) = log sum_m integral over (0, 1)^J of g(z(x, u) + m P) du  + log-dets

    with the integral over the J discrete columns, which gives the probability of their cells, and
    the sum over the periods P of circular columns. Where there are neither,
    `log p(x) = log g(z) + log|det dz/dx|`.

    Attributes:
      kinds: of each column, fitted.
      reasons: for each column, why.
      container: what the table was.

    #### Examples

    >>> rng = np.random.default_rng(0)
    >>> X = np.stack([rng.lognormal(size=60), rng.poisson(3.0, size=60)], axis=1)
    >>> kinds = ColumnKinds.of_table(X, {0: "positive", 1: "integer"})
    >>> z = kinds.encode(X, seed=0)
    >>> bool(np.allclose(kinds.decode(z), X)), kinds.is_discrete
    (True, True)
    """

    kinds: tuple[ColumnKind, ...]
    reasons: tuple[str, ...]
    container: Container

    @classmethod
    def of_table(cls, X, columns=None, sample_weight=None) -> ColumnKinds:
        """Chooses and fits the kinds of a table's columns.

        Args:
          X: an array, a list of rows, or a table of pandas or polars, `[N, D]`. NaN and `None` are
            missing entries.
          columns: what columns are, by name or number: 'real', 'positive', 'integer', 'category',
            'circular', ('circular', period), bounds such as (0, 1), or a kind such as
            `Integer(0.1)`. All others are detected, see `detect`. `None` to detect all.
          sample_weight: weights `[N]`; rows of weight zero do not count.

        Returns:
          A `ColumnKinds`; its `repr` says what was chosen, and why.

        Raises:
          TypeError: if a column holds neither numbers nor text nor bools, or a declaration is no
            kind.
          ValueError: if a value is not of its column's kind, or there is no column of a name.

        #### Examples

        >>> ColumnKinds.of_table([["a", 0.5], ["b", 0.7], ["a", 0.9]], {1: (0, 1)})
        ColumnKinds of 2 columns:
          0  category of 2: 'a', 'b'  (dtype object)
          1  between 0 and 1          (declared)
        """
        if sample_weight is not None:
            array_checks.check_weights(np.asarray(sample_weight), len(X))
            array_checks.check_some_weight(sample_weight)
        whole = read_columns(X, sample_weight)
        table = distinct_rows(whole)
        declared = fitting.declared_kinds(columns, table)
        found = [
            (kind, DECLARED) if kind is not None else detect(column)
            for kind, column in zip(declared, table, strict=True)
        ]
        kinds = fitting.fitted_kinds([kind for kind, _ in found], table)
        return cls(kinds, tuple(reason for _, reason in found), Container.of(X, whole))

    @property
    def names(self) -> tuple[str | int, ...]:
        """The names of the columns, or their numbers."""
        return self.container.names

    @property
    def num_encoded(self) -> int:
        """The number of real columns, which is that of the table's columns."""
        return len(self.kinds)

    @property
    def is_discrete(self) -> bool:
        """Whether a column is discrete, so that rows have probabilities."""
        return any(kind.is_discrete for kind in self.kinds)

    @property
    def discrete_columns(self) -> tuple[int, ...]:
        """The numbers of the discrete columns."""
        return tuple(np.flatnonzero([kind.is_discrete for kind in self.kinds]).tolist())

    def only(self, columns: Sequence[int]) -> ColumnKinds:
        """Returns the kinds of some columns, by their numbers, in this order.

        #### Examples

        >>> kinds = ColumnKinds.of_table([["a", 0.5], ["b", 0.7], ["a", 0.9]], {1: (0, 1)})
        >>> kinds.only([1]).names
        (1,)
        """
        parts = (self.kinds, self.reasons, self.container.names, self.container.dtypes)
        kinds, reasons, names, dtypes = (tuple(part[j] for j in columns) for part in parts)
        return ColumnKinds(kinds, reasons, Container(self.container.library, names, dtypes))

    def encode(self, X, seed=0) -> np.ndarray:
        """Returns rows as real numbers, the discrete columns dequantised by fresh noise.

        Args:
          X: a table with the columns of the first one. A value that is not of the kind that was
            detected counts as missing, with a warning; one of a declared kind is an error.
          seed: whole number, or several, of the noise; `None` for the middle of each cell.

        Returns:
          z `[N, D]` in float64, NaN where missing.

        Raises:
          ValueError: if columns differ, or a value is not of its column's kind.

        #### Examples

        >>> kinds = ColumnKinds.of_table([[1.0], [2.0], [4.0]], {0: "positive"})
        >>> np.exp(kinds.encode([[4.0], [np.nan]])).round(6).tolist()
        [[4.0], [nan]]
        """
        x, _ = self._checked(X)
        if seed is None:
            u = np.full([len(x), len(self.discrete_columns)], 0.5)
        else:
            rng = np.random.default_rng(seed)
            noise = [kind.noise(rng, len(x)) for kind in self.kinds if kind.is_discrete]
            u = np.reshape(noise, [-1, len(x)]).T
        return rows.place(self.kinds, x, u)[0]

    def decode(self, Z):
        """Returns the table of real numbers: rounded, wrapped, with categories as values.

        Args:
          Z: real numbers `[N, D]`, NaN where entries are missing.

        Returns:
          A table of pandas or polars if the first one was, with its names and dtypes; else an
          array `[N, D]`, of objects if a column holds text.

        Raises:
          ValueError: if Z has another shape, or is infinite.

        #### Examples

        >>> kinds = ColumnKinds.of_table([["a"], ["b"], ["a"]])
        >>> kinds.decode([[-3.0], [3.0]]).tolist()
        [['a'], ['b']]
        """
        z = np.asarray(Z, np.float64)
        if z.ndim != 2 or z.shape[1] != len(self.kinds):
            raise ValueError(f"`Z` must have shape [N, {len(self.kinds)}], got {list(z.shape)}.")
        array_checks.check_rows("Z", z, lambda rows: ~np.isinf(rows), "finite numbers or NaN")
        numbers = []
        for kind, column in zip(self.kinds, z.T, strict=True):
            x = np.full(len(z), np.nan)
            present = ~np.isnan(column)
            x[present] = kind.numbers_of(column[present])
            numbers.append(x)
        return self.container.build(self.kinds, numbers)

    def log_det(self, X) -> np.ndarray:
        """Returns `log|det dz/dx|` over the continuous columns, `[N]`; missing entries count zero.

        #### Examples

        >>> from tfp_gmnvp.density.columns import Positive
        >>> kinds = ColumnKinds.of_table([[1.0], [4.0]], {0: Positive(transform="log")})
        >>> np.exp(kinds.log_det([[4.0]])).round(6).tolist()  # 1 / x
        [0.25]
        """
        x, _ = self._checked(X)
        u = np.full([1, len(x), len(self.discrete_columns)], 0.5)
        log_scale = rows.place(self.kinds, x[np.newaxis], u)[1][0]
        continuous = [not kind.is_discrete for kind in self.kinds]
        return log_scale[:, continuous].sum(axis=1)

    def log_prob(
        self, log_prob_of_encoded: Callable, X, num_draws: int = 64, seed=0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the log-probability of discrete columns times the density of continuous ones.

        Args:
          log_prob_of_encoded: log g, takes real numbers `[M, D]` in float64, and returns `[M]`. Of
            a row with missing entries, which are NaN, it must be the density of the others.
          X: a table with the columns of the first one.
          num_draws: points in each row's cell: nodes of a quadrature for a single discrete column,
            points of a quasi-Monte-Carlo rule for more; see `integrate`. At least 4.
          seed: of the points.

        Returns:
          `(estimate, standard_error)`, `[N]` each, in nats. The standard error is zero without
          discrete columns. Where a value is not of the kind that was detected, the estimate is
          minus infinity, with a warning.

        Raises:
          ValueError: as of `encode`; or if log g returns another shape, or NaN.

        #### Examples

        >>> X = [["a"]] * 3 + [["b"]]
        >>> kinds = ColumnKinds.of_table(X)
        >>> normal = lambda z: -0.5 * (z[:, 0] ** 2 + np.log(2 * np.pi))
        >>> np.exp(kinds.log_prob(normal, [["a"], ["b"]])[0]).round(4).tolist()
        [0.75, 0.25]
        """
        check_whole_number("num_draws", num_draws, 4)
        x, is_possible = self._checked(X)
        estimate, error = log_prob_of_rows(
            self.kinds,
            lambda z, numbers: log_prob_of_encoded(z),
            x,
            num_draws=num_draws,
            seed=seed,
        )
        is_row_possible = is_possible.all(axis=1)
        return np.where(is_row_possible, estimate, -np.inf), np.where(is_row_possible, error, 0.0)

    def bijector(self, dtype=tf.float32) -> tfb.Bijector:
        """Returns the bijector from z to rows x in their own units.

        Circular columns stay as they are: wrapping is no bijection. `distribution` wraps them.

        Args:
          dtype: float dtype of the rows.

        Raises:
          ValueError: if a column is discrete, which no bijector describes.

        #### Examples

        >>> kinds = ColumnKinds.of_table([[0.1], [0.5], [0.7]], {0: (0, 1)})
        >>> kinds.bijector().forward([0.0]).numpy().tolist()
        [0.5]
        """
        if self.is_discrete:
            discrete = shown_names([self.names[j] for j in self.discrete_columns])
            raise ValueError(
                f"a bijector takes continuous columns alone, got {discrete}: use `log_prob`."
            )
        shared = {kind: kind.scalar_bijector(dtype) for kind in self.kinds}
        return ByColumn([shared[kind] for kind in self.kinds], dtype=dtype)

    def distribution(self, distribution: tfd.Distribution) -> tfd.TransformedDistribution:
        """Returns the distribution of rows x in their own units, for continuous columns.

        It is exact in `log_prob`, `sample` and their gradients.

        Args:
          distribution: of z, such as a flow that was trained on `encode`d rows.

        Raises:
          ValueError: if a column is discrete.

        #### Examples

        >>> kinds = ColumnKinds.of_table([[0.1], [0.5], [0.7]], {0: (0, 1)})
        >>> logit_normal = kinds.distribution(tfd.MultivariateNormalDiag([0.0], [1.0]))
        >>> print(f"{logit_normal.prob([0.5]):.4f}")  # 4 / sqrt(2 pi)
        1.5958
        """
        bijector = self.bijector(distribution.dtype)
        if any(kind.period is not None for kind in self.kinds):
            distribution = Wrapped(distribution, self.kinds)
        return tfd.TransformedDistribution(distribution, bijector)

    def get_config(self) -> dict:
        """Returns everything in types that JSON takes."""
        return {
            "kinds": [kind.get_config() for kind in self.kinds],
            "reasons": list(self.reasons),
            "library": self.container.library,
            "names": list(self.names),
            "dtypes": list(self.container.dtypes),
        }

    @classmethod
    def from_config(cls, config: Mapping) -> ColumnKinds:
        """Builds it from its `get_config`."""
        return cls(
            tuple(kind_from_config(kind) for kind in config["kinds"]),
            tuple(config["reasons"]),
            Container(config["library"], tuple(config["names"]), tuple(config["dtypes"])),
        )

    def __repr__(self):
        return described(self.names, self.kinds, self.reasons)

    def _checked(self, X) -> tuple[np.ndarray, np.ndarray]:
        """Numbers `[N, D]`, and which entries are of their column's kind."""
        detected = [j for j, reason in enumerate(self.reasons) if reason != DECLARED]
        return rows.checked(X, self.kinds, self.names, detected)
