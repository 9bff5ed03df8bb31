"""Reads and writes the files of a flow model atomically."""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf

from tfp_gmnvp._shared.files import atomic_write, restored_on_error
from tfp_gmnvp.flows.building import build_flow
from tfp_gmnvp.flows.configuration import serialized
from tfp_gmnvp.training.keras_weights import check_written_by, optimizer_variables, tf_variable

__all__ = ["check_keras_file", "compile_config", "read_weights", "rebuilt_arguments", "write_file"]

keras = tf.keras


def rebuilt_arguments(config: dict, custom_objects=None) -> dict:
    """Converts a model's configuration to arguments of its constructor; builds the flow.

    Args:
      config: what `FlowModel.get_config` returned.
      custom_objects: see `keras.Model.from_config`.

    Raises:
      ValueError: if the configuration was written by the other version of Keras.
    """
    config = dict(config)
    if "written_by" in config:  # missing in files of early versions
        check_written_by(config.pop("written_by"))
    with keras.utils.custom_object_scope(custom_objects or {}):
        return {**config, "distribution": build_flow(config["distribution"])}


def compile_config(config: dict | None, model) -> dict | None:
    """The configuration for `compile_from_config`, including the mixture's update.

    Args:
      config: Keras' own configuration; empty for a model that is not compiled.
      model: a `FlowModel`.
    """
    if not config:
        return config
    return {
        **config,
        "mixture_update": serialized("mixture_update", model.mixture_update),
        "label_weight": model.label_weight,
        "jit_compile": model.compiles_by_xla,
    }


def check_keras_file(path: str, arguments: dict) -> None:
    """Raises a `ValueError` unless the file format is Keras' own, which holds a whole model.

    Args:
      path: the path of the file.
      arguments: the other arguments of `keras.Model.save`.

    #### Examples

    >>> check_keras_file("model.keras", {})
    """
    is_keras = path.endswith(".keras") or "://" in path or arguments.get("zipped") is False
    if not is_keras or arguments.get("save_format") not in (None, "keras"):
        raise ValueError(
            f"`filepath` must end in '.keras', got {path!r}: other formats do not hold a flow. For "
            "the weights alone there is `save_weights('... .weights.h5')`, for a SavedModel "
            "`tfp_gmnvp.export_flow(model.flow, path)`."
        )


def write_file(write: Callable, suffix: str, filepath, *args, **kwargs):
    """Lets Keras write a file atomically if it is a single local file.

    Keras writes several files, or remote files, without this function.

    Args:
      write: `save` or `save_weights` of `keras.Model`.
      suffix: the suffix of single files.
      filepath: see `write`.
      *args: see `write`.
      **kwargs: see `write`.
    """
    path = str(filepath)
    is_file = path.endswith(suffix) and "://" not in path and not os.path.isdir(path)
    asks = os.path.exists(path) and not kwargs.get("overwrite", not args or args[0])
    if not is_file or asks or kwargs.get("zipped") is False or kwargs.get("max_shard_size"):
        return write(filepath, *args, **kwargs)
    with atomic_write(path) as new:
        return write(new, *args, **kwargs)


def read_weights(read: Callable, model, filepath, *args, **kwargs):
    """Lets Keras load weights; after an error the model is unchanged.

    Args:
      read: `load_weights` of `keras.Model`.
      model: the model whose weights are loaded.
      filepath: see `read`.
      *args: see `read`.
      **kwargs: see `read`.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if the weights do not match the model.
    """
    optimizer = getattr(model, "optimizer", None)
    of_optimizer = [] if optimizer is None else optimizer_variables(optimizer)
    variables = [*map(tf_variable, model.weights), *of_optimizer]
    with restored_on_error(variables, filepath):
        return read(filepath, *args, **kwargs)
