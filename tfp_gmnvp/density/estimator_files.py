"""Files of a `FlowMixture`: its parameters, its columns, and what it found."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tfp_gmnvp.density import fit_files
from tfp_gmnvp.density.columns import ColumnKinds
from tfp_gmnvp.density.density_fit import DensityFit
from tfp_gmnvp.density.estimator_columns import EstimatorColumns
from tfp_gmnvp.flows.configuration import serialized

__all__ = ["read", "write"]

keras = tf.keras

_OBJECT, _PAIRS = "__object__", "__pairs__"


def write(path: str | os.PathLike, estimator) -> None:
    """Writes a fitted estimator to one file.

    Args:
      path: of the file.
      estimator: a `FlowMixture`.
    """
    params = estimator.get_params()
    params["random_state"] = estimator._seed
    columns = estimator._columns
    described, names = columns.described, columns.names
    features = getattr(estimator, "feature_names_in_", None)
    state = {
        "params": {name: _plain(name, value) for name, value in params.items()},
        "seed": estimator._seed,
        "num_seen": estimator._num_seen,
        "n_features_in": int(estimator.n_features_in_),
        "feature_names_in": None if features is None else list(features),
        "names": None if names is None else list(names),
        "kinds": None if described is None else _plain("columns", described.get_config()),
        "encodes": columns.kinds is not None,
        "missing": columns.missing,
        "fit": estimator.fit_.get_state(),
    }
    fit_files.write(path, type(estimator).__name__, state, estimator.model_)


def read(path: str | os.PathLike, cls: type):
    """Reads a fitted estimator.

    Args:
      path: of the file.
      cls: `FlowMixture`.
    """
    state, model = fit_files.read(path, cls.__name__)
    estimator = cls(**{name: _restored(value) for name, value in state["params"].items()})
    estimator.fit_ = DensityFit.from_state(state["fit"], model)
    estimator.n_features_in_ = state["n_features_in"]
    if state["feature_names_in"] is not None:
        estimator.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
    names = None if state["names"] is None else tuple(state["names"])
    described = _kinds(state["kinds"])
    kinds = described if state["encodes"] else None
    estimator._columns = EstimatorColumns(kinds, names, described, state["missing"])
    estimator._seed, estimator._num_seen = state["seed"], state["num_seen"]
    return estimator


def _kinds(config):
    if config is None:
        return None
    return ColumnKinds.from_config(_restored(config))


def _plain(name, value):
    """A value as JSON takes it."""
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, dict):
        return {_PAIRS: [[_plain(name, k), _plain(name, v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple, range)):
        return [_plain(name, item) for item in value]
    return {_OBJECT: serialized(name, value)}


def _restored(value):
    """The value of `_plain`; sequences become tuples."""
    if isinstance(value, list):
        return tuple(_restored(item) for item in value)
    if isinstance(value, dict) and _PAIRS in value:
        return {_restored(k): _restored(v) for k, v in value[_PAIRS]}
    if isinstance(value, dict) and _OBJECT in value:
        return keras.utils.deserialize_keras_object(value[_OBJECT], safe_mode=True)
    return value
