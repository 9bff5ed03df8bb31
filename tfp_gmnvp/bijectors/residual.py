"""Conditioners of residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_gmnvp.bijectors.conditioners import MLP

__all__ = ["ResidualMLP"]


class ResidualMLP(MLP):
    """A perceptron of pre-activation residual blocks, one for each hidden width.

        h_0 = W x + b,    h_i = h_(i-1) + dense(act(dense(act(h_(i-1))))),    dense(act(h_n))

    (He et al. 2016, arXiv:1603.05027, section 3). The last layer, and the second one of each block,
    start at zero, so that each block starts as the identity.

    #### Examples

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
          **kwargs: as of `MLP`.

        Raises:
          ValueError: if the widths differ or there is none, or as of `MLP`.
        """
        widths = tuple(hidden_units)
        if len(set(widths)) != 1:
            raise ValueError(
                "`hidden_units` of residual blocks must be one width, repeated, got "
                f"{hidden_units!r}."
            )
        layers = (*widths[:1], *widths, *widths)
        super().__init__(input_size, output_size, hidden_units=layers, name=name, **kwargs)
        for kernel in self.kernels[2:-1:2]:
            kernel.assign(tf.zeros_like(kernel))

    def _dense_layers(self, hidden, dropout_seed):
        hidden = self._dense(hidden, 0)
        for layer in range(1, len(self.kernels) - 1, 2):
            inner = self._dense(self._activation(hidden), layer)
            inner = self._activated(inner, layer, dropout_seed)
            hidden = hidden + self._dense(inner, layer + 1)
        return self._dense(self._activation(hidden), -1)
