"""Makes `tf.Variable`s weights of Keras models and layers, in Keras 3 and tf_keras."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_gmnvp._compat import shows_in_checkpoint

__all__ = [
    "IS_KERAS_3",
    "KERAS",
    "UpdateState",
    "adopt",
    "check_written_by",
    "keep_constraints",
    "optimizer_variables",
    "set_trainable",
    "tf_variable",
]

keras = tf.keras
IS_KERAS_3 = hasattr(keras, "Variable")
#: What files are marked by, as neither Keras reads those of the other.
KERAS = "Keras 3" if IS_KERAS_3 else "tf_keras"


def adopt(variables: Sequence[tf.Variable]) -> list:
    """Wraps `tf.Variable`s as weights of a Keras model, which share their storage.

    Args:
      variables: `tf.Variable`s.

    Returns:
      A list to be kept as an attribute of the model or layer, which tracks and saves it.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> [weight] = adopt([variable])
    >>> tf_variable(weight) is variable
    True
    """
    if not IS_KERAS_3:  # tf_keras takes plain variables
        return list(variables)
    return [
        keras.Variable(v, trainable=v.trainable, dtype=v.dtype.name, name=_flat(v.name))
        for v in variables
    ]


def check_written_by(other: str) -> None:
    """Raises a `ValueError` if the other Keras wrote a file: it orders weights differently.

    #### Examples

    >>> check_written_by(KERAS)
    """
    if other != KERAS:
        switch = "without" if other == "Keras 3" else "with"
        raise ValueError(
            f"The file was written under {other}, and this is {KERAS}, which cannot read it: load "
            f"it {switch} `TF_USE_LEGACY_KERAS=1`, or take the density over by `export_flow`."
        )


def keep_constraints(weights: Sequence, module: tf.Module) -> None:
    """Copies constraints to weights from the Keras layers that a module calls.

    An optimizer of Keras 3 applies those of the weights that it is given; tf_keras has them in the
    variables.

    Args:
      weights: made by `adopt`.
      module: whose parts may have a `keras_layer`.

    #### Examples

    >>> keep_constraints(adopt([tf.Variable(1.0)]), tf.Module())
    """
    if not IS_KERAS_3:
        return
    layers = [getattr(part, "keras_layer", None) for part in (module, *module.submodules)]
    constraints = {
        weight.value.ref(): weight.constraint
        for layer in layers
        if isinstance(layer, keras.layers.Layer)
        for weight in layer.weights
    }
    for weight in weights:
        weight.constraint = constraints.get(weight.value.ref())


def tf_variable(weight) -> tf.Variable:
    """The `tf.Variable` that a weight made by `adopt` is."""
    return weight if isinstance(weight, tf.Variable) else weight.value


def optimizer_variables(optimizer) -> list[tf.Variable]:
    """The `tf.Variable`s of a built optimizer, without those that it trains.

    #### Examples

    >>> optimizer = tf.keras.optimizers.SGD()
    >>> optimizer.build([])
    >>> [int(v) for v in optimizer_variables(optimizer)][:1]  # the number of its steps
    [0]
    """
    variables = optimizer.variables
    return [tf_variable(v) for v in (variables() if callable(variables) else variables)]


def set_trainable(weight, trainable: bool) -> None:
    """Marks a weight in Keras 3; tf_keras reads the model's `trainable_weights`."""
    if IS_KERAS_3:
        weight.trainable = trainable


def _flat(name):
    return name.split(":")[0].replace("/", "_")


def _values_by_name(state) -> dict:
    return {f"value_{i}": tf_variable(v) for i, v in enumerate(state.state)}


@shows_in_checkpoint(_values_by_name)
class UpdateState(keras.layers.Layer):
    """A layer that holds and saves the state of the mixture's update.

    What was saved of another update is left where it is.

    #### Examples

    >>> len(UpdateState([tf.Variable(0, trainable=False)]).state)
    1
    """

    def __init__(self, variables: Sequence[tf.Variable] = ()):
        """Keeps the variables."""
        super().__init__()
        self.state = adopt(variables)
        self.built = True

    def save_own_variables(self, store):
        """Writes the values to a Keras file."""
        for i, weight in enumerate(self.state):
            store[str(i)] = tf_variable(weight).numpy()

    def load_own_variables(self, store):
        """Reads the values from a Keras file, if it has them."""
        if len(store.keys()) == len(self.state):
            for i, weight in enumerate(self.state):
                tf_variable(weight).assign(store[str(i)])
