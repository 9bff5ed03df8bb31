"""Multilayer perceptrons as conditioners, and wrappers of users' own."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import custom_gradient, is_compiled_for_cpu, unfused
from tfp_gmnvp._shared.arguments import as_sizes, check_number, check_whole_number
from tfp_gmnvp._shared.seeds import RNG, stateless_seed
from tfp_gmnvp.bijectors.context import join_context
from tfp_gmnvp.bijectors.networks.activations import Sine, as_activation
from tfp_gmnvp.bijectors.networks.keras_conditioners import (
    as_keras_layer,
    check_keras_layer,
    regularization,
)

__all__ = ["MLP", "TrackedConditioner", "penalty", "uses_dropout"]

_NARROW = 2  # columns of a kernel
_TRUNCATED_STDDEV = 0.8796256610342398  # of a standard normal truncated at +-2


class MLP(tf.Module):
    """A multilayer perceptron of plain `tf.Variable`s whose last layer starts at zero.

    So a coupling that it conditions starts as the identity. Hidden kernels start from the
    truncated normal of variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, eq. 10).
    Those of sines are larger by a gain, and their first biases are phases; see `Sine`.

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
        dropout: float = 0.0,
        l2: float = 0.0,
        context_size: int = 0,
        dtype=tf.float32,
        seed=None,
        name: str = "mlp",
    ):
        """Builds the network.

        Args:
          input_size: size of the input's last axis; it may be 0 if there is a context.
          output_size: size of the output's last axis.
          hidden_units: widths of the hidden layers, possibly none.
          activation: a callable, such as a `Sine`, "sine", or a name in `tf.nn` or `tf.math`.
          dropout: share of each hidden layer's units that a call with a `dropout_seed` drops.
          l2: weight of the sum of the kernels' squares in `penalty`.
          context_size: size C of the context that is read together with the input; 0 for none.
          dtype: float dtype of the variables.
          seed: integer or stateless seed `[2]`; `None` draws one.
          name: prefix of the variables' names.

        Raises:
          ValueError: if `activation` names nothing, a size is not positive, `dropout` is not in
            [0, 1), or `l2` is negative.
        """
        super().__init__(name=name)
        check_number("dropout", dropout, lambda share: 0 <= share < 1, "be in [0, 1)")
        check_number("l2", l2, lambda weight: weight >= 0, "not be negative")
        self.dropout, self.l2, self.context_size = dropout, l2, context_size
        self._activation = as_activation(activation)
        self._dtype = tf.as_dtype(dtype)
        check_whole_number("input_size", input_size, 0 if context_size else 1)
        check_whole_number("output_size", output_size)
        sizes = [input_size, *as_sizes("hidden_units", hidden_units), output_size]
        sizes[0] += context_size
        seeds = tfp.random.split_seed(stateless_seed(seed), n=len(sizes))
        self._salt = seeds[-1][0]
        values = self._initial_values(list(itertools.pairwise(sizes)), seeds)
        self._shapes = [value.shape for value in values]
        with self.name_scope:
            self.parameters = tf.Variable(_flat(values), name="parameters")

    def _initial_values(self, shapes, seeds):
        """Kernels and biases in turn."""
        is_sine = isinstance(self._activation, Sine)
        gain = self._activation.gain if is_sine else 1.0
        values = []
        for layer, (shape, seed) in enumerate(zip(shapes, seeds, strict=False)):
            is_zero = self._starts_at_zero(layer, len(shapes))
            kernel = (
                tf.zeros(shape, self._dtype) if is_zero else _he_normal(shape, self._dtype, seed)
            )
            values += [gain * kernel, tf.zeros(shape[1:], self._dtype)]
        if is_sine and len(shapes) > 1:
            values[1] = _phases(shapes[0][1:], self._dtype, seeds[0])
        return values

    @property
    def kernels(self) -> list[tf.Tensor]:
        """The current kernels of the layers, `[fan_in, fan_out]`."""
        return self._layers()[0::2]

    @property
    def biases(self) -> list[tf.Tensor]:
        """The current biases of the layers, `[fan_out]`."""
        return self._layers()[1::2]

    def _layers(self):
        parts = tf.split(self.parameters, [shape.num_elements() for shape in self._shapes])
        return [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the variables, and of the inputs they expect."""
        return self._dtype

    def __call__(
        self,
        inputs: tf.Tensor,
        *,
        context: tf.Tensor | None = None,
        dropout_seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Maps `[..., input_size]` to `[..., output_size]`.

        Args:
          inputs: `[..., input_size]`.
          context: `[..., C]`, or `None` if C is 0.
          dropout_seed: stateless seed `[2]` of the units to drop; `None` for none, as
            everywhere except in training.
        """
        if dropout_seed is not None:
            dropout_seed = tf.random.experimental.stateless_fold_in(dropout_seed, self._salt)
        network = functools.partial(self._network, dropout_seed=dropout_seed)
        return _on_matrices(network, join_context(inputs, context, self.context_size))

    def _starts_at_zero(self, layer, num_layers):
        return layer == num_layers - 1

    def _network(self, hidden, dropout_seed):
        *hidden_layers, last = zip(self.kernels, self.biases, strict=True)
        for number, layer in enumerate(hidden_layers):
            hidden = self._activated(dense(hidden, layer), number, dropout_seed)
        return dense(hidden, last)

    def _activated(self, hidden, layer, dropout_seed):
        hidden = self._activation(hidden)
        if dropout_seed is None or not self.dropout:
            return hidden
        seed = tf.random.experimental.stateless_fold_in(dropout_seed, layer)
        return tf.nn.experimental.stateless_dropout(hidden, self.dropout, seed, rng_alg=RNG)


def dense(hidden: tf.Tensor, layer: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Evaluates a dense layer, with output `[N, fan_out]`.

    XLA multiplies a kernel of one or two columns, as in affine couplings of two dimensions, column
    by column. It compiles the products with a narrow matrix in the backward pass to slow loops, but
    fuses products with a column into the operations around them.
    """
    kernel, bias = layer
    if not is_compiled_for_cpu():
        return tf.nn.bias_add(hidden @ kernel, bias)
    num_columns = kernel.shape[1]
    columns = tf.split(kernel, num_columns, axis=1) if num_columns <= _NARROW else [kernel]
    products = [_product_for_xla(hidden, column) for column in columns]
    return tf.nn.bias_add(tf.concat(products, axis=-1), bias)


@custom_gradient
def _product_for_xla(hidden, kernel):
    """A product of matrices whose gradient is fast under XLA on CPU.

    XLA's product takes up to four times as long where the left matrix is transposed. Here the
    smaller of the two matrices is transposed beforehand.
    """

    def gradient(upstream):
        of_hidden = tf.matmul(upstream, kernel, transpose_b=True)
        if upstream.shape[-1] < hidden.shape[-1]:
            of_kernel = unfused(tf.transpose(upstream)) @ hidden
            return of_hidden, tf.transpose(unfused(of_kernel))
        return of_hidden, unfused(tf.transpose(hidden)) @ upstream

    return hidden @ kernel, gradient


def uses_dropout(module: tf.Module) -> bool:
    """Whether a network in a bijector uses dropout in training.

    #### Examples

    >>> uses_dropout(MLP(2, 2)), uses_dropout(MLP(2, 2, dropout=0.1))
    (False, True)
    """
    return any(network.dropout > 0 for network in _networks(module))


def penalty(module: tf.Module) -> tf.Tensor | float:
    """The regularization loss of a bijector's networks.

    It is the sum of `l2` times the squared kernels, plus the losses of the regularizers of Keras
    layers that are conditioners.

    Args:
      module: a bijector or a network.

    Returns:
      A scalar; the number zero if there is nothing to penalise.

    #### Examples

    >>> mlp = MLP(2, 1, hidden_units=(), l2=0.5)
    >>> _ = mlp.parameters.assign([1.0, 3.0, 9.0])  # a kernel and a bias
    >>> penalty(mlp).numpy().item()
    5.0
    """
    terms = [
        network.l2 * tf.reduce_sum(kernel**2)
        for network in _networks(module)
        if network.l2
        for kernel in network.kernels
    ]
    for part in (module, *module.submodules):
        if isinstance(part, TrackedConditioner):
            terms += part.regularization()
    return tf.add_n(terms) if terms else 0.0


def _networks(module):
    return [part for part in (module, *module.submodules) if isinstance(part, MLP)]


class TrackedConditioner(tf.Module):
    """Wraps a callable as a conditioner whose variables `tf.Module` finds.

    The callable is called once on zeros, which builds a Keras layer, and traced once, which finds
    the variables that it reads.

    #### Examples

    >>> import keras
    >>> conditioner = TrackedConditioner(keras.layers.Dense(4), 3, 4)
    >>> [list(v.shape) for v in conditioner.trainable_variables]
    [[3, 4], [4]]
    """

    def __init__(
        self,
        function: Callable,
        input_size: int,
        output_size: int,
        *,
        context_size: int = 0,
        dtype=tf.float32,
        name=None,
    ):
        """Wraps `function`.

        Args:
          function: maps a tensor `[N, input_size]` to a tensor `[N, output_size]`.
          input_size: size of the input's last axis, that of the context included.
          output_size: size of the output's last axis.
          context_size: size C of the context, the last entries of the input; 0 for none.
          dtype: float dtype of the input and output.
          name: name of the module.

        Raises:
          TypeError: if `function` is not callable, or returns another dtype.
          ValueError: if `function` returns another shape, or is a Keras layer that behaves
            differently in training.
        """
        super().__init__(name=name or "conditioner")
        if not callable(function):
            raise TypeError(f"A conditioner must be callable, got {function!r}.")
        self._function, self.context_size = function, context_size
        self._inputs = tf.TensorSpec([None, input_size], dtype)
        output, self._read_variables = self._called()
        if output.shape != [1, output_size]:
            raise ValueError(
                f"The conditioner must map [1, {input_size}] to [1, {output_size}], "
                f"but it returned {output.shape.as_list()}."
            )
        if output.dtype != dtype:
            raise TypeError(
                f"The conditioner must return {tf.as_dtype(dtype).name}, got {output.dtype.name}."
            )
        with tf.init_scope():
            check_keras_layer(function, tf.TensorSpec([None, input_size], dtype))

    def _called(self):
        """The output of the callable on zeros `[1, input_size]`, and the variables it reads."""
        with tf.init_scope():
            zeros = tf.zeros([1, self._inputs.shape[-1]], self._inputs.dtype)
            output = tf.convert_to_tensor(self._function(zeros))
            trace = tf.function(self._function, autograph=False)
            graph = trace.get_concrete_function(self._inputs).graph
        return output, _in_order_of_use(graph)

    def __getstate__(self):
        """The state for `copy.deepcopy` and `pickle`.

        Raises:
          TypeError: if the callable reads variables that are not part of it.
        """
        own = {id(variable) for variable in _own_variables(self._function)}
        if not all(id(variable) in own for variable in self._read_variables):
            raise TypeError(
                f"The conditioner {self._function!r}, which `conditioner_fn` returned, can be "
                "neither copied nor pickled, as it reads variables that are not part of it. "
                "Let `conditioner_fn` return what holds them: a Keras layer, a Keras model or a "
                "`tf.Module`."
            )
        return {**self.__dict__, "_read_variables": [v.numpy() for v in self._read_variables]}

    def __setstate__(self, state):
        self.__dict__.update(state)
        _, self._read_variables = self._called()
        for variable, value in zip(self._read_variables, state["_read_variables"], strict=True):
            variable.assign(value)

    @property
    def keras_layer(self):
        """The wrapped Keras layer, or `None` if the callable is not one."""
        return as_keras_layer(self._function)

    def regularization(self) -> list[tf.Tensor]:
        """The losses of a Keras layer's regularizers."""
        dtype = self._read_variables[0].dtype if self._read_variables else None
        return [tf.cast(loss, dtype or loss.dtype) for loss in regularization(self._function)]

    def __call__(self, inputs: tf.Tensor, *, context=None, **call_kwargs) -> tf.Tensor:
        """Maps `[..., input_size]` to `[..., output_size]`, with the context as input, too."""
        return _on_matrices(self._function, join_context(inputs, context, self.context_size))


def _own_variables(function):
    """Returns the variables that a Keras layer or module holds."""
    return [
        variable if isinstance(variable, tf.Variable) else variable.value
        for variable in getattr(function, "variables", ())
    ]


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


def _he_normal(shape, dtype, seed):
    stddev = (2.0 / shape[0]) ** 0.5 / _TRUNCATED_STDDEV
    return tf.cast(stddev, dtype) * tf.random.stateless_truncated_normal(shape, seed, dtype=dtype)


def _phases(shape, dtype, seed):
    (seed,) = tfp.random.split_seed(seed, n=1, salt="phases")
    return tf.random.stateless_uniform(shape, seed, -math.pi, math.pi, dtype=dtype)
