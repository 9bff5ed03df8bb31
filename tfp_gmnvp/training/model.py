"""The Keras model: a gradient step on the bijector and an update of the mixture, interleaved."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures
from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.flows.gaussian_mixture_flow import check_flow
from tfp_gmnvp.training.callbacks import CountEpochs, ResumeAtWeights, UpdateBetweenEpochs
from tfp_gmnvp.training.data import degenerate_data, fit_arguments, row_batches, samples, streams
from tfp_gmnvp.training.data.batch_checks import value_errors_of_batches
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.devices.replica_batches import distribute
from tfp_gmnvp.training.devices.replicated_model import ReplicatedModel
from tfp_gmnvp.training.divergence import DivergenceCheck
from tfp_gmnvp.training.final_weights import FinalWeights
from tfp_gmnvp.training.finite_steps import FiniteSteps, SkippedSteps
from tfp_gmnvp.training.keras_methods import KerasMethods
from tfp_gmnvp.training.keras_weights import UpdateState, adopt, keep_constraints, set_trainable
from tfp_gmnvp.training.mixture_start import MixtureStart
from tfp_gmnvp.training.mixture_updates import FullBatchEM, MixtureUpdate
from tfp_gmnvp.training.running_means import running_mean
from tfp_gmnvp.training.saving import SavedByConfiguration
from tfp_gmnvp.training.step import TrainingSteps
from tfp_gmnvp.training.trained_weights import TrainedWeights

__all__ = ["FlowModel"]

tfd = tfp.distributions
keras = tf.keras


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowModel(
    SavedByConfiguration,
    MixtureStart,
    TrainingSteps,
    KerasMethods,
    TrainedWeights,
    ReplicatedModel,
    keras.Model,
):
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

    A flow with a `context_size` takes pairs: `fit((x, context))`, `predict((x, context))`, data
    sets of `((x, context),)`. The loss is the mean of -log p(x | context) then, and a gate trains
    by gradient, whatever updates the rest of the mixture.

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

    `model.trainable = False` holds all of the flow as it is; so does, for its part,
    `flow.bijector.trainable = False`, `flow.distribution.trainable = False` (the mixture), or that
    of one coupling. It counts from the next `fit` on, and is not saved.

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

        Raises:
          TypeError: if `distribution` is no such flow.
          ValueError: if `n_init` is below one.
        """
        check_flow(distribution, "distribution")
        check_whole_number("n_init", n_init)
        dtype = tf.as_dtype(distribution.dtype).name
        super().__init__(dtype=dtype, autocast=False, name=name)  # points may be float64
        replicas.check_created_in_scope(distribution.variables, self.distribute_strategy)
        self.distribution = distribution
        self._initialize, self._n_init, self._seed = initialize, n_init, stateless_seed(seed)
        # Not `_loss_tracker`, which Keras' `compile` replaces by its own.
        self._mean_loss, self._mean_bits, self._mean_accuracy = (
            running_mean(name, distribution.dtype) for name in ("loss", "bits_per_dim", "accuracy")
        )
        self._is_initialized = tf.Variable(not initialize, trainable=False, name="is_initialized")
        self._num_epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="num_epochs")
        mixture = distribution.distribution
        gate = mixtures.gate_variables(mixture)
        self._bijector_weights = adopt([*distribution.bijector.trainable_variables, *gate])
        keep_constraints(self._bijector_weights, distribution)
        of_gate = {id(v) for v in gate}
        self._mixture_weights = adopt(
            [v for v in mixture.trainable_variables if id(v) not in of_gate]
        )
        constants = [v for v in distribution.variables if not v.trainable]
        self._constants = adopt([*constants, self._is_initialized, self._num_epochs])
        self._num_components = mixture.components_distribution.batch_shape[-1]
        self.mixture_update, self.label_weight = None, 1.0
        self._optimized = None, frozenset()
        self._update_state = UpdateState()
        self._finite_steps = FiniteSteps()
        self.built = True

    def compile(
        self,
        optimizer="adam",
        *,
        mixture_update: MixtureUpdate | None = None,
        label_weight: float = 1.0,
        jit_compile: bool | str = "auto",
        **kwargs,
    ) -> None:
        """Says how to train.

        Args:
          optimizer: of the bijector's variables, and under `GradientUpdate` of the mixture's. If it
            averages them (`use_ema`), `fit` leaves the averages, and a mixture that fits them, or
            the weights themselves where these have the lower loss: on the validation data, or else
            on training data.
          mixture_update: how the mixture is updated; `None` for `FullBatchEM()`. The model takes a
            copy, so that one object serves several models.
          label_weight: how much log p(y | x) of a labelled point counts beside log p(x).
          jit_compile: whether XLA compiles the steps; `"auto"` if it can: without a
            `tf.distribute` strategy, and not under `run_eagerly`.
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
        check_number("label_weight", label_weight, lambda w: w >= 0, "not be negative")
        mixture_update = copy.copy(mixture_update)  # which holds what belongs to this model
        mixture_update.build(self.distribution)
        self.mixture_update, self.label_weight = mixture_update, label_weight
        self._update_state = UpdateState(mixture_update.variables)
        kwargs.setdefault("weighted_metrics", [])  # none: `loss` is weighted as it is
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)  # we do it ourselves
        self._make_steps(jit_compile)
        for weight in self._mixture_weights:
            set_trainable(weight, mixture_update.trains_by_gradient)
        self._build_optimizer()

    @property
    def metrics(self):
        """Running means, reset at every epoch: of the loss, the accuracy, images' bits."""
        trackers = [self._mean_loss, self._mean_accuracy]
        has_images = self.distribution.event_shape.rank == 3
        return [*trackers, self._mean_bits] if has_images else trackers

    def call(self, x):
        """log p(x) in nats."""
        x, call_kwargs = conditional.points_and_context(self.distribution, x)
        flow = self.distribution
        return precision.log_prob(
            conditional.condition(flow, **call_kwargs) if call_kwargs else flow, x
        )

    @columns.learns_columns
    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, with the same arguments.

        Args:
          x: an array `[N, D]` or `[N, H, W, C]`, or batches as a `tf.data.Dataset` or `PyDataset`
            of `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; with a context `(x, context)` in
            the place of `x`.
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

        Warns:
          DegenerateDataWarning: if columns of x are constant, discrete, or functions of others, or
            rows are copies. Of batches the rows are looked at that the mixture starts from.
        """
        self._check_compiled("fit")
        names = columns.input_columns(self.distribution, x).points
        x = self._paired(x)
        fit = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        fit.update(fit.pop("kwargs", {}))
        validation = conditional.validation_paired(self.distribution, fit.get("validation_data"))
        fit["validation_data"] = validation
        fit = fit_arguments.training_arguments(fit, self.distribution)
        self._warn_if_degenerate(fit["x"], fit["sample_weight"], names)
        self._make_steps_if_frozen_otherwise()
        self.is_fitting = True
        try:
            with value_errors_of_batches():
                return self._fit(fit, super().fit)
        finally:
            self.is_fitting = False

    def _fit(self, arguments, keras_fit):
        """Initialises, if need be, and trains, on data that was checked or checks itself."""
        dtype = self.distribution.dtype
        batches = streams.training_batches(
            arguments["x"],
            arguments["y"],
            arguments["sample_weight"],
            steps_per_epoch=arguments.get("steps_per_epoch"),
            dtype=dtype,
            keeps_float64=precision.takes_float64(self.distribution),
        )
        if not self._is_initialized.numpy() and self.trainable:
            self._initialize_from_sample(arguments, batches)
        shared = distribute(batches, self.distribute_strategy, data=arguments["x"])
        averages = FinalWeights(self, batches, arguments)
        first = [CountEpochs(self), SkippedSteps(self._finite_steps), DivergenceCheck(), averages]
        last = [UpdateBetweenEpochs(self, shared), ResumeAtWeights(self), averages.before_the_end]
        arguments["callbacks"] = [*first, *arguments["callbacks"], *last]
        by_rows = row_batches.fit_by_rows(arguments, self._shuffle_seed, self._num_epochs, dtype)
        history = keras_fit(**by_rows)
        with self.distribute_strategy.scope():
            self.update_in_force.on_train_end(self.distribution, batches)
        averages.done()
        return history

    def _warn_if_degenerate(self, x, sample_weight, names=None):
        shape = self.distribution.event_shape
        event_size = shape[0] if shape.rank == 1 else None  # a context may be discrete
        degenerate_data.warn_if_degenerate(
            x, names=names, sample_weight=sample_weight, event_size=event_size
        )

    def _initialize_from_sample(self, arguments, batches):
        """Sets the mixture down on a sample of all the data, be it sorted or not."""
        options = {"size": 10_000, "seed": self._seed.numpy().view(np.uint32)}
        if hasattr(arguments["x"], "shape"):
            data = [arguments[name] for name in ("x", "y", "sample_weight")]
            options["dtype"] = self.distribution.dtype
            x, y, sample_weight = samples.sample_of_arrays(*data, **options)
        else:
            x, y, sample_weight = samples.sample_of_batches(batches, **options)
        self.initialize_mixture(x, sample_weight, y)
        if not hasattr(arguments["x"], "shape"):  # arrays have been looked at
            self._warn_if_degenerate(x, sample_weight)

    def _check_compiled(self, method):
        if self.mixture_update is None:
            raise ValueError(f"`compile` must be called before `{method}`.")

    def _shuffle_seed(self, epoch):
        """The seed that the rows of an epoch are shuffled by, the same for all workers."""
        return tf.random.experimental.stateless_fold_in(self._seed, epoch)
