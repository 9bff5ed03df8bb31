"""The flow as a layer of other Keras models: a density head, an outlier score, a prior."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.configuration import flow_config
from tfp_gmnvp.flow_checks import where_the_flow_is
from tfp_gmnvp.image_flow import build_flow
from tfp_gmnvp.keras_weights import adopt
from tfp_gmnvp.parameter_table import count

__all__ = ["FlowLayer"]

tfd = tfp.distributions
keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowLayer(keras.layers.Layer):
    """Maps vectors to their log-density under a flow that trains along with the model around it.

    Or images `[..., H, W, C]`, under an `image_flow`.

        [..., D]  ->  log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|

    All of the flow's variables are the layer's weights, the mixture's among them: there is no EM
    here, the optimizer trains all. They are seen, frozen by `trainable = False`, saved and loaded
    as any layer's are.

    A density alone is not a loss: what comes before the layer may raise it at will by shrinking
    its output. Give it data, or something that holds the scale, as the entropy term of a
    variational autoencoder does whose prior the flow is.

    #### Examples

    >>> import tfp_gmnvp
    >>> layer = FlowLayer(tfp_gmnvp.gaussian_mixture_flow(2, 3, num_couplings=2, seed=0))
    >>> layer(tf.zeros([5, 2])).shape.as_list()
    [5]
    >>> len(layer.trainable_weights) == len(layer.distribution.trainable_variables)
    True
    """

    def __init__(
        self,
        distribution: tfd.TransformedDistribution,
        *,
        loss_weight: float | None = None,
        name: str = "flow",
        **kwargs,
    ):
        """Wraps a flow.

        Args:
          distribution: a flow made by `gaussian_mixture_flow`, or any
            `tfd.TransformedDistribution` of plain `tf.Variable`s, which then can be saved by its
            weights alone.
          loss_weight: if given, the layer adds `-loss_weight * mean(log p(x))` to the losses of
            the model.
          name: name of the layer.
          **kwargs: as of `keras.layers.Layer`.

        Raises:
          TypeError: if `distribution` is no distribution.
        """
        if not isinstance(distribution, tfd.Distribution):
            raise TypeError(
                f"`distribution` must be a flow, got {distribution!r}"
                f"{where_the_flow_is(distribution)}."
            )
        kwargs.setdefault("dtype", tf.as_dtype(distribution.dtype).name)
        super().__init__(name=name, **kwargs)
        self.distribution = distribution
        self.loss_weight = loss_weight
        self._flow_weights = adopt(distribution.variables)

    def call(self, x):
        """log p(x) in nats, `[...]`, of vectors `[..., D]`."""
        log_prob = self.distribution.log_prob(tf.cast(x, self.distribution.dtype))
        if self.loss_weight is not None:
            self.add_loss(-self.loss_weight * tf.reduce_mean(log_prob))
        return log_prob

    def build(self, input_shape):
        """Checks the size of the vectors; the weights are there already.

        Raises:
          ValueError: if the vectors' size is not the flow's.
        """
        event_shape = self.distribution.event_shape
        if not event_shape.is_compatible_with(tuple(input_shape)[-event_shape.rank :]):
            events = f"vectors of size {event_shape[0]}"
            if event_shape.rank > 1:
                events = f"events of shape {event_shape}"
            raise ValueError(
                f"The flow {self.name!r} takes {events}, got inputs of shape {tuple(input_shape)}."
            )
        self.built = True

    def compute_output_shape(self, input_shape):
        """The shape of the log-densities."""
        return tuple(input_shape)[: -self.distribution.event_shape.rank]

    def count_params(self) -> int:
        """The number of the flow's parameters; they are there before the layer is built."""
        return count(self.distribution.variables)

    def get_config(self) -> dict:
        """What `from_config` builds the layer of.

        Raises:
          ValueError: if the flow was not built by `gaussian_mixture_flow`, or of callables that
            Keras cannot serialise.
        """
        flow = flow_config(self.distribution)
        return {**super().get_config(), "distribution": flow, "loss_weight": self.loss_weight}

    @classmethod
    def from_config(cls, config):
        """Builds the layer, its variables yet to be loaded, of what `get_config` returned."""
        return cls(**{**config, "distribution": build_flow(config["distribution"])})
