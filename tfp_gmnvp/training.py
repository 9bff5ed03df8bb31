"""The Keras model: a gradient step on the bijector and an update of the mixture, interleaved."""

from __future__ import annotations

import inspect

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import (
    bijectors,
    checks,
    fit_arguments,
    labels,
    mixtures,
    replicas,
    row_batches,
    streams,
)
from tfp_gmnvp.batch_checks import value_errors_of_batches
from tfp_gmnvp.callbacks import ResumeAtWeights, UpdateBetweenEpochs
from tfp_gmnvp.finite_steps import FiniteSteps, SkippedSteps
from tfp_gmnvp.keras_methods import KerasMethods
from tfp_gmnvp.keras_weights import UpdateState, adopt, set_trainable, tf_variable
from tfp_gmnvp.mixture_updates import FullBatchEM, MixtureUpdate
from tfp_gmnvp.replica_batches import distribute
from tfp_gmnvp.replicated_model import ReplicatedModel
from tfp_gmnvp.saving import SavedByConfiguration
from tfp_gmnvp.seeds import stateless_seed

__all__ = ["FlowModel"]

tfd = tfp.distributions
keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowModel(SavedByConfiguration, KerasMethods, ReplicatedModel, keras.Model):
    """Trains a flow with a Gaussian mixture prior by maximum likelihood.

    Every step takes a gradient step on the bijector, up the mean of

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|,

    while the mixture's {pi, mu, Sigma} are updated by the object that `compile` is given beside the
    optimizer: `FullBatchEM`, `StepwiseEM` or `GradientUpdate`. `loss` and `val_loss` are
    negative log-likelihoods in nats per point, weighted where there are sample weights.

    Points can have labels: `fit(x, y)` takes the numbers of their components, and -1 where that is
    not known. The responsibilities of labelled points are given then, the gradient is that of
    `log p(x) + label_weight log p(y | x)`, and `accuracy` that of the most likely component. So the
    flow learns to classify from few labels (Izmailov et al. 2020, arXiv:1912.13025).

    The first `fit` sets the mixture down on the latents of the untrained flow by k-means++. Calling
    the model, and `predict`, give `log_prob`. The density itself is `distribution`.

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
    ['loss', 'skipped_steps']
    >>> model.predict(x, verbose=0).shape
    (64,)
    """

    def __init__(
        self,
        distribution: tfd.TransformedDistribution,
        *,
        initialize: bool = True,
        n_init: int = 1,
        seed=None,
        name: str = "flow_model",
    ):
        """Wraps a flow.

        Args:
          distribution: a flow made by `gaussian_mixture_flow`, or any
            `tfd.TransformedDistribution` over a `gaussian_mixture`.
          initialize: whether the first `fit` sets the mixture down by k-means++; if not, it starts
            from the parameters that it has.
          n_init: number of starts of that initialisation, the best of which is kept.
          seed: integer or stateless seed `[2]` of that initialisation.
          name: name of the model.
        """
        super().__init__(dtype=tf.as_dtype(distribution.dtype).name, name=name)
        replicas.check_created_in_scope(distribution.variables, self.distribute_strategy)
        self.distribution = distribution
        self._initialize, self._n_init, self._seed = initialize, n_init, stateless_seed(seed)
        self._loss_tracker = keras.metrics.Mean(name="loss")
        self._accuracy_tracker = keras.metrics.Mean(name="accuracy")
        self._is_initialized = tf.Variable(not initialize, trainable=False, name="is_initialized")
        self._num_epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="num_epochs")
        mixture = distribution.distribution
        self._bijector_weights = adopt(distribution.bijector.trainable_variables)
        self._mixture_weights = adopt(mixture.trainable_variables)
        constants = [v for v in distribution.variables if not v.trainable]
        self._constants = adopt([*constants, self._is_initialized, self._num_epochs])
        self._num_components = mixture.components_distribution.batch_shape[-1]
        self.mixture_update, self.label_weight = None, 1.0
        self._update_state = UpdateState()
        self._finite_steps = FiniteSteps()
        self.built = True

    def compile(
        self,
        optimizer="adam",
        *,
        mixture_update: MixtureUpdate | None = None,
        label_weight: float = 1.0,
        **kwargs,
    ) -> None:
        """Says how to train.

        Args:
          optimizer: of the bijector's variables, and under `GradientUpdate` of the mixture's.
          mixture_update: how the mixture is updated; `None` for `FullBatchEM()`.
          label_weight: how much log p(y | x) of a labelled point counts beside log p(x).
          **kwargs: as of `keras.Model.compile`, but there is no `loss` to choose.

        Raises:
          TypeError: if `mixture_update` is not a `MixtureUpdate`.
          ValueError: if a `loss`, or metrics, are given, or `label_weight` is negative.
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
        if not label_weight >= 0:
            raise ValueError(f"`label_weight` must not be negative, got {label_weight!r}.")
        mixture_update.build(self.distribution)
        self.mixture_update, self.label_weight = mixture_update, label_weight
        self._update_state = UpdateState(mixture_update.variables)
        kwargs.setdefault("weighted_metrics", [])  # none: `loss` is weighted as it is
        super().compile(optimizer=optimizer, **kwargs)
        for weight in self._mixture_weights:
            set_trainable(weight, mixture_update.trains_by_gradient)
        if hasattr(self.optimizer, "build"):  # the legacy ones of tf_keras have none
            self.optimizer.build(self.trainable_weights)

    @property
    def metrics(self):
        """Running means of the negative log-likelihood and the accuracy, reset at every epoch."""
        return [self._loss_tracker, self._accuracy_tracker]

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
        """All weights: the bijector's, the mixture's, constants, and the mixture's update's."""
        of_flow = [*self._bijector_weights, *self._mixture_weights, *self._constants]
        return [*of_flow, *self._update_state.state]

    def call(self, x):
        """log p(x) in nats."""
        return self.distribution.log_prob(tf.cast(x, self.distribution.dtype))

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        x, y, sample_weight = self._unpack(data)
        with tf.GradientTape() as tape:
            z, log_joint, log_prob = self._evaluate(x, **self._dropout_seed())
            objective = labels.labelled_log_prob(log_prob, log_joint, y, self.label_weight)
            penalty = bijectors.penalty(self.distribution.bijector) / replicas.num_replicas()
            loss = penalty - replicas.share_of_mean(objective, sample_weight)
        gradients = tape.gradient(loss, [tf_variable(v) for v in self.trainable_weights])
        gradients = replicas.to_clip_and_sum(gradients, self.optimizer)

        def update(gradients):
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            known = mixtures.known_log_joint(log_joint, y)
            self.mixture_update.on_batch(self.distribution.distribution, z, known, sample_weight)

        self._finite_steps.take(update, loss, gradients)
        return self._report(log_prob, log_joint, y, sample_weight)

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        x, y, sample_weight = self._unpack(data)
        _, log_joint, log_prob = self._evaluate(x)
        return self._report(log_prob, log_joint, y, sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, with the same arguments.

        Args:
          x: an array `[N, D]`, or batches as a `tf.data.Dataset` or `PyDataset` of `x`, `(x,)`,
            `(x, y)` or `(x, y, sample_weight)`.
          y: labels `[N]` that go with an array, integers in -1 .. K-1, with -1 for no label; or
            `None`.
          *args: as of `keras.Model.fit`, in its order.
          **kwargs: as of `keras.Model.fit`. `validation_data` may be `x` alone; `sample_weight`
            goes with an array.

        Returns:
          A Keras `History`; `loss` and `val_loss` are the mean -log p(x) in nats per point. With
          labels there is `accuracy`, too, of those points that have one. `skipped_steps` counts the
          steps of each epoch whose loss or gradient was not finite, and which changed nothing.

        Raises:
          FloatingPointError: if ten steps in a row were skipped.
        """
        self._check_compiled("fit")
        fit = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        fit.update(fit.pop("kwargs", {}))
        fit = fit_arguments.training_arguments(fit, self.distribution)
        with value_errors_of_batches():
            return self._fit(fit, super().fit)

    def initialize_mixture(self, x, sample_weight=None, y=None) -> None:
        """Sets the mixture down on the latents of these points by k-means++ and `first_fit`.

        The first `fit` does so on its own.

        Args:
          x: points `[N, D]`, at least K of them.
          sample_weight: weights `[N]` or `None`.
          y: labels `[N]` in -1 .. K-1, whose components are set down on their points; or `None`.

        Raises:
          TypeError: if points or weights are not numbers.
          ValueError: if there are fewer points than components, or data that will not do.
        """
        flow = self.distribution
        data = fit_arguments.points_and_labels(x, y, sample_weight, flow)
        checks.check_enough("x", data["x"], self._num_components)
        y, sample_weight = data["y"], data["sample_weight"]
        mixture = flow.distribution
        components = mixture.components_distribution
        x = tf.cast(data["x"], flow.dtype)
        z = flow.bijector.inverse(tf.identity(x))  # another tensor: not to be cached
        checks.check_rows("x", z.numpy(), np.isfinite, "points within the support of the bijector")
        bijectors.initialize(flow.bijector, x, sample_weight)
        update = self.mixture_update or MixtureUpdate()
        parameters = mixtures.first_fit(
            self.distribution.bijector.inverse(x),
            self._num_components,
            components.covariance_type,
            seed=self._seed,
            n_init=self._n_init,
            covariance_floor=update.covariance_floor,
            prior=update.prior,
            sample_weight=sample_weight,
            labels=labels.as_labels(y),
        )
        with self.distribute_strategy.scope():
            parameters = mixtures.MixtureParameters(*replicas.from_first_replica(parameters))
            mixtures.assign_parameters(mixture, parameters)
        self._is_initialized.assign(True)

    def _fit(self, arguments, keras_fit):
        """Initialises, if need be, and trains, on data that was checked or checks itself."""
        dtype = self.distribution.dtype
        batches = streams.training_batches(
            arguments["x"],
            arguments["y"],
            arguments["sample_weight"],
            steps_per_epoch=arguments.get("steps_per_epoch"),
            dtype=dtype,
        )
        if not self._is_initialized.numpy():
            x, y, sample_weight = streams.head(batches, 10_000)
            self.initialize_mixture(x, sample_weight, y)
        shared = distribute(batches, self.distribute_strategy, data=arguments["x"])
        ours = [UpdateBetweenEpochs(self, shared), SkippedSteps(self._finite_steps)]
        arguments["callbacks"] = [*ours, *arguments["callbacks"], ResumeAtWeights(self)]
        history = keras_fit(**row_batches.fit_by_rows(arguments, self._shuffle_seed, dtype))
        with self.distribute_strategy.scope():
            self.mixture_update.on_train_end(self.distribution, batches)
        return history

    def _check_compiled(self, method):
        if self.mixture_update is None:
            raise ValueError(f"`compile` must be called before `{method}`.")

    def _unpack(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            sample_weight = tf.reshape(tf.cast(sample_weight, self.distribution.dtype), [-1])
        return tf.cast(x, self.distribution.dtype), labels.as_labels(y), sample_weight

    def _shuffle_seed(self):
        """The seed of the epoch that is about to begin, in the graph of the data set."""
        if self.distribute_strategy.num_replicas_in_sync > 1:  # whose variables no data set reads
            return tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        return tf.random.experimental.stateless_fold_in(self._seed, self._num_epochs)

    def _dropout_seed(self):
        """The condition of a training step: a seed, if a conditioner leaves units out."""
        if not bijectors.uses_dropout(self.distribution.bijector):
            return {}
        step = tf.convert_to_tensor(self.optimizer.iterations)
        return {"dropout_seed": tf.random.experimental.stateless_fold_in(self._seed, step)}

    def _evaluate(self, x, **condition):
        """The one pass: latents, the components' log-joint, log p(x)."""
        bijector = self.distribution.bijector
        z = bijector.inverse(x, **condition)
        log_det = bijector.inverse_log_det_jacobian(x, event_ndims=1, **condition)
        log_joint = mixtures.component_log_joint(self.distribution.distribution, z)
        return z, log_joint, tf.reduce_logsumexp(log_joint, axis=-1) + log_det

    def _report(self, log_prob, log_joint, y, sample_weight):
        """The running means with those of this batch."""
        self._loss_tracker.update_state(-log_prob, sample_weight)
        report = {"loss": replicas.loggable_mean(self._loss_tracker)}
        if y is not None:
            correct, has_label = labels.is_correct(log_joint, y)
            weight = has_label if sample_weight is None else has_label * sample_weight
            self._accuracy_tracker.update_state(correct, weight)
            report["accuracy"] = replicas.loggable_mean(self._accuracy_tracker)
        return report
