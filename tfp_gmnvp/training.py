"""The Keras model: a gradient step on the bijector and an update of the mixture, interleaved."""

from __future__ import annotations

import inspect

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures, streams
from tfp_gmnvp.mixture_updates import FullBatchEM, MixtureUpdate
from tfp_gmnvp.seeds import stateless_seed

__all__ = ["FlowModel"]

tfd = tfp.distributions
keras = tf.keras


class FlowModel(keras.Model):
    """Trains a flow with a Gaussian mixture prior by maximum likelihood.

    Every step takes a gradient step on the bijector, up the mean of

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|,

    while the mixture's {pi, mu, Sigma} are updated by the object that `compile` is given beside the
    optimizer: `FullBatchEM`, `StepwiseEM` or `GradientUpdate`. `loss` and `val_loss` are
    negative log-likelihoods in nats per point, weighted where there are sample weights.

    The first `fit` sets the mixture down on the latents of the untrained flow by k-means++. Calling
    the model, and `predict`, give `log_prob`. The density itself is `distribution`.

    #### Examples

    >>> import tfp_gmnvp
    >>> x = np.random.default_rng(0).normal(size=[64, 2])
    >>> model = FlowModel(tfp_gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=0), seed=0)
    >>> model.compile("adam", mixture_update=tfp_gmnvp.StepwiseEM())
    >>> history = model.fit(x, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['loss']
    >>> model.predict(x, verbose=0).shape
    (64,)
    """

    def __init__(
        self,
        distribution: tfd.TransformedDistribution,
        *,
        initialize: bool = True,
        seed=None,
        name: str = "flow_model",
    ):
        """Wraps a flow.

        Args:
          distribution: a flow made by `gaussian_mixture_flow`, or any
            `tfd.TransformedDistribution` over a `gaussian_mixture`.
          initialize: whether the first `fit` sets the mixture down by k-means++; if not, it starts
            from the parameters that it has.
          seed: integer or stateless seed `[2]` of that initialisation.
          name: name of the model.
        """
        super().__init__(dtype=tf.as_dtype(distribution.dtype).name, name=name)
        self.distribution = distribution
        self._seed = stateless_seed(seed)
        self._loss_tracker = keras.metrics.Mean(name="loss")
        self._is_initialized = tf.Variable(not initialize, trainable=False, name="is_initialized")
        mixture = distribution.distribution
        self._bijector_weights = adopt(distribution.bijector.trainable_variables)
        self._mixture_weights = adopt(mixture.trainable_variables)
        constants = [v for v in distribution.variables if not v.trainable]
        self._constants = adopt([*constants, self._is_initialized])
        self.mixture_update = None
        self.built = True

    def compile(
        self, optimizer="adam", *, mixture_update: MixtureUpdate | None = None, **kwargs
    ) -> None:
        """Says how to train.

        Args:
          optimizer: of the bijector's variables, and under `GradientUpdate` of the mixture's.
          mixture_update: how the mixture is updated; `None` for `FullBatchEM()`.
          **kwargs: as of `keras.Model.compile`, but there is no `loss` to choose.

        Raises:
          TypeError: if `mixture_update` is not a `MixtureUpdate`.
          ValueError: if a `loss` is given.
        """
        mixture_update = FullBatchEM() if mixture_update is None else mixture_update
        if not isinstance(mixture_update, MixtureUpdate):
            raise TypeError(
                "`mixture_update` must be a `MixtureUpdate` such as `FullBatchEM()`, "
                f"got {mixture_update!r}."
            )
        if kwargs.get("loss") is not None:
            raise ValueError(
                "`loss` cannot be chosen: a flow's loss is its negative log-likelihood."
            )
        mixture_update.build(self.distribution)
        self.mixture_update = mixture_update
        kwargs.setdefault("weighted_metrics", [])  # none: `loss` is weighted as it is
        super().compile(optimizer=optimizer, **kwargs)
        for weight in self._mixture_weights:
            _set_trainable(weight, mixture_update.trains_by_gradient)
        self.optimizer.build(self.trainable_weights)

    @property
    def metrics(self):
        """The running mean of the negative log-likelihood, reset at every epoch."""
        return [self._loss_tracker]

    @property
    def trainable_weights(self):
        """What the optimizer trains: the bijector, and under `GradientUpdate` the mixture."""
        by_gradient = self.mixture_update is not None and self.mixture_update.trains_by_gradient
        return [*self._bijector_weights, *(self._mixture_weights if by_gradient else ())]

    @property
    def non_trainable_weights(self):
        """All other weights: those that EM updates, and constants."""
        trainable = {id(weight) for weight in self.trainable_weights}
        return [weight for weight in self.weights if id(weight) not in trainable]

    @property
    def weights(self):
        """All weights: the bijector's, the mixture's and the constants."""
        return [*self._bijector_weights, *self._mixture_weights, *self._constants]

    def call(self, x):
        """log p(x) in nats."""
        return self.distribution.log_prob(x)

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        x, sample_weight = self._unpack(data)
        with tf.GradientTape() as tape:
            z, log_joint, log_prob = self._evaluate(x)
            loss = self._mean_loss(log_prob, sample_weight)
        gradients = tape.gradient(loss, [_tf_variable(v) for v in self.trainable_weights])
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.mixture_update.on_batch(self.distribution.distribution, z, log_joint, sample_weight)
        self._loss_tracker.update_state(-log_prob, sample_weight)
        return {"loss": self._loss_tracker.result()}

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        x, sample_weight = self._unpack(data)
        _, _, log_prob = self._evaluate(x)
        self._loss_tracker.update_state(-log_prob, sample_weight)
        return {"loss": self._loss_tracker.result()}

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, with the same arguments.

        Args:
          x: an array `[N, D]`, or batches as a `tf.data.Dataset` or `PyDataset` of `x`, `(x,)` or
            `(x, y, sample_weight)`.
          y: not used.
          *args: as of `keras.Model.fit`, in its order.
          **kwargs: as of `keras.Model.fit`. `validation_data` may be `x` alone; `sample_weight`
            goes with an array.

        Returns:
          A Keras `History`; `loss` and `val_loss` are in nats per point.
        """
        fit = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        if fit.get("validation_split"):
            fit.update(_split(x, fit.get("sample_weight"), fit.pop("validation_split")))
        fit["y"] = _stand_in_targets(fit["x"], fit.get("sample_weight"))
        fit["validation_data"] = _validation_data(fit.get("validation_data"))
        if isinstance(x, tf.data.Dataset):
            fit.setdefault("shuffle", False)  # its default makes Keras warn of a data set
        batches = streams.training_batches(
            fit["x"],
            fit.get("sample_weight"),
            steps_per_epoch=fit.get("steps_per_epoch"),
            dtype=self.distribution.dtype,
        )
        if not self._is_initialized:
            self.initialize_mixture(*streams.head(batches, 10_000))
        update = _UpdateBetweenEpochs(self, batches)
        fit["callbacks"] = [update, *_as_list(fit.get("callbacks"))]
        fit.update(fit.pop("kwargs", {}))
        return super().fit(**fit)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """The negative log-likelihood in nats per point, as `keras.Model.evaluate` reports a loss.

        Args:
          x: as for `fit`.
          y: not used.
          *args: as of `keras.Model.evaluate`, in its order.
          **kwargs: as of `keras.Model.evaluate`.

        Returns:
          The mean of -log p(x), weighted where there are sample weights.
        """
        arguments = inspect.signature(super().evaluate).bind(x, y, *args, **kwargs).arguments
        arguments.update(arguments.pop("kwargs", {}))
        arguments["y"] = _stand_in_targets(x, arguments.get("sample_weight"))
        return super().evaluate(**arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One step on one batch; arguments as of `keras.Model.train_on_batch`."""
        targets = _stand_in_targets(x, sample_weight)
        return super().train_on_batch(x, targets, sample_weight=sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """The loss of one batch; arguments as of `keras.Model.test_on_batch`."""
        targets = _stand_in_targets(x, sample_weight)
        return super().test_on_batch(x, targets, sample_weight=sample_weight, **kwargs)

    def initialize_mixture(self, x, sample_weight=None) -> None:
        """Sets the mixture down on the latents of these points by k-means++ and `first_fit`.

        The first `fit` does so on its own.

        Args:
          x: points `[N, D]`, at least K of them.
          sample_weight: weights `[N]` or `None`.
        """
        mixture = self.distribution.distribution
        components = mixture.components_distribution
        parameters = mixtures.first_fit(
            self.distribution.bijector.inverse(tf.cast(x, self.distribution.dtype)),
            components.batch_shape[-1],
            components.covariance_type,
            seed=self._seed,
            covariance_floor=self.mixture_update.covariance_floor,
            sample_weight=sample_weight,
        )
        mixtures.assign_parameters(mixture, parameters)
        self._is_initialized.assign(True)

    def _unpack(self, data):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self.distribution.dtype), [-1])
        return tf.cast(x, self.distribution.dtype), sample_weight

    def _evaluate(self, x):
        """The one pass: latents, the components' log-joint, log p(x)."""
        bijector = self.distribution.bijector
        z = bijector.inverse(x)
        log_det = bijector.inverse_log_det_jacobian(x, event_ndims=1)
        log_joint = mixtures.component_log_joint(self.distribution.distribution, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _mean_loss(self, log_prob, sample_weight):
        if sample_weight is None:
            return -tf.reduce_mean(log_prob)
        return -tf.math.divide_no_nan(
            tf.reduce_sum(sample_weight * log_prob), tf.reduce_sum(sample_weight)
        )


class _UpdateBetweenEpochs(keras.callbacks.Callback):
    """Lets the mixture's update read the training data before each epoch."""

    def __init__(self, flow_model, batches):
        super().__init__()
        self._flow_model = flow_model
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._flow_model.mixture_update.on_epoch_begin(
            self._flow_model.distribution, epoch, self._batches
        )


_IS_KERAS_3 = hasattr(keras, "Variable")


def adopt(variables):
    """Plain `tf.Variable`s as the weights of a Keras model: the same storage, not copies."""
    if not _IS_KERAS_3:  # tf_keras takes them as they are
        return list(variables)
    return [
        keras.Variable(v, trainable=v.trainable, dtype=v.dtype.name, name=_flat(v.name))
        for v in variables
    ]


def _flat(name):
    return name.split(":")[0].replace("/", "_")


def _tf_variable(weight):
    return weight.value if _IS_KERAS_3 else weight


def _set_trainable(weight, trainable):
    if _IS_KERAS_3:  # tf_keras goes by the model's `trainable_weights`
        weight.trainable = trainable


def _as_list(callbacks):
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _stand_in_targets(x, sample_weight):
    """Targets that nobody reads: without any, Keras drops the sample weights of an array."""
    return None if sample_weight is None else np.zeros(len(x))


def _validation_data(data):
    """Validation data as both Kerases take it, sample weights included."""
    if hasattr(data, "shape"):
        return (data,)
    if isinstance(data, tuple) and len(data) == 3:
        x, _, sample_weight = data
        return x, _stand_in_targets(x, sample_weight), sample_weight
    return data


def _split(x, sample_weight, fraction):
    """Keeps the last rows for validation, as Keras does."""
    x = np.asarray(x)
    size = int(len(x) * (1 - fraction))
    if sample_weight is None:
        return {"x": x[:size], "validation_data": (x[size:],)}
    validation_data = (x[size:], None, sample_weight[size:])
    return {
        "x": x[:size],
        "sample_weight": sample_weight[:size],
        "validation_data": validation_data,
    }
