"""The parameters of `FlowMixture`, as settings of a fit."""

from __future__ import annotations

import numbers

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_choice, check_whole_number
from tfp_gmnvp.density.fit_settings import FitSettings

__all__ = ["check_rows_for_components", "fit_settings", "flow_options", "whole_seed"]

_FLOW_OPTIONS = (
    *("num_couplings", "hidden_units", "activation", "normalization", "mixing"),
    *("conditioner", "dropout", "l2"),
)


def fit_settings(estimator, seed: int) -> FitSettings:
    """Checks the parameters that choose, and returns them as settings.

    Args:
      estimator: a `FlowMixture`.
      seed: of everything.

    Raises:
      ValueError: if one is out of range.
    """
    check_choice("missing", estimator.missing, ["allow", "error"])
    names = ("validation_fraction", "steps", "learning_rate", "weight_decay", "verbose")
    settings = FitSettings(seed, **{name: getattr(estimator, name) for name in names})
    number, kind = estimator.n_components, estimator.covariance_type
    if _is_number(number):
        check_whole_number("n_components", number)
        settings = settings._replace(num_components=(int(number),), points_each=1)
    elif isinstance(number, str):
        check_choice("n_components", number, ["auto"])
    else:
        settings = settings._replace(num_components=number)
    if isinstance(kind, str) and kind != "auto":
        check_choice("covariance_type", kind, ["auto", "full", "tied", "diag", "spherical"])
        kind = [kind]
    return settings if isinstance(kind, str) else settings._replace(covariance_types=kind)


def flow_options(estimator) -> dict:
    """The arguments of `gaussian_mixture_flow` that differ from what suits the rows.

    Args:
      estimator: a `FlowMixture`.
    """
    options = {name: getattr(estimator, name) for name in _FLOW_OPTIONS}
    options = {name: value for name, value in options.items() if value is not None}
    return {"dtype": estimator.dtype, "coupling": estimator.coupling, **options}


def check_rows_for_components(estimator, num_rows: int) -> None:
    """Raises a `ValueError` if there are fewer rows than components.

    Args:
      estimator: a `FlowMixture`.
      num_rows: N, without those of weight zero.
    """
    number = estimator.n_components
    if num_rows < 2:
        raise ValueError(
            f"Found array with {num_rows} sample(s) while a minimum of 2 is required by "
            f"{type(estimator).__name__}."
        )
    if _is_number(number) and num_rows < number:
        raise ValueError(
            f"Expected n_samples >= n_components but got n_components = {number}, n_samples = "
            f"{num_rows}."
        )


def whole_seed(random_state) -> int:
    """A whole number to seed everything by.

    Args:
      random_state: whole number, NumPy generator of either kind, or `None` to draw one.

    Raises:
      ValueError: if it is none of these.

    #### Examples

    >>> whole_seed(7)
    7
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        check_whole_number("random_state", random_state, 0)
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise ValueError(
        f"`random_state` must be a whole number, a NumPy generator or `None`, got {random_state!r}."
    )


def _is_number(value):
    return isinstance(value, numbers.Number) and not tf.is_tensor(value)
