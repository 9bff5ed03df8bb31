"""A flow as a layer of other Keras models: a density head, an outlier score, a prior."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import is_given_sample_weights
from tfp_gmnvp.bijectors import context_size
from tfp_gmnvp.flows.building import build_flow
from tfp_gmnvp.flows.checks import flow_location_hint
from tfp_gmnvp.flows.conditional import points_and_context, row_shape
from tfp_gmnvp.flows.configuration import flow_config
from tfp_gmnvp.training.keras_weights import KERAS, adopt, check_written_by
from tfp_gmnvp.training.parameter_table import count

__all__ = ["FlowLayer"]

tfd = tfp.distributions
keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowLayer(keras.layers.Layer):
    """Maps vectors to their log-density under a flow, which is trained with the whole model.

        [..., D]  ->  log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|

    With an `image_flow` it maps images `[..., H, W, C]`. A flow with a `context_size` takes a pair,
    `layer((x, context))`.

    All variables of the flow, including those of the mixture, are weights of the layer. There is no
    EM: the optimizer trains all of them. They are frozen by `trainable = False`, saved and loaded
    like the weights of any layer.

    The log-density of another layer's output is not a loss by itself: that layer can increase it
    without limit by shrinking its output. Use the layer on data, or add a term that fixes the
    scale. An example is the entropy term of a variational autoencoder with the flow as its prior.

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
        name: str | None = None,
        **kwargs,
    ):
        """Wraps a flow.

        Args:
          distribution: a flow made by `gaussian_mixture_flow`, or any
            `tfd.TransformedDistribution` of plain `tf.Variable`s, of which only the weights can be
            saved.
          loss_weight: if given, the layer adds `-loss_weight * mean(log p(x))` to the losses of
            the model. The mean is weighted by the `sample_weight` of the layer's call. The layer
            does not get the sample weights of `fit`, so it raises an error if there are any.
          name: name of the layer; `None` lets Keras choose one.
          **kwargs: see `keras.layers.Layer`.

        Raises:
          TypeError: if `distribution` is not a distribution.
        """
        if not isinstance(distribution, tfd.Distribution):
            raise TypeError(
                f"`distribution` must be a flow, got {distribution!r}"
                f"{flow_location_hint(distribution)}."
            )
        kwargs.setdefault("dtype", tf.as_dtype(distribution.dtype).name)
        super().__init__(name=name, **kwargs)
        self.distribution = distribution
        self.loss_weight = loss_weight
        self._flow_weights = adopt(distribution.variables)

    def call(self, x, sample_weight=None):
        """Computes log p(x) in nats, `[...]`, of vectors `[..., D]`.

        Args:
          x: vectors, or the pair `(x, context)`.
          sample_weight: weights `[...]` or `[N]` of the loss that the layer adds; `None` for ones.

        Raises:
          ValueError: if the layer adds a loss, and `fit` has sample weights that the layer does not
            get.
        """
        x, call_kwargs = points_and_context(self.distribution, x)
        log_prob = self.distribution.log_prob(x, **call_kwargs)
        if self.loss_weight is not None:
            if sample_weight is None and is_given_sample_weights():
                raise ValueError(
                    "`sample_weight` does not reach the loss that "
                    "`FlowLayer(loss_weight=...)` adds: give the weights to the layer, "
                    "`layer(x, sample_weight=...)`, or ones if they are for other losses. Or leave "
                    "`loss_weight` out and compile with `loss=lambda _, log_prob: -log_prob`."
                )
            self.add_loss(-self.loss_weight * _mean(log_prob, sample_weight))
        return log_prob

    def build(self, input_shape):
        """Checks the size of the vectors; the weights already exist.

        Raises:
          ValueError: if the size of the vectors is not that of the flow, or a context is missing.
        """
        event_shape = self.distribution.event_shape
        size, shapes = context_size(self.distribution.bijector), _shapes(input_shape)
        expected = [event_shape, *([tf.TensorShape([size])] if size else ())]
        rows = [tf.TensorShape(row_shape(self.distribution))]  # point and context in one row
        if not (_are_compatible(shapes, expected) or _are_compatible(shapes, rows)):
            events = f"vectors of size {event_shape[0]}"
            if event_shape.rank > 1:
                events = f"events of shape {event_shape}"
            if size:
                events = f"pairs `(x, context)` of {events} and {size}"
            got = " and ".join(map(str, shapes))
            raise ValueError(f"The flow {self.name!r} takes {events}, got inputs of shape {got}.")
        self.built = True

    def compute_output_shape(self, input_shape):
        """The shape of the log-densities."""
        return _shapes(input_shape)[0][: -self.distribution.event_shape.rank]

    def count_params(self) -> int:
        """The number of the flow's parameters, which exist before the layer is built."""
        return count(self.distribution.variables)

    def get_config(self) -> dict:
        """The configuration, from which `from_config` builds the layer.

        Raises:
          ValueError: if the flow was not built by `gaussian_mixture_flow`, or was built with
            callables that Keras cannot serialise.
        """
        flow = flow_config(self.distribution)
        ours = {"distribution": flow, "loss_weight": self.loss_weight, "written_by": KERAS}
        return {**super().get_config(), **ours}

    @classmethod
    def from_config(cls, config):
        """Builds the layer from the result of `get_config`, with initial values of its variables.

        Raises:
          ValueError: if the configuration was written by the other version of Keras.
        """
        check_written_by(config.get("written_by", KERAS))  # missing in files of early versions
        config = {name: value for name, value in config.items() if name != "written_by"}
        return cls(**{**config, "distribution": build_flow(config["distribution"])})


def _shapes(input_shape):
    """A list of the shapes of one or several inputs, as tuples."""
    if isinstance(input_shape, (list, tuple)) and any(hasattr(s, "__iter__") for s in input_shape):
        return [tuple(shape) for shape in input_shape]
    return [tuple(input_shape)]


def _are_compatible(shapes, events):
    return len(shapes) == len(events) and all(
        event.is_compatible_with(shape[-event.rank :])
        for shape, event in zip(shapes, events, strict=True)
    )


def _mean(log_prob, sample_weight):
    """The weighted mean; the shape of the weights is a prefix of that of the values."""
    if sample_weight is None:
        return tf.reduce_mean(log_prob)
    weight = tf.cast(sample_weight, log_prob.dtype)
    if weight.shape.rank == log_prob.shape.rank + 1:
        weight = tf.squeeze(weight, axis=-1)  # a column of weights
    missing = log_prob.shape.rank - weight.shape.rank
    weight = tf.reshape(weight, tf.concat([tf.shape(weight), tf.ones([missing], tf.int32)], axis=0))
    weight = tf.broadcast_to(weight, tf.shape(log_prob))
    total = tf.reduce_sum(tf.math.multiply_no_nan(log_prob, weight))
    return tf.math.divide_no_nan(total, tf.reduce_sum(weight))
