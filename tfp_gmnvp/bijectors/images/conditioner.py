"""Convolutional residual networks as conditioners of couplings of images."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.bijectors.networks.activations import as_activation
from tfp_gmnvp.bijectors.networks.mlp import _he_normal

__all__ = ["ConvResNet"]


class ConvResNet(tf.Module):
    """A residual network of 3 x 3 convolutions whose last layer starts at zero.

        h_0 = conv(x),    h_i = h_{i-1} + conv(act(conv(act(h_{i-1})))),    output = conv(act(h_B))

    after He et al. 2016 (arXiv:1603.05027), with plain `tf.Variable`s. Convolutions are padded by
    zeros. The second convolution of each block starts at zero as well, so that blocks start as the
    identity and depth needs no normalisation (Zhang, Dauphin and Ma 2019, arXiv:1901.09321).

    #### Examples

    >>> network = ConvResNet(3, 6, num_filters=8, num_blocks=1, seed=0)
    >>> network(tf.ones([5, 4, 4, 3])).shape.as_list(), network(tf.ones([4, 4, 3])).shape.as_list()
    ([5, 4, 4, 6], [4, 4, 6])
    """

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        num_filters: int = 32,
        num_blocks: int = 2,
        activation: str | Callable = "relu",
        dtype=tf.float32,
        seed=None,
        name: str = "conv_res_net",
    ):
        """Builds the network.

        Args:
          input_channels: channels of the input.
          output_channels: channels of the output.
          num_filters: channels of the hidden layers.
          num_blocks: number B of residual blocks, possibly 0.
          activation: a callable, or a name in `tf.nn` or `tf.math`.
          dtype: float dtype of the variables.
          seed: integer or stateless seed `[2]`; `None` draws one.
          name: prefix of the variables' names.

        Raises:
          ValueError: if `activation` names nothing, or a number is out of range.
        """
        super().__init__(name=name)
        self._activation, self._dtype = as_activation(activation), tf.as_dtype(dtype)
        if min(input_channels, output_channels, num_filters) < 1 or num_blocks < 0:
            raise ValueError(
                "`input_channels`, `output_channels` and `num_filters` must be >= 1 and "
                f"`num_blocks` >= 0, got {input_channels}, {output_channels}, {num_filters} and "
                f"{num_blocks}."
            )
        widths = [input_channels, *[num_filters] * (2 * num_blocks + 1), output_channels]
        seeds = tfp.random.split_seed(stateless_seed(seed), n=len(widths))
        with self.name_scope:
            self.kernels, self.biases = [], []
            for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
                shape = [3, 3, fan_in, fan_out]
                starts_at_zero = (layer > 0 and layer % 2 == 0) or layer == len(widths) - 2
                kernel = tf.zeros(shape, dtype)
                if not starts_at_zero:
                    kernel = tf.reshape(
                        _he_normal([9 * fan_in, fan_out], dtype, seeds[layer]), shape
                    )
                self.kernels.append(tf.Variable(kernel, name=f"kernel_{layer}"))
                self.biases.append(tf.Variable(tf.zeros([fan_out], dtype), name=f"bias_{layer}"))

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the variables, and of the inputs they expect."""
        return self._dtype

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[..., H, W, input_channels]` to `[..., H, W, output_channels]`."""
        if inputs.shape.rank == 4:
            return self._outputs(inputs)
        outputs = self._outputs(tf.reshape(inputs, tf.concat([[-1], tf.shape(inputs)[-3:]], 0)))
        shape = tf.concat([tf.shape(inputs)[:-1], tf.shape(outputs)[-1:]], axis=0)
        return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape[:-1] + outputs.shape[-1:])

    def _outputs(self, images):
        """Evaluates the network; also on no images, where TensorFlow's convolutions fail."""
        if images.shape[0]:  # known, and not zero
            return self._network(images)
        num_images = tf.shape(images)[0]
        is_empty = tf.cast(tf.equal(num_images, 0), tf.int32)
        images = tf.pad(images, [[0, is_empty], [0, 0], [0, 0], [0, 0]])
        return self._network(images)[:num_images]

    def _network(self, images):
        hidden = self._convolve(0, images)
        for layer in range(1, len(self.kernels) - 1, 2):
            residual = self._convolve(layer, self._activation(hidden))
            hidden += self._convolve(layer + 1, self._activation(residual))
        return self._convolve(-1, self._activation(hidden))

    def _convolve(self, layer, images):
        convolved = tf.nn.conv2d(images, self.kernels[layer], strides=1, padding="SAME")
        return tf.nn.bias_add(convolved, self.biases[layer])
