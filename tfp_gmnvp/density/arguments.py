"""Checks the arguments of long-running functions before they begin."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks, tables
from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp.bijectors import real_nvp
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow
from tfp_gmnvp.training.data.labels import checked_labels
from tfp_gmnvp.training.progress import check_verbose

__all__ = [
    "check_flow_arguments",
    "check_names",
    "check_settings",
    "checked_component_labels",
    "checked_num_validation",
    "checked_table",
    "checked_weights",
    "numbers_for_labels",
]

_MOST_ROWS_TO_VALIDATE_BY = 10_000
_FEWEST_ROWS_TO_DIVIDE = 20

_NOT_OF_FIT_DENSITY = {
    "event_size": "takes the size of the vectors from x",
    "covariance_type": "tries several: give `covariance_types`, for example `['full']`",
    "rank": "does not try covariances of type 'low_rank', whose rank that is",
    "standardize": "standardises by x as it is",
    "context_size": "fits a density without a context; to have one, train a `FlowModel` over "
    "`gaussian_mixture_flow(..., context_size=...)`",
    "gate_units": "fits a density without a context, and so without a gate",
    "epochs": "counts training steps: give `steps`",
    "batch_size": "chooses the size of its batches by the number of rows",
    "callbacks": "takes no callbacks; `FlowModel.fit` does",
    "validation_data": "sets rows of x aside to validate by: give `validation_fraction`",
    "validation_split": "sets rows of x aside to validate by: give `validation_fraction`",
}


def checked_table(x, *, fewest_rows: int, fewest_columns: int = 1, name: str = "x") -> np.ndarray:
    """Returns the rows as an array, all finite.

    Args:
      x: an array, a list or a table.
      fewest_rows: how many rows it must have.
      fewest_columns: how many columns it must have.
      name: what it is called in errors.

    Returns:
      The array `[N, D]`, as it is.

    Raises:
      TypeError: if it is none, or holds no numbers.
      ValueError: if it is too small, has another rank, or is not finite.

    #### Examples

    >>> checked_table([[0, 1], [2, 3]], fewest_rows=2).shape
    (2, 2)
    """
    x = tables.as_array(x, name)
    if not hasattr(x, "shape"):
        raise TypeError(
            f"`{name}` must be an array or table [N, D], which is read more than once, got "
            f"{type(x).__name__}."
        )
    x = np.asarray(x)
    array_checks.check_dtype(name, x)
    if x.ndim != 2 or len(x) < fewest_rows or x.shape[1] < fewest_columns:
        sizes = f"N >= {fewest_rows}" + (
            f" and D >= {fewest_columns}" if fewest_columns > 1 else ""
        )
        raise ValueError(f"`{name}` must have shape [N, D], {sizes}, got {list(x.shape)}.")
    try:
        array_checks.check_finite(name, x)
    except ValueError as error:
        if np.isnan(x.astype(np.float64)).any():
            hint = "`FlowMixture` and `fit_with_missing` take NaN as a missing entry"
            raise ValueError(f"{str(error).removesuffix('.')}: {hint}.") from None
        raise
    return x


def check_names(
    function: str, given: Iterable[str], known: Iterable[str], instead: Mapping[str, str]
) -> None:
    """Raises a `TypeError` for the first name that is none of a function's arguments.

    Args:
      function: its name.
      given: names of arguments.
      known: those that it has.
      instead: what to say of some that it has not.

    #### Examples

    >>> check_names("fit_density", ["verbos"], ["seed", "verbose"], {})
    Traceback (most recent call last):
    TypeError: `fit_density` has no argument `verbos`: did you mean `verbose`?
    """
    known = list(known)
    for name in given:
        if name in instead:
            raise TypeError(f"`{function}` {instead[name]}, got `{name}`.")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f": did you mean `{near[0]}`?" if near else "."
            raise TypeError(f"`{function}` has no argument `{name}`{hint}")


def check_flow_arguments(
    function: Callable, event_size: int, given: Mapping, defaults: Mapping
) -> None:
    """Raises the error that a flow would be refused by, before there is any.

    Args:
      function: `fit_density`, which passes arguments on to `gaussian_mixture_flow`.
      event_size: D.
      given: those arguments, by name.
      defaults: what stands in for those that are not given.

    Raises:
      TypeError: if there is no argument of a name, or `fit_density` sets it itself.
      ValueError: if an argument is out of its range.
    """
    of_flow = [*inspect.signature(gaussian_mixture_flow).parameters]
    of_bijector = [*inspect.signature(real_nvp).parameters]
    names = [*inspect.signature(function).parameters, *of_flow, *of_bijector]
    known = [name for name in names if not name.endswith("_arguments")]
    check_names(function.__name__, given, known, _NOT_OF_FIT_DENSITY)
    if given:
        flow = gaussian_mixture_flow(event_size, **{**defaults, **given}, seed=0)
        flow.log_prob(tf.zeros([3, event_size], flow.dtype))


def check_settings(settings) -> None:
    """Raises an error if a number of `fit_density` is invalid.

    Args:
      settings: `FitSettings`.

    #### Examples

    >>> from tfp_gmnvp.density.fit_settings import FitSettings
    >>> check_settings(FitSettings(seed=0, steps=0))
    Traceback (most recent call last):
    ValueError: `steps` must be a whole number >= 1, got 0.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    check_whole_number("steps", settings.steps)
    check_whole_number("seed", settings.seed, 0)
    check_verbose(settings.verbose)
    if rate is not None:
        check_number("learning_rate", rate, lambda rate: rate > 0, "be above zero")
    if decay is not None:
        check_number("weight_decay", decay, lambda decay: decay >= 0, "not be negative")


def checked_weights(sample_weight, num_rows: int, fewest_rows: int) -> np.ndarray | None:
    """Returns weights as an array `[N]` in float64, or `None` as it is.

    Args:
      sample_weight: weights `[N]`, or `None`.
      num_rows: N.
      fewest_rows: how many weights must be above zero.

    Raises:
      ValueError: if there is not one weight for each row, a weight is negative, or too few are
        above zero.

    #### Examples

    >>> checked_weights([1, 2], 2, fewest_rows=1).tolist()
    [1.0, 2.0]
    """
    if sample_weight is None:
        return None
    weight = np.asarray(tables.as_array(sample_weight, "sample_weight"))
    array_checks.check_weights(weight, num_rows)
    array_checks.check_some_weight(weight)
    weight = weight.reshape(-1).astype(np.float64)
    if (weight > 0).sum() < fewest_rows:
        raise ValueError(
            f"`sample_weight` must be above zero for at least {fewest_rows} rows, got "
            f"{(weight > 0).sum()}."
        )
    return weight


def checked_component_labels(y, num_rows: int) -> np.ndarray | None:
    """Returns labels as an integer array `[N]`, or `None` where no row has one.

    Args:
      y: whole numbers `[N]`, -1 where there is no label, or `None`.
      num_rows: N.

    Raises:
      ValueError: if there is not one for each row, or one is below -1.
      TypeError: if they are not whole numbers.

    #### Examples

    >>> checked_component_labels([0, -1], 2).tolist()
    [0, -1]
    """
    if y is None:
        return None
    y = checked_labels(np.asarray(tables.as_array(y, "y")), num_rows, num_rows)
    return y if np.any(y >= 0) else None


def numbers_for_labels(num_components: list[int], y: np.ndarray | None) -> list[int]:
    """The numbers of components that hold all labels.

    Args:
      num_components: ascending.
      y: labels `[N]`, or `None`.

    Raises:
      ValueError: if there is none.

    #### Examples

    >>> numbers_for_labels([1, 2, 3], np.array([1, -1]))
    [2, 3]
    """
    fewest = 1 if y is None else int(y.max()) + 1
    enough = [number for number in num_components if number >= fewest]
    if not enough:
        raise ValueError(
            f"`y` must hold numbers of components, 0 .. {num_components[-1] - 1}, or -1, got "
            f"{fewest - 1}: give `num_components` up to {fewest} or more."
        )
    return enough


def checked_num_validation(num_rows: int, validation_fraction: float, num_components: int) -> int:
    """Number of validation rows: at least two, with enough rows left for the mixture.

    Of fewer than 20 rows none are set aside: no flow is trained on so few.

    Args:
      num_rows: N.
      validation_fraction: in (0, 1).
      num_components: of the largest mixture.

    Raises:
      ValueError: if the fraction leaves too few rows to train on.

    #### Examples

    >>> checked_num_validation(100, 0.2, num_components=3)
    20
    """
    within = "be in (0, 1)"
    check_number("validation_fraction", validation_fraction, lambda part: 0 < part < 1, within)
    if num_rows < _FEWEST_ROWS_TO_DIVIDE:
        return 0
    number = min(max(2, round(validation_fraction * num_rows)), _MOST_ROWS_TO_VALIDATE_BY)
    fewest = max(2, num_components)
    if num_rows - number < fewest:
        raise ValueError(
            f"`validation_fraction` must leave at least {fewest} of the {num_rows} rows to train "
            f"on, got {validation_fraction!r}."
        )
    return number
