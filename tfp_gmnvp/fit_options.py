"""Options of `fit` that another function passes on, checked before any work is done."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import tensorflow as tf

from tfp_gmnvp.argument_checks import did_you_mean

__all__ = ["check_fit_options"]

_INSTEAD = {
    "y": "labels would fix the number of components",
    "sample_weight": "the criteria count all rows alike",
    "class_weight": "the criteria count all rows alike",
    "validation_split": "give `validation_data`, or choose by `criterion='held_out'`",
    "shuffle": "rows are shuffled by `seed`",
}


def check_fit_options(options: Mapping) -> None:
    """Raises an error if `fit` has no such option, or it cannot be passed on.

    Args:
      options: arguments of `select_components` that are for `FlowModel.fit`, by name.

    Raises:
      TypeError: if `fit` does not know one.
      ValueError: if one goes with an array of rows, and is not `None`.

    #### Examples

    >>> check_fit_options({"validation_freq": 2})
    """
    known = [*inspect.signature(tf.keras.Model.fit).parameters][2:]  # after `self` and `x`
    for name, value in options.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"`select_components` and `fit` have no argument `{name}`.{hint}")
        if name in _INSTEAD and value is not None:
            raise ValueError(f"`{name}` is not for `select_components`: {_INSTEAD[name]}.")
