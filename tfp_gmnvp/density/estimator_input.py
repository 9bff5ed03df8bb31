"""Checks of `X` as scikit-learn words them, for an estimator that does without scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.tables import is_table

__all__ = [
    "as_floats",
    "check_features",
    "check_nothing_missing",
    "check_size",
    "feature_names",
    "remember_features",
]

_MOST_NAMES = 5


def as_floats(X, missing: str = "error", *, name: str = "X") -> np.ndarray:
    """Returns a table as an array in float64.

    Args:
      X: an array, a list or a table `[N, D]`.
      missing: 'allow' or 'error', for NaN.
      name: its name in errors.

    Returns:
      A float64 array `[N, D]`.

    Raises:
      TypeError: if it is sparse, or does not hold numbers.
      ValueError: if it is complex, has another rank, or holds infinity, or NaN that is an error.

    #### Examples

    >>> as_floats([[0, 1]]).tolist()
    [[0.0, 1.0]]
    """
    if hasattr(X, "toarray"):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. Use "
            f"`{name}.toarray()` to convert it to a dense array."
        )
    names = feature_names(X)
    array = np.asarray(tables.as_array(X, name))
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported, got dtype {array.dtype} for {name}.")
    array = array.astype(np.float64)
    if array.ndim != 2:
        raise ValueError(_of_rank(array.ndim, name))
    present = np.where(np.isnan(array), 0.0, array) if missing == "allow" else array
    check_nothing_missing(present, names, name)
    return array


def check_nothing_missing(array: np.ndarray, names: Sequence | None, name: str = "X") -> None:
    """Raises a `ValueError` that names the first entry that is NaN or infinite.

    Args:
      array: `[N, D]`.
      names: of the columns, or `None` for their numbers.
      name: of the array in errors.

    #### Examples

    >>> check_nothing_missing(np.array([[0.0, np.nan]]), ("a", "b"))
    Traceback (most recent call last):
    ValueError: Input X contains NaN: the first in row 0, column 'b'.
    """
    is_finite = np.isfinite(array)
    if is_finite.all():
        return
    row, column = np.argwhere(~is_finite)[0]
    what = "NaN" if np.isnan(array[row, column]) else "infinity"
    column = column if names is None else repr(names[column])
    raise ValueError(f"Input {name} contains {what}: the first in row {row}, column {column}.")


def _of_rank(rank, name):
    got = {0: "scalar array", 1: "1D array"}.get(rank, f"{rank}D array")
    return (
        f"Expected 2D array for {name}, got {got} instead. Reshape your data either using "
        "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it "
        "contains a single sample."
    )


def check_size(shape: tuple[int, int], fewest_rows: int, estimator: str) -> None:
    """Raises a `ValueError` if there are too few rows, or no columns.

    Args:
      shape: `[N, D]`.
      fewest_rows: how many there must be.
      estimator: its name.

    #### Examples

    >>> check_size((1, 3), 2, "FlowMixture")
    Traceback (most recent call last):
    ValueError: Found array with 1 sample(s) (shape=(1, 3)) while a minimum of 2 is required by ...
    """
    for size, fewest, what in ((shape[1], 1, "feature"), (shape[0], fewest_rows, "sample")):
        if size < fewest:
            raise ValueError(
                f"Found array with {size} {what}(s) (shape={tuple(shape)}) while a minimum of "
                f"{fewest} is required by {estimator}."
            )


def feature_names(X) -> np.ndarray | None:
    """The names of a table's columns if they are strings; `None` for anything else.

    Raises:
      TypeError: if only some are strings.

    #### Examples

    >>> feature_names(np.zeros([2, 2])) is None
    True
    """
    if not is_table(X):
        return None
    names = list(X.columns)
    are_strings = [isinstance(name, str) for name in names]
    if not names or not any(are_strings):
        return None
    if not all(are_strings):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {kinds} as column name types. Convert them by `X.columns = "
            "X.columns.astype(str)`."
        )
    return np.array(names, dtype=object)


def remember_features(estimator, X, num_features: int) -> None:
    """Stores `n_features_in_`, and `feature_names_in_` of a table with names.

    Args:
      estimator: that is being fitted.
      X: the data.
      num_features: D.
    """
    names = feature_names(X)
    estimator.n_features_in_ = num_features
    if names is not None:
        estimator.feature_names_in_ = names
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check_features(estimator, X, num_features: int) -> None:
    """Compares a table with the one that an estimator was fitted to.

    Args:
      estimator: a fitted one.
      X: the data.
      num_features: D.

    Raises:
      ValueError: if it has other columns, or in another order.

    Warns:
      UserWarning: if only one of the two has names.
    """
    kind = type(estimator).__name__
    names, known = feature_names(X), getattr(estimator, "feature_names_in_", None)
    if names is None and known is not None:
        _warn(f"X does not have valid feature names, but {kind} was fitted with feature names")
    elif names is not None and known is None:
        _warn(f"X has feature names, but {kind} was fitted without feature names")
    elif names is not None and list(names) != list(known):
        raise ValueError(_of_names(names, known))
    if num_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {num_features} features, but {kind} is expecting "
            f"{estimator.n_features_in_} features as input."
        )


def _warn(message):
    warnings.warn(message, UserWarning, stacklevel=5)


def _of_names(names: Sequence[str], known: Sequence[str]) -> str:
    unseen, missing = sorted(set(names) - set(known)), sorted(set(known) - set(names))
    lines = ["The feature names should match those that were passed during fit."]
    if unseen:
        lines += ["Feature names unseen at fit time:", *_listed(unseen)]
    if missing:
        lines += ["Feature names seen at fit time, yet now missing:", *_listed(missing)]
    if not (unseen or missing):
        lines.append("Feature names must be in the same order as they were in fit.")
    return "\n".join(lines) + "\n"


def _listed(names):
    more = ["- ..."] if len(names) > _MOST_NAMES else []
    return [f"- {name}" for name in names[:_MOST_NAMES]] + more
