"""What makes a flow model one that `model.save` and `keras.models.load_model` understand."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp.configuration import flow_config, serialized
from tfp_gmnvp.image_flow import build_flow

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
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model, its variables yet to be loaded, of what `get_config` returned."""
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
        """Saves the model as `keras.Model.save` does.

        Raises:
          ValueError: if the configuration of the flow or of the mixture's update cannot be
            saved; no file is touched then.
        """
        self.get_config()
        self.get_compile_config()
        super().save(filepath, *args, **kwargs)
