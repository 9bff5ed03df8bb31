"""Reading and writing a flow model's files: whole or not at all."""

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
    """The arguments of a model's constructor from its configuration, the flow built anew.

    Args:
      config: what `FlowModel.get_config` returned.
      custom_objects: as of `keras.Model.from_config`.

    Raises:
      ValueError: if the other Keras wrote it.
    """
    config = dict(config)
    if "written_by" in config:  # the first versions did not say
        check_written_by(config.pop("written_by"))
    with keras.utils.custom_object_scope(custom_objects or {}):
        return {**config, "distribution": build_flow(config["distribution"])}


def compile_config(config: dict | None, model) -> dict | None:
    """What `compile_from_config` needs, the mixture's update included.

    Args:
      config: what Keras has of it; empty for a model that is not compiled.
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
    """Raises a `ValueError` unless a file is of Keras' own format, which holds all of a model.

    Args:
      path: where the model is to be saved.
      arguments: further ones of `keras.Model.save`.

    #### Examples

    >>> check_keras_file("model.keras", {})
    """
    is_keras = path.endswith(".keras") or "://" in path or arguments.get("zipped") is False
    if not is_keras or arguments.get("save_format") not in (None, "keras"):
        raise ValueError(
            f"`filepath` must end in '.keras', got {path!r}: other formats do not hold a flow. For "
            "the weights alone there is `save_weights('... .weights.h5')`, for a SavedModel "
            "`tfp_gmnvp.export_flow(model.distribution, path)`."
        )


def write_file(write: Callable, suffix: str, filepath, *args, **kwargs):
    """Has Keras write a single local file, which is there whole or not at all.

    What else Keras writes, as several files or on a remote system, it writes by itself.

    Args:
      write: `save` or `save_weights` of `keras.Model`.
      suffix: of single files.
      filepath: as of `write`.
      *args: as of `write`.
      **kwargs: as of `write`.
    """
    path = str(filepath)
    is_file = path.endswith(suffix) and "://" not in path and not os.path.isdir(path)
    asks = os.path.exists(path) and not kwargs.get("overwrite", not args or args[0])
    if not is_file or asks or kwargs.get("zipped") is False or kwargs.get("max_shard_size"):
        return write(filepath, *args, **kwargs)
    with atomic_write(path) as new:
        return write(new, *args, **kwargs)


def read_weights(read: Callable, model, filepath, *args, **kwargs):
    """Has Keras read weights; all of a model's, or none.

    Args:
      read: `load_weights` of `keras.Model`.
      model: whose weights are read.
      filepath: as of `read`.
      *args: as of `read`.
      **kwargs: as of `read`.

    Raises:
      OSError: if the file cannot be read; the model stays as it was.
      ValueError: if the weights are those of another model; it stays as it was, too.
    """
    optimizer = getattr(model, "optimizer", None)
    of_optimizer = [] if optimizer is None else optimizer_variables(optimizer)
    variables = [*map(tf_variable, model.weights), *of_optimizer]
    with restored_on_error(variables, filepath):
        return read(filepath, *args, **kwargs)
