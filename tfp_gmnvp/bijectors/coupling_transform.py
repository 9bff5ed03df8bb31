"""The interface of the elementwise transforms in couplings."""

from __future__ import annotations

import abc
import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import forward_and_log_det, inverse_and_log_det

__all__ = ["CouplingTransform"]

tfb = tfp.bijectors


class CouplingTransform(abc.ABC):
    """A family of elementwise bijectors, whose parameters are a conditioner's output.

    A subclass is a frozen dataclass, whose fields are its settings. It is the identity where all
    parameters are zero, so that a flow starts as the identity. Register your own with Keras, so
    that a `.keras` file can hold it.

    #### Examples

    >>> @dataclasses.dataclass(frozen=True)
    ... class Shift(CouplingTransform):
    ...     "Volume-preserving couplings (Dinh, Krueger and Bengio 2015)."
    ...     num_parameters = 1
    ...
    ...     def __call__(self, parameters):
    ...         return tfb.Shift(parameters)
    >>> Shift()(tf.constant([1.0, 2.0])).forward([5.0, 5.0]).numpy().tolist()
    [6.0, 7.0]
    """

    @property
    @abc.abstractmethod
    def num_parameters(self) -> int:
        """The number of parameters per entry."""

    @abc.abstractmethod
    def __call__(self, parameters: tf.Tensor) -> tfb.Bijector:
        """The bijector of parameters `[..., m * num_parameters]`, which takes `[..., m]`."""

    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> tuple:
        """Returns y and log|det dy/dx|, `[...]`, of vectors x `[..., m]`.

        A subclass can override it, and `inverse_and_log_det`, by plain functions of tensors: in
        eager mode a `tfb.Bijector` takes milliseconds to make and to call.
        """
        return forward_and_log_det(self(parameters), x)

    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> tuple:
        """Returns x and log|det dx/dy|, `[...]`, of vectors y `[..., m]`."""
        return inverse_and_log_det(self(parameters), y)

    def get_config(self) -> dict:
        """Returns the settings, as `from_config` takes them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> CouplingTransform:
        """Builds the object from what `get_config` returned."""
        return cls(**config)
