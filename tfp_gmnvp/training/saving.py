"""What makes a flow model one that `model.save` and `keras.models.load_model` understand."""

from __future__ import annotations

import os

import tensorflow as tf

from tfp_gmnvp._shared.files import atomic_write, restored_on_error
from tfp_gmnvp.flows.configuration import flow_config, serialized
from tfp_gmnvp.flows.image_flow import build_flow
from tfp_gmnvp.training.keras_weights import KERAS, check_written_by, tf_variable

__all__ = ["SavedByConfiguration"]

keras = tf.keras


class SavedByConfiguration:
    """The part of `FlowModel` that writes its configuration, and builds a model from one.

    It stands before `keras.Model` among the bases of a class, which has a `distribution` made by
    `gaussian_mixture_flow`, and arguments as `FlowModel` has them.
    """

    def get_config(self) -> dict:
        """What `from_config` builds the model of.

        Raises:
          ValueError: if the flow was not built by `gaussian_mixture_flow`, or of callables that
            Keras cannot serialise.
        """
        return {
            "distribution": flow_config(self.distribution),
            "initialize": self._initialize,
            "n_init": self._n_init,
            "seed": self._seed.numpy().tolist(),
            "name": self.name,
            "written_by": KERAS,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model, its variables yet to be loaded, of what `get_config` returned.

        Raises:
          ValueError: if it was the other Keras' `get_config`.
        """
        check_written_by(config.get("written_by", KERAS))  # versions before did not say
        config = {name: value for name, value in config.items() if name != "written_by"}
        with keras.utils.custom_object_scope(custom_objects or {}):
            flow = build_flow(config["distribution"])
        return cls(**{**config, "distribution": flow})

    def get_compile_config(self) -> dict | None:
        """What `compile_from_config` compiles the model by, the mixture's update included."""
        config = super().get_compile_config()
        if not config:  # not compiled
            return config
        update = serialized("mixture_update", self.mixture_update)
        return {
            **config,
            "mixture_update": update,
            "label_weight": self.label_weight,
            "jit_compile": self.compiles_by_xla,
        }

    def compile_from_config(self, config) -> None:
        """Compiles the model as `get_compile_config` said."""
        self.compile(**keras.utils.deserialize_keras_object(config))

    def save(self, filepath, *args, **kwargs) -> None:
        """Saves the model as `keras.Model.save` does; a file is there whole or not at all.

        Raises:
          ValueError: if the configuration of the flow or of the mixture's update cannot be
            saved, or in another format than `.keras`; no file is touched then.
        """
        _check_format(str(filepath), kwargs)
        self.get_config()
        self.get_compile_config()
        self._write(super().save, ".keras", filepath, *args, **kwargs)

    def export(self, *args, **kwargs) -> None:
        """Raises a `NotImplementedError` that names `export_flow`."""
        raise NotImplementedError(
            "A `FlowModel` is exported by `tfp_gmnvp.export_flow(model.distribution, path)`, as a "
            "SavedModel with the density, its posterior and samples, or by `tfp_gmnvp.to_tflite`."
        )

    def save_weights(self, filepath, *args, **kwargs):
        """As of `keras.Model.save_weights`; a file is there whole or not at all."""
        return self._write(super().save_weights, ".h5", filepath, *args, **kwargs)

    def load_weights(self, filepath, *args, **kwargs):
        """As of `keras.Model.load_weights`, but all weights or none.

        Raises:
          OSError: if the file cannot be read; the model stays as it was.
          ValueError: if the weights are those of another model; it stays as it was, too.
        """
        of_optimizer = getattr(getattr(self, "optimizer", None), "variables", ())
        of_optimizer = of_optimizer() if callable(of_optimizer) else of_optimizer
        variables = [tf_variable(weight) for weight in (*self.weights, *of_optimizer)]
        with restored_on_error(variables, filepath):
            return super().load_weights(filepath, *args, **kwargs)

    def _write(self, write, suffix, filepath, *args, **kwargs):
        """Writes a single local file by way of another; what else Keras writes, as it does."""
        path = str(filepath)
        is_file = path.endswith(suffix) and "://" not in path and not os.path.isdir(path)
        asks = os.path.exists(path) and not kwargs.get("overwrite", not args or args[0])
        if not is_file or asks or kwargs.get("zipped") is False or kwargs.get("max_shard_size"):
            return write(filepath, *args, **kwargs)
        with atomic_write(path) as new:
            return write(new, *args, **kwargs)


def _check_format(path, arguments):
    """Raises a `ValueError` unless this is Keras' own format, the one that holds all of a model."""
    is_keras = path.endswith(".keras") or "://" in path or arguments.get("zipped") is False
    if not is_keras or arguments.get("save_format") not in (None, "keras"):
        raise ValueError(
            f"`filepath` must end in '.keras', got {path!r}: other formats do not hold a flow. For "
            "the weights alone there is `save_weights('... .weights.h5')`, for a SavedModel "
            "`tfp_gmnvp.export_flow(model.distribution, path)`."
        )
