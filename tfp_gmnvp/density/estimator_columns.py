"""The columns of an estimator's table: real numbers as they are, or kinds that are encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.arguments import check_choice
from tfp_gmnvp._shared.tables import Names, is_table
from tfp_gmnvp.density.columns import ColumnKinds, Real
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
      kinds: `ColumnKinds` that encode the table, or `None` where all columns are real numbers.
      names: of the columns that the density sees, or `None`.
      described: `ColumnKinds`, whose `repr` gives the reason for each; `None` if none were sought.
      missing: 'allow' or 'error', for NaN.

    #### Examples

    >>> EstimatorColumns(None, None).decode(np.zeros([1, 2])).tolist()
    [[0.0, 0.0]]
    """

    kinds: ColumnKinds | None
    names: Names | None
    described: ColumnKinds | None = None
    missing: str = "error"

    @classmethod
    def of_table(cls, columns, X, sample_weight=None, missing: str = "error") -> EstimatorColumns:
        """The columns of a table that an estimator is to be fitted to.

        Args:
          columns: `None` or 'auto' to detect kinds, 'real' for real numbers, or kinds by name or
            number, where those of other columns are detected.
          X: the table.
          sample_weight: weights `[N]`, or `None`.
          missing: 'allow' or 'error', for NaN.

        Raises:
          ValueError: if `columns` is another word, or X is not a table.
          TypeError: if X does not hold numbers or text.
        """
        if isinstance(columns, str):
            check_choice("columns", columns, ["auto", "real"])
        if isinstance(columns, str) and columns == "real":
            return cls(None, tables.column_names(X), None, missing)
        table = X
        if not _holds_text(X):
            table = as_floats(X, missing)
            check_size(table.shape, 1, "FlowMixture")
        declared = None if isinstance(columns, str) else columns
        kinds = ColumnKinds.of_table(table, declared, sample_weight)
        are_real = all(type(kind) is Real for kind in kinds.kinds)
        names = tables.column_names(X) if are_real else tuple(kinds.names)
        return cls(None if are_real else kinds, names, kinds, missing)

    def encode(self, X, seed: int | None) -> np.ndarray:
        """The table as real numbers, NaN where an entry is missing.

        Args:
          X: the table `[N, D]`.
          seed: of the noise in discrete columns; `None` for the middle of each cell.
        """
        if self.kinds is None:
            rows = as_floats(X, self.missing)
        else:
            rows = self.kinds.encode(X, seed)
            if self.missing == "error":
                check_nothing_missing(rows, self.names)
        check_size(rows.shape, 1, "FlowMixture")
        return rows

    def decode(self, rows: np.ndarray):
        """Rows in the table's own units.

        Args:
          rows: real numbers `[N, D]`.
        """
        return rows if self.kinds is None else self.kinds.decode(rows)

    def log_prob(self, log_prob: Callable, estimator, X, seed: int) -> np.ndarray:
        """The log-density of a table in its own units, `[N]`.

        Args:
          log_prob: of encoded rows.
          estimator: a fitted one, whose columns the table must have.
          X: the table.
          seed: of the draws in the cells of discrete columns.

        Raises:
          ValueError: if it has other columns, or is not finite.
        """
        if self.kinds is None or self.missing == "error":  # which is to be checked
            rows = self.checked(estimator, X)
        if self.kinds is None:
            return log_prob(rows)
        check_features(estimator, X, _width(X))
        estimate, _ = self.kinds.log_prob(log_prob, X, _NUM_DRAWS, seed)
        return np.asarray(estimate)

    def checked(self, estimator, X) -> np.ndarray:
        """A table as real numbers, discrete ones in the middle of their cells.

        Args:
          estimator: a fitted one, whose columns the table must have.
          X: the table.

        Raises:
          ValueError: if it has other columns, or is not finite.
        """
        if self.kinds is not None:
            check_features(estimator, X, _width(X))
            return self.encode(X, None)
        rows = self.encode(X, None)
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
                "`export` writes the flow, which sees encoded columns: it requires "
                "`columns='real'`. `save` writes all of it."
            )


def _holds_text(X) -> bool:
    """Whether entries may be text, which is no error here."""
    if is_table(X):
        return True
    array = np.asarray(X) if not hasattr(X, "toarray") else np.zeros(0)
    return array.dtype.kind in "US" or (
        array.dtype.kind == "O" and any(isinstance(entry, str) for entry in array.ravel())
    )


def _width(X) -> int:
    shape = np.shape(X)
    return int(shape[1]) if len(shape) == 2 else -1
