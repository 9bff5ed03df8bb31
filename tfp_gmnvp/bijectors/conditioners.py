"""Networks from the half that stands still to the parameters of the half that moves."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.seeds import stateless_seed

__all__ = ["MLP", "TrackedConditioner"]

_TRUNCATED_STDDEV = 0.8796256610342398  # of a standard normal that is cut off at +-2


class MLP(tf.Module):
    """A multilayer perceptron of plain `tf.Variable`s whose last layer starts at zero.

    So a coupling that it conditions starts as the identity. Hidden kernels start from the
    truncated normal of variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, eq. 10).

    #### Examples

    >>> mlp = MLP(3, 4, hidden_units=(16, 16), seed=0)
    >>> mlp(tf.ones([5, 3])).shape.as_list(), mlp(tf.ones([3])).shape.as_list()
    ([5, 4], [4])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        hidden_units: Sequence[int] = (64, 64),
        activation: str | Callable = "silu",
        dtype=tf.float32,
        seed=None,
        name: str = "mlp",
    ):
        """Builds the network.

        Args:
          input_size: size of the input's last axis.
          output_size: size of the output's last axis.
          hidden_units: widths of the hidden layers, possibly none.
          activation: a callable, or a name in `tf.nn` or `tf.math`.
          dtype: float dtype of the variables.
          seed: integer or stateless seed `[2]`; `None` draws one.
          name: prefix of the variables' names.

        Raises:
          ValueError: if `activation` names nothing, or a size is not positive.
        """
        super().__init__(name=name)
        self._activation = _activation(activation)
        self._dtype = tf.as_dtype(dtype)
        sizes = [input_size, *hidden_units, output_size]
        for size in sizes:
            if not isinstance(size, numbers.Integral) or size < 1:
                raise ValueError(
                    "`input_size`, `hidden_units` and `output_size` must be whole numbers >= 1, "
                    f"got {sizes}."
                )
        seeds = tfp.random.split_seed(stateless_seed(seed), n=len(sizes))
        kernels = [
            _he_normal(shape, dtype, layer_seed)
            for shape, layer_seed in zip(itertools.pairwise(sizes[:-1]), seeds, strict=False)
        ]
        kernels.append(tf.zeros(sizes[-2:], dtype))
        self._shapes = [shape for kernel in kernels for shape in (kernel.shape, kernel.shape[1:])]
        values = [value for kernel in kernels for value in (kernel, tf.zeros_like(kernel[0]))]
        with self.name_scope:
            self.parameters = tf.Variable(_flat(values), name="parameters")

    @property
    def kernels(self) -> list[tf.Tensor]:
        """The layers' kernels `[fan_in, fan_out]` as they are now."""
        return self._layers()[0::2]

    @property
    def biases(self) -> list[tf.Tensor]:
        """The layers' biases `[fan_out]` as they are now."""
        return self._layers()[1::2]

    def _layers(self):
        parts = tf.split(self.parameters, [shape.num_elements() for shape in self._shapes])
        return [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the variables, and of the inputs they expect."""
        return self._dtype

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[..., input_size]` to `[..., output_size]`."""
        return _on_matrices(self._dense_layers, inputs)

    def _dense_layers(self, hidden):
        layers = self._layers()
        *hidden_layers, last = zip(layers[0::2], layers[1::2], strict=True)
        for kernel, bias in hidden_layers:
            hidden = self._activation(tf.nn.bias_add(hidden @ kernel, bias))
        kernel, bias = last
        return tf.nn.bias_add(hidden @ kernel, bias)


class TrackedConditioner(tf.Module):
    """Any callable as a conditioner, with its variables where `tf.Module` finds them.

    The callable is called once on zeros, which lets a Keras layer build itself, and traced once,
    which tells the variables that it reads, wherever it keeps them.

    #### Examples

    >>> import keras
    >>> conditioner = TrackedConditioner(keras.layers.Dense(4), 3, 4)
    >>> [list(v.shape) for v in conditioner.trainable_variables]
    [[3, 4], [4]]
    """

    def __init__(
        self, function: Callable, input_size: int, output_size: int, *, dtype=tf.float32, name=None
    ):
        """Wraps `function`.

        Args:
          function: maps a tensor `[N, input_size]` to a tensor `[N, output_size]`.
          input_size: size of the input's last axis.
          output_size: size of the output's last axis.
          dtype: float dtype of the input and output.
          name: name of the module.

        Raises:
          TypeError: if `function` is not callable, or returns another dtype.
          ValueError: if `function` returns another shape.
        """
        super().__init__(name=name or "conditioner")
        if not callable(function):
            raise TypeError(f"A conditioner must be callable, got {function!r}.")
        self._function = function
        with tf.init_scope():
            output = tf.convert_to_tensor(function(tf.zeros([1, input_size], dtype)))
            trace = tf.function(function, autograph=False).get_concrete_function(
                tf.TensorSpec([None, input_size], dtype)
            )
        if output.shape != [1, output_size]:
            raise ValueError(
                f"The conditioner must map [1, {input_size}] to [1, {output_size}], "
                f"but it returned {output.shape.as_list()}."
            )
        if output.dtype != dtype:
            raise TypeError(
                f"The conditioner must return {tf.as_dtype(dtype).name}, got {output.dtype.name}."
            )
        self._read_variables = _in_order_of_use(trace.graph)

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[..., input_size]` to `[..., output_size]`."""
        return _on_matrices(self._function, inputs)


def _on_matrices(function, inputs):
    """Applies `function`, which takes matrices, to a tensor of any rank >= 1."""
    if inputs.shape.rank == 2:
        return function(inputs)
    outputs = function(tf.reshape(inputs, [-1, inputs.shape[-1]]))
    shape = tf.concat([tf.shape(inputs)[:-1], tf.shape(outputs)[-1:]], axis=0)
    return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape[:-1] + outputs.shape[-1:])


def _flat(tensors):
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def _in_order_of_use(graph):
    position = {id(handle): i for i, (handle, _) in enumerate(graph.captures)}
    return sorted(graph.variables, key=lambda variable: position[id(variable.handle)])


def _activation(activation):
    if callable(activation):
        return activation
    for namespace in (tf.nn, tf.math):
        if isinstance(activation, str) and callable(getattr(namespace, activation, None)):
            return getattr(namespace, activation)
    raise ValueError(
        "`activation` must be a callable or a name in `tf.nn` or `tf.math` such as 'relu' or "
        f"'tanh', got {activation!r}."
    )


def _he_normal(shape, dtype, seed):
    stddev = (2.0 / shape[0]) ** 0.5 / _TRUNCATED_STDDEV
    return tf.cast(stddev, dtype) * tf.random.stateless_truncated_normal(shape, seed, dtype=dtype)
