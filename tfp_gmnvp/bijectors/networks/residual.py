"""Residual networks as conditioners."""

from __future__ import annotations

from collections.abc import Sequence

from tfp_gmnvp._shared.arguments import as_sizes
from tfp_gmnvp.bijectors.networks.mlp import MLP, dense

__all__ = ["ResidualMLP"]


class ResidualMLP(MLP):
    """A perceptron of pre-activation residual blocks, one per entry of `hidden_units`.

        h_0 = W x + b,    h_i = h_(i-1) + dense(act(dense(act(h_(i-1))))),    dense(act(h_n))

    (He et al. 2016, arXiv:1603.05027, section 3). The last layer, and the second one of each block,
    start at zero, so that each block starts as the identity.

    #### Examples

    >>> import tensorflow as tf
    >>> network = ResidualMLP(3, 4, hidden_units=(16, 16), seed=0)
    >>> network(tf.ones([5, 3])).shape.as_list(), len(network.kernels)
    ([5, 4], 6)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        hidden_units: Sequence[int] = (64, 64),
        name: str = "residual_mlp",
        **kwargs,
    ):
        """Builds the network.

        Args:
          input_size: size of the input's last axis.
          output_size: size of the output's last axis.
          hidden_units: widths of the residual blocks, at least one and all the same.
          name: prefix of the variables' names.
          **kwargs: further arguments of `MLP`.

        Raises:
          ValueError: if the widths differ or are missing, or as in `MLP`.
        """
        widths = as_sizes("hidden_units", hidden_units)
        if len(set(widths)) != 1:
            raise ValueError(
                "`hidden_units` of residual blocks must be one width, repeated, got "
                f"{hidden_units!r}."
            )
        layers = (*widths[:1], *widths, *widths)
        super().__init__(input_size, output_size, hidden_units=layers, name=name, **kwargs)

    def _starts_at_zero(self, layer, num_layers):
        return (layer > 0 and layer % 2 == 0) or layer == num_layers - 1

    def _network(self, hidden, dropout_seed):
        first, *blocks, last = zip(self.kernels, self.biases, strict=True)
        hidden = dense(hidden, first)
        for number in range(0, len(blocks), 2):
            inner = dense(self._activation(hidden), blocks[number])
            inner = self._activated(inner, number, dropout_seed)
            hidden = hidden + dense(inner, blocks[number + 1])
        return dense(self._activation(hidden), last)
