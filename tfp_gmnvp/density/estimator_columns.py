"""The columns of an estimator's table: real numbers as they are, or kinds that are encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.arguments import check_choice
from tfp_gmnvp._shared.tables import Names
from tfp_gmnvp.density.estimator_input import (
    as_floats,
    check_features,
    check_nothing_missing,
    check_size,
)

__all__ = ["EstimatorColumns"]

_NUM_DRAWS = 64  # within the cells of discrete columns


class EstimatorColumns(NamedTuple):
    """How a table becomes real numbers, and back.

    Attributes:
      kinds: `ColumnKinds`, or `None` where all columns are real.
      names: of the columns that the density sees, or `None`.

    #### Examples

    >>> EstimatorColumns(None, None).decode(np.zeros([1, 2])).tolist()
    [[0.0, 0.0]]
    """

    kinds: Any
    names: Names | None

    @classmethod
    def of_table(cls, columns, X, sample_weight=None) -> EstimatorColumns:
        """The columns of a table that an estimator is to be fitted to.

        Args:
          columns: `None` for real numbers, 'auto' to detect kinds, or kinds by name or number.
          X: the table.
          sample_weight: weights `[N]`, or `None`.

        Raises:
          ValueError: if `columns` is another word.
        """
        if columns is None:
            return cls(None, tables.column_names(X))
        if isinstance(columns, str):
            check_choice("columns", columns, ["auto"])
            columns = None
        from tfp_gmnvp.density.columns import ColumnKinds

        kinds = ColumnKinds.of_table(X, columns, sample_weight)
        return cls(kinds, tuple(kinds.names))

    def encode(self, X, seed: int) -> np.ndarray:
        """The table as real numbers.

        Args:
          X: the table `[N, D]`.
          seed: of the noise in discrete columns.
        """
        rows = as_floats(X) if self.kinds is None else np.asarray(self.kinds.encode(X, seed))
        if self.kinds is not None:
            check_nothing_missing(rows, self.names)
        check_size(rows.shape, 1, "FlowMixture")
        return rows

    def decode(self, rows: np.ndarray):
        """Rows in the table's own units.

        Args:
          rows: real numbers `[N, D]`.
        """
        return rows if self.kinds is None else self.kinds.decode(rows)

    def log_prob(self, log_prob: Callable, rows: np.ndarray, X, seed: int) -> np.ndarray:
        """The log-density of a table in its own units, `[N]`.

        Args:
          log_prob: of encoded rows.
          rows: the table, encoded.
          X: the table.
          seed: of the draws in the cells of discrete columns.
        """
        if self.kinds is None:
            return log_prob(rows)
        estimate, _ = self.kinds.log_prob(log_prob, X, _NUM_DRAWS, seed)
        return np.asarray(estimate)

    def num_features(self, X, rows: np.ndarray) -> int:
        """The number of the table's own columns.

        Args:
          X: the table.
          rows: the table, encoded.
        """
        return rows.shape[1] if self.kinds is None else int(np.shape(X)[1])

    def checked(self, estimator, X, seed: int) -> np.ndarray:
        """A table as real numbers, if it has the columns of that of `fit`.

        Args:
          estimator: a fitted one.
          X: the table.
          seed: of the noise in discrete columns.

        Raises:
          ValueError: if it has other columns, or is not finite.
        """
        if self.kinds is not None:
            check_features(estimator, X, int(np.shape(X)[1]))
            return self.encode(X, seed)
        rows = self.encode(X, seed)
        check_features(estimator, X, rows.shape[1])
        return rows

    def check_input_features(self, estimator, names) -> None:
        """Raises a `ValueError` if names are not those of the columns.

        Args:
          estimator: a fitted one.
          names: `[D]`, or `None`.
        """
        if names is None:
            return
        known = getattr(estimator, "feature_names_in_", None)
        if known is not None and list(names) != list(known):
            raise ValueError("input_features is not equal to feature_names_in_")
        if len(names) != estimator.n_features_in_:
            raise ValueError(
                "input_features should have length equal to number of features "
                f"({estimator.n_features_in_}), got {len(names)}"
            )

    def check_exportable(self) -> None:
        """Raises a `ValueError` if the flow alone is not the density of the table."""
        if self.kinds is not None:
            raise ValueError(
                "`export` writes the flow, which sees encoded columns: it requires `columns=None`. "
                "`save` writes all of it."
            )
