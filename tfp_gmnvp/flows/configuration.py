"""Configurations of flows: the arguments that rebuild them, as JSON."""

from __future__ import annotations

import dataclasses
import numbers
import pickle
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors import Affine, RationalQuadratic, Sine, Tails
from tfp_gmnvp.bijectors.images import ChannelActNorm
from tfp_gmnvp.bijectors.standardization import Standardization
from tfp_gmnvp.flows import columns

__all__ = ["flow_arguments", "flow_config", "record_arguments", "restore_data", "serialized"]

keras = tf.keras

for _part in (Affine, RationalQuadratic, Sine):
    keras.utils.register_keras_serializable(package="tfp_gmnvp")(_part)

_INSTEAD = (
    "Save the weights with `save_weights`, and load them into a model that is built by the same "
    "code, or the density with `export_flow`."
)


@dataclasses.dataclass(frozen=True, eq=False)
class _BuiltWith:
    """Hides the arguments from the search of `tf.Module` and checkpoints for variables."""

    arguments: Mapping

    def __getstate__(self):
        """The state for `pickle`, with placeholders for arguments that cannot be pickled."""
        known = {k: v if _can_be_pickled(v) else _Lost(repr(v)) for k, v in self.arguments.items()}
        return {"arguments": known}

    def __setstate__(self, state):
        self.__dict__.update(state)

    def __deepcopy__(self, memo):
        return self


class _Lost(NamedTuple):
    """A placeholder for an argument that could not be pickled."""

    was: str


def _can_be_pickled(value):
    try:
        pickle.dumps(value)
    except Exception:  # objects raise any kind of error
        return False
    return True


def record_arguments(flow, arguments: Mapping):
    """Stores in a flow the arguments that built it; `flow.copy` does not keep them.

    Args:
      flow: what `gaussian_mixture_flow` or `image_flow` is about to return.
      arguments: its arguments by name, and `factory`, the function's name, if that is
        `image_flow`. Instead of the data `standardize`, what was computed from it is stored.

    Returns:
      The flow.
    """
    if arguments["standardize"] is not None:
        arguments = {**arguments, "standardize": _starts(flow)}
    for name in arguments.keys() & {"hidden_units", "image_shape"}:
        arguments[name] = tuple(arguments[name])
    flow._built_with = _BuiltWith(arguments)
    return flow


def restore_data(flow, values: Sequence) -> None:
    """Assigns the variables that start from data, from `standardize` of a `flow_config`.

    Args:
      flow: built from the same config.
      values: of each variable that starts from data.

    #### Examples

    >>> import tfp_gmnvp
    >>> flow, other = (
    ...     tfp_gmnvp.gaussian_mixture_flow(2, standardize=[[0.0, low], [2.0, 30.0]], seed=0)
    ...     for low in (0.0, 10.0)
    ... )
    >>> restore_data(other, flow_config(flow)["standardize"])
    >>> bool(other.log_prob([0.0, 1.0]) == flow.log_prob([0.0, 1.0]))
    True
    """
    for variable, value in zip(_variables_from_data(flow), values, strict=True):
        variable.assign(value)
    flow._built_with = _BuiltWith({**flow._built_with.arguments, "standardize": _starts(flow)})


def _variables_from_data(flow):
    """The variables that a factory, not `fit`, initialises from data."""
    parts = (flow.bijector, *flow.bijector.submodules)
    kinds = (Standardization, Tails, ChannelActNorm)
    return [v for part in parts if isinstance(part, kinds) for v in part.variables]


def _starts(flow):
    """The initial values of the trainable ones; `None` for others, which are read when needed."""
    return [v.numpy() if v.trainable else None for v in _variables_from_data(flow)]


def flow_config(flow) -> dict:
    """Returns the arguments of the function that built a flow, as JSON takes them.

    Args:
      flow: a flow made by `gaussian_mixture_flow` or `image_flow`.

    Returns:
      A dict of numbers, strings, lists and serialised callables.

    Raises:
      ValueError: if another function built the flow, or Keras cannot serialise a callable.

    #### Examples

    >>> import tfp_gmnvp
    >>> config = flow_config(tfp_gmnvp.gaussian_mixture_flow(2, 3, hidden_units=(8,), seed=1))
    >>> config["num_components"], config["hidden_units"], config["dtype"], config["seed"]
    (3, [8], 'float32', [1, 0])
    """
    built_with = getattr(flow, "_built_with", None)
    if built_with is None:
        raise ValueError(
            "This flow's configuration is unknown, as it was not built by "
            f"`gaussian_mixture_flow` or `image_flow`. {_INSTEAD}"
        )
    arguments = dict(built_with.arguments)
    if arguments["standardize"] is not None:
        arguments["standardize"] = [
            variable.numpy() if start is None else start
            for variable, start in zip(
                _variables_from_data(flow), arguments["standardize"], strict=True
            )
        ]
    config = {name: _plain(name, value) for name, value in arguments.items()}
    if any(isinstance(part, Tails) for part in flow.bijector.submodules):
        config["has_tails"] = True
    known = columns.known_columns(flow)
    names = [known.points, known.context]
    return {**config, "columns": _plain("columns", names)} if any(names) else config


def flow_arguments(config: Mapping) -> dict:
    """Converts a `flow_config` to the arguments of the function that builds the flow.

    Args:
      config: what `flow_config` returned.

    Returns:
      The arguments of a flow whose variables do not have their values yet.

    Raises:
      ValueError, TypeError: if Keras does not know a callable; register it with
        `keras.utils.register_keras_serializable` first.

    #### Examples

    >>> arguments = flow_arguments({"event_size": 3, "standardize": True})
    >>> arguments["standardize"].shape
    (1, 3)
    """
    _check_known(config)
    arguments = {
        name: keras.utils.deserialize_keras_object(value) if isinstance(value, dict) else value
        for name, value in config.items()
    }
    shape = config.get("image_shape") or [config["event_size"]]
    stand_in = np.zeros([1, *shape]) if config.get("standardize") else None
    if arguments.pop("has_tails", False):
        stand_in = np.append(np.linspace(-1, 1, 99), 1e6)[:, np.newaxis] * np.ones(shape)
    return {**arguments, "standardize": stand_in}


def _check_known(config):
    """Raises a `ValueError` if a file names an object that is neither Keras' own nor registered.

    tf_keras would import it from any module that the file names.
    """
    if isinstance(config, (list, tuple)):
        for part in config:
            _check_known(part)
    if not isinstance(config, Mapping):
        return
    if "class_name" in config:
        names = [config.get("registered_name"), config.get("config"), config["class_name"]]
        is_registered = any(
            isinstance(name, str) and keras.utils.get_registered_object(name) is not None
            for name in names
        )
        if not is_registered and not _is_of_keras(config.get("module"), config.get("config")):
            raise ValueError(
                f"The file asks for {config.get('module')}.{names[1] or names[2]}, which is "
                "neither Keras' own nor registered, and is not loaded. If you trust it, register "
                "it by `keras.utils.register_keras_serializable` before."
            )
    for part in config.values():
        _check_known(part)


def _is_of_keras(module, name):
    """Whether an object is Keras' own; Keras saves its functions as if they were builtins."""
    if module == "builtins":
        modules = (keras.activations, keras.initializers, keras.regularizers, keras.constraints)
        return any(callable(getattr(of_keras, str(name), None)) for of_keras in modules)
    return str(module).split(".")[0] in ("keras", "tf_keras")


def serialized(name: str, value) -> dict:
    """Serialises an object with Keras, and checks that safe mode can read it.

    Args:
      name: name of the object in errors.
      value: a callable or object that is registered with Keras, or one of Keras' own.

    Returns:
      A dict that JSON takes.

    Raises:
      ValueError: if Keras cannot write or read it.

    #### Examples

    >>> serialized("activation", keras.activations.gelu)["config"]
    'gelu'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about lambdas, which are an error here
            config = keras.utils.serialize_keras_object(value)
        keras.utils.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"`{name}` {value!r} cannot be saved: register it with Keras, by "
            f"`keras.utils.register_keras_serializable`; lambdas cannot be saved. {_INSTEAD}"
        ) from error
    return config


def _plain(name, value):
    if isinstance(value, _Lost):
        raise ValueError(f"`{name}` {value.was} was lost when the flow was pickled. {_INSTEAD}")
    if name == "dtype":
        return tf.as_dtype(value).name
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (tf.Tensor, np.ndarray)):
        return np.asarray(value).tolist()
    if isinstance(value, Sequence):
        return [_plain(name, item) for item in value]
    return _tensorflow_name(value) or serialized(name, value)


def _tensorflow_name(function):
    """Returns the name of a TensorFlow function, as `activation` takes it."""
    name = getattr(function, "__name__", "")
    is_known = any(getattr(module, name, None) is function for module in (tf.nn, tf.math))
    return name if is_known else None
