"""The Keras model: a gradient step on the bijector and an update of the mixture, interleaved."""

from __future__ import annotations

import inspect
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import fit_arguments, mixtures, parameter_table, streams
from tfp_gmnvp.callbacks import UpdateBetweenEpochs
from tfp_gmnvp.keras_weights import adopt, set_trainable, tf_variable
from tfp_gmnvp.mixture_updates import FullBatchEM, MixtureUpdate
from tfp_gmnvp.saving import SavedByConfiguration
from tfp_gmnvp.seeds import stateless_seed

__all__ = ["FlowModel"]

tfd = tfp.distributions
keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowModel(SavedByConfiguration, keras.Model):
    """Trains a flow with a Gaussian mixture prior by maximum likelihood.

    Every step takes a gradient step on the bijector, up the mean of

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|,

    while the mixture's {pi, mu, Sigma} are updated by the object that `compile` is given beside the
    optimizer: `FullBatchEM`, `StepwiseEM` or `GradientUpdate`. `loss` and `val_loss` are
    negative log-likelihoods in nats per point, weighted where there are sample weights.

    The first `fit` sets the mixture down on the latents of the untrained flow by k-means++. Calling
    the model, and `predict`, give `log_prob`. The density itself is `distribution`.

    Where the events are images `[H, W, C]`, `bits_per_dim` and `val_bits_per_dim` are reported too,

        -log p(x) / (D log 2),    D = H W C,

    the code length of a pixel's channel to within one unit of x: for dequantised pixels
    (`datasets.dequantize`), one grey level.

    What Keras saves is all that training needs to go on as if it had not been interrupted: the
    flow, the optimizer, and how many epochs the mixture's update has seen. A `.keras` file holds
    the configuration, too, so that `keras.models.load_model` builds the flow and compiles the
    model; in a new process, `import tfp_gmnvp` comes first.

    #### Examples

    >>> import numpy as np
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
        self._initialize, self._seed = initialize, stateless_seed(seed)
        self._loss_tracker = keras.metrics.Mean(name="loss")
        self._bits_tracker = keras.metrics.Mean(name="bits_per_dim")
        self._is_initialized = tf.Variable(not initialize, trainable=False, name="is_initialized")
        self._num_epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="num_epochs")
        mixture = distribution.distribution
        self._bijector_weights = adopt(distribution.bijector.trainable_variables)
        self._mixture_weights = adopt(mixture.trainable_variables)
        constants = [v for v in distribution.variables if not v.trainable]
        self._constants = adopt([*constants, self._is_initialized, self._num_epochs])
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
          ValueError: if a `loss`, or metrics, are given.
        """
        mixture_update = FullBatchEM() if mixture_update is None else mixture_update
        if not isinstance(mixture_update, MixtureUpdate):
            raise TypeError(
                "`mixture_update` must be a `MixtureUpdate` such as `FullBatchEM()`, "
                f"got {mixture_update!r}."
            )
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name):
                raise ValueError(
                    f"`{name}` cannot be chosen: a flow's loss, and all that it reports, is its "
                    "negative log-likelihood."
                )
        mixture_update.build(self.distribution)
        self.mixture_update = mixture_update
        kwargs.setdefault("weighted_metrics", [])  # none: `loss` is weighted as it is
        super().compile(optimizer=optimizer, **kwargs)
        for weight in self._mixture_weights:
            set_trainable(weight, mixture_update.trains_by_gradient)
        if hasattr(self.optimizer, "build"):  # the legacy ones of tf_keras have none
            self.optimizer.build(self.trainable_weights)

    @property
    def metrics(self):
        """Running means, reset at every epoch: of the loss, and of images' bits per dimension."""
        has_images = self.distribution.event_shape.rank == 3
        return [self._loss_tracker, *([self._bits_tracker] if has_images else ())]

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
        return self.distribution.log_prob(tf.cast(x, self.distribution.dtype))

    def count_params(self) -> int:
        """The number of the flow's parameters, what Keras keeps beside them left out."""
        return parameter_table.count(self.distribution.variables)

    def summary(self, line_length=None, positions=None, print_fn=None, **kwargs) -> None:
        """Prints the parts of the flow, how many parameters each has, and what trains them.

        Args:
          line_length: characters of a line; `None` for as many as it takes.
          positions: not used.
          print_fn: gets the table, as one string; `None` for `print`.
          **kwargs: not used; what else `keras.Model.summary` takes.
        """
        rows = parameter_table.rows(self.distribution, self.mixture_update)
        (print_fn or print)(parameter_table.table(self.name, rows, line_length))

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        x, sample_weight = self._unpack(data)
        with tf.GradientTape() as tape:
            z, log_joint, log_prob = self._evaluate(x)
            loss = self._mean_loss(log_prob, sample_weight)
        gradients = tape.gradient(loss, [tf_variable(v) for v in self.trainable_weights])
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.mixture_update.on_batch(self.distribution.distribution, z, log_joint, sample_weight)
        return self._report(log_prob, sample_weight)

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        x, sample_weight = self._unpack(data)
        _, _, log_prob = self._evaluate(x)
        return self._report(log_prob, sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, with the same arguments.

        Args:
          x: an array `[N, D]` or `[N, H, W, C]`, or batches as a `tf.data.Dataset` or `PyDataset`
            of `x`, `(x,)` or `(x, y, sample_weight)`.
          y: not used.
          *args: as of `keras.Model.fit`, in its order.
          **kwargs: as of `keras.Model.fit`. `validation_data` may be `x` alone; `sample_weight`
            goes with an array.

        Returns:
          A Keras `History`; `loss` and `val_loss` are in nats per point.
        """
        self._check_compiled("fit")
        fit = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        fit.update(fit.pop("kwargs", {}))
        fit = fit_arguments.training_arguments(fit)
        batches = streams.training_batches(
            fit["x"],
            fit["sample_weight"],
            steps_per_epoch=fit.get("steps_per_epoch"),
            dtype=self.distribution.dtype,
        )
        if not self._is_initialized:
            self.initialize_mixture(*streams.head(batches, 10_000))
        fit["callbacks"] = [UpdateBetweenEpochs(self, batches), *fit["callbacks"]]
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
        arguments["x"] = fit_arguments.as_array(x)
        arguments["sample_weight"] = fit_arguments.as_array(arguments.get("sample_weight"))
        arguments["y"] = fit_arguments.stand_in_targets(arguments["x"], arguments["sample_weight"])
        return super().evaluate(**arguments)

    def predict(self, x, *args, **kwargs):
        """log p(x) in nats, `[N]`; arguments as of `keras.Model.predict`."""
        return super().predict(fit_arguments.as_array(x), *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One step on one batch; arguments as of `keras.Model.train_on_batch`."""
        targets = fit_arguments.stand_in_targets(x, sample_weight)
        return super().train_on_batch(x, targets, sample_weight=sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """The loss of one batch; arguments as of `keras.Model.test_on_batch`."""
        targets = fit_arguments.stand_in_targets(x, sample_weight)
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
        x = tf.cast(x, self.distribution.dtype)
        if not tf.reduce_all(tf.math.is_finite(x)):
            raise ValueError("`x` must be finite, and it holds NaN or infinity.")
        update = self.mixture_update or MixtureUpdate()
        rows = streams.rows_at_once(x, 4096)
        parts = [x[start : start + rows] for start in range(0, len(x), rows)]
        parameters = mixtures.first_fit(
            tf.concat([self.distribution.bijector.inverse(part) for part in parts], axis=0),
            components.batch_shape[-1],
            components.covariance_type,
            rank=getattr(components, "rank", None),
            seed=self._seed,
            covariance_floor=update.covariance_floor,
            sample_weight=sample_weight,
        )
        mixtures.assign_parameters(mixture, parameters)
        self._is_initialized.assign(True)

    def _check_compiled(self, method):
        if self.mixture_update is None:
            raise ValueError(f"`compile` must be called before `{method}`.")

    def _unpack(self, data):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self.distribution.dtype), [-1])
        return tf.cast(x, self.distribution.dtype), sample_weight

    def _evaluate(self, x):
        """The one pass: latents, the components' log-joint, log p(x)."""
        bijector = self.distribution.bijector
        z = bijector.inverse(x)
        event_ndims = self.distribution.event_shape.rank
        log_det = bijector.inverse_log_det_jacobian(x, event_ndims=event_ndims)
        log_joint = mixtures.component_log_joint(self.distribution.distribution, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _report(self, log_prob, sample_weight):
        """The running means, this batch included."""
        bits = math.log(2) * self.distribution.event_shape.num_elements()
        values = {"loss": -log_prob, "bits_per_dim": -log_prob / bits}
        for metric in self.metrics:
            metric.update_state(values[metric.name], sample_weight)
        return {metric.name: metric.result() for metric in self.metrics}

    def _mean_loss(self, log_prob, sample_weight):
        if sample_weight is None:
            return -tf.reduce_mean(log_prob)
        return -tf.math.divide_no_nan(
            tf.reduce_sum(sample_weight * log_prob), tf.reduce_sum(sample_weight)
        )
