"""The Keras model: a gradient step on the bijector and an update of the mixture, interleaved."""

from __future__ import annotations

import contextlib
import copy
import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import build_nothing
from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp._shared.tables import is_table
from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.flows.configuration import flow_config
from tfp_gmnvp.flows.gaussian_mixture_flow import check_flow
from tfp_gmnvp.training import parameter_table, saving, weight_averages
from tfp_gmnvp.training.current_steps import current_steps
from tfp_gmnvp.training.data import fit_arguments, row_batches
from tfp_gmnvp.training.data.batch_checks import value_errors_of_batches
from tfp_gmnvp.training.data.checked_data import checked_data
from tfp_gmnvp.training.data.shuffling import shuffle_seed
from tfp_gmnvp.training.data.training_data import TrainingData
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.finite_steps import FiniteSteps
from tfp_gmnvp.training.keras_weights import KERAS, UpdateState, tf_variable
from tfp_gmnvp.training.mixture_start import start_on_data
from tfp_gmnvp.training.mixture_updates import FullBatchEM, MixtureUpdate
from tfp_gmnvp.training.running_means import RunningMeans, kept
from tfp_gmnvp.training.training_run import train
from tfp_gmnvp.training.weights import FlowWeights, update_in_force

__all__ = ["FlowModel"]

keras, tfd = tf.keras, tfp.distributions


@keras.utils.register_keras_serializable(package="tfp_gmnvp")
class FlowModel(keras.Model):
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

    The first `fit` initialises the mixture by k-means++ on the latents of the untrained flow.
    Calling the model, and `predict`, give `log_prob`. The density itself is `flow`; `distribution`
    is another name of it.

    Where the events are images `[H, W, C]`, `bits_per_dim` and `val_bits_per_dim` are reported too,

        -log p(x) / (D log 2),    D = H W C,

    the code length of a pixel's channel to within one unit of x: for dequantised pixels
    (`datasets.dequantize`), one grey level.

    What Keras saves is all that training needs to continue as if it had not been interrupted: the
    flow, the optimizer, and how many epochs the mixture's update has seen. A `.keras` file holds
    the configuration, too, so that `keras.models.load_model` builds the flow and compiles the
    model; in a new process, `import tfp_gmnvp` comes first.

    `model.trainable = False` freezes all of the flow; `flow.bijector.trainable = False`,
    `flow.distribution.trainable = False` (the mixture), or that of one coupling, freeze a part. It
    takes effect at the next `fit`, and is not saved.

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

    #: Each replica's step returns the same loss: tf_keras would add them up.
    distribute_reduction_method = "first"
    _maybe_symbolic_build = build_nothing

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
          initialize: whether the first `fit` initialises the mixture by k-means++; if not, it
            starts from the parameters that it has.
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
        self._means = RunningMeans(distribution.event_shape, distribution.dtype)
        # Not `_loss_tracker`, which Keras' `compile` replaces by its own.
        self._mean_loss, self._mean_bits, self._mean_accuracy = self._means.all
        self._is_initialized = tf.Variable(not initialize, trainable=False, name="is_initialized")
        self._num_epochs = tf.Variable(0, trainable=False, dtype=tf.int64, name="num_epochs")
        self._groups = FlowWeights(distribution, [self._is_initialized, self._num_epochs])
        self._bijector_weights = self._groups.bijector  # attributes, which Keras tracks and saves
        self._mixture_weights, self._constants = self._groups.mixture, self._groups.constants
        self.mixture_update, self.label_weight, self.compiles_by_xla = None, 1.0, "auto"
        self._update_state, self._finite_steps = UpdateState(), FiniteSteps()
        self._data, self._steps = None, None  # of the `fit` that runs, and of `compile`
        self.built = True

    @property
    def flow(self) -> tfd.TransformedDistribution:
        """The density that is trained."""
        return self.distribution

    def compile(
        self,
        optimizer="adam",
        *,
        mixture_update: MixtureUpdate | None = None,
        label_weight: float = 1.0,
        jit_compile: bool | str = "auto",
        **kwargs,
    ) -> None:
        """Configures training.

        Args:
          optimizer: of the bijector's variables, and under `GradientUpdate` of the mixture's. If it
            averages them (`use_ema`), `fit` leaves the averages, and a mixture that fits them, or
            the weights themselves where these have the lower loss: on the validation data, or else
            on training data.
          mixture_update: how the mixture is updated; `None` for `FullBatchEM()`. The model takes a
            copy, so that one object serves several models.
          label_weight: weight of log p(y | x) of a labelled point beside log p(x).
          jit_compile: whether XLA compiles the steps; with `"auto"` it does in a `fit` of so many
            steps that it pays, and never under a `tf.distribute` strategy or `run_eagerly`.
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
        fit_arguments.check_no_loss(kwargs)
        check_number("label_weight", label_weight, lambda w: w >= 0, "not be negative")
        mixture_update = copy.copy(mixture_update)  # which holds what belongs to this model
        mixture_update.build(self.flow)
        self.mixture_update, self.label_weight = mixture_update, label_weight
        self.compiles_by_xla = jit_compile
        self._update_state = UpdateState(mixture_update.variables)
        kwargs.setdefault("weighted_metrics", [])  # none: `loss` is weighted as it is
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)  # we do it ourselves
        self._groups.mark_mixture(mixture_update)
        self._steps = None
        self._prepare_steps()

    @property
    def update_in_force(self) -> MixtureUpdate | None:
        """The mixture's update, or one that does nothing where the mixture is frozen."""
        return update_in_force(self.flow, self.mixture_update, self.trainable)

    @property
    def trainable_weights(self):
        """What the optimizer trains: the bijector, and under `GradientUpdate` the mixture."""
        return self._groups.trained_by_gradient(self.mixture_update) if self.trainable else []

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

    @property
    def metrics(self):
        """Running means, reset at every epoch: of the loss, the accuracy, images' bits."""
        return self._means.reported

    def __call__(self, x, *args, **kwargs):
        """log p(x) in nats; see `call`."""
        if any(is_table(part) for part in (x if isinstance(x, tuple) else [x])):
            x = columns.table_to_array(conditional.paired(self.flow, x), "x", self.flow)
        return super().__call__(x, *args, **kwargs)

    def call(self, x):
        """log p(x) in nats."""
        x, context = conditional.points_and_context(self.flow, x)
        flow = conditional.condition(self.flow, **context) if context else self.flow
        return precision.log_prob(flow, x)

    @columns.learns_columns
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        **kwargs,
    ):
        """Trains as `keras.Model.fit` does, with the same arguments.

        Args:
          x: an array `[N, D]` or `[N, H, W, C]`, or batches as a `tf.data.Dataset` or `PyDataset`
            of `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; with a context `(x, context)` in
            the place of `x`.
          y: labels `[N]` that go with an array, integers in -1 .. K-1, with -1 for no label; or
            `None`.
          batch_size: points of a batch of an array; `None` for 32.
          epochs: number of the last epoch.
          verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch.
          callbacks: of Keras.
          validation_split: fraction of an array's last rows to validate by.
          validation_data: points, or `(x, y)`, `(x, y, sample_weight)`, or batches.
          shuffle: whether an array's rows are shuffled in every epoch, by the model's seed.
          class_weight: refused; see `sample_weight`.
          sample_weight: weights `[N]` that go with an array.
          initial_epoch: number of the epoch to start at.
          steps_per_epoch: batches of an epoch; `None` for all.
          validation_steps: batches of a data set to validate by; `None` for all.
          validation_batch_size: points of a batch of validation data.
          validation_freq: epochs from one validation to the next.
          **kwargs: what else `keras.Model.fit` takes.

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
        arguments = fit_arguments.passed_on(locals())
        self._check_compiled("fit")
        arguments = fit_arguments.check_fit_arguments(arguments)
        names = ("x", "y", "sample_weight", "validation_data", "validation_split")
        data = {name: arguments.pop(name) for name in names}
        seed = self._seed.numpy().view(np.uint32)
        data = TrainingData(self.flow, **data, steps_per_epoch=steps_per_epoch, seed=seed)
        if data.is_array:
            data.warn_if_degenerate()
        self._prepare_steps(data.num_steps(arguments))
        with self._fitting(data), value_errors_of_batches():
            if not self._is_initialized.numpy() and self.trainable:
                self._start(data.rows(), *data.sample[1:])
                if not data.is_array:
                    data.warn_if_degenerate()
            return train(
                self,
                data,
                arguments,
                finite_steps=self._finite_steps,
                num_epochs=self._num_epochs,
                shuffle_seed=functools.partial(shuffle_seed, self._seed),
                keras_fit=super().fit,
            )

    @columns.learns_columns
    def initialize_mixture(self, x, y=None, sample_weight=None) -> None:
        """Initialises the mixture by k-means++ on the latents of these points, and `ActNorm`s.

        The first `fit` does so on its own. Frozen parts do not change.

        Args:
          x: points `[N, D]`, at least K of them; with a context the pair `(x, context)`.
          y: labels `[N]` in -1 .. K-1, whose components start on their points; or `None`.
          sample_weight: weights `[N]` or `None`.

        Raises:
          TypeError: if points or weights are not numbers.
          ValueError: if there are fewer points than components, or the data is invalid.
        """
        data = checked_data(x, y, sample_weight, self.flow)
        rows = conditional.flow_rows(self.flow, data["x"])
        self._start(rows, data["y"], data["sample_weight"])

    def train_step(self, data):
        """One gradient step on the bijector and one update of the mixture."""
        return self._means.update(self._steps.train(data))

    def test_step(self, data):
        """The negative log-likelihood of a batch."""
        return self._means.update(self._steps.test(data))

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """The negative log-likelihood in nats per point, as `keras.Model.evaluate` reports a loss.

        A callback may call it within an epoch: the epoch's own means are not changed.

        Args:
          x: as for `fit`.
          y: as for `fit`: labels `[N]`, or `None`.
          batch_size: points of a batch of an array; `None` for 32.
          verbose: as for `fit`.
          sample_weight: weights `[N]` that go with an array.
          steps: batches of a data set; `None` for all.
          callbacks: of Keras.
          return_dict: whether the result is a dict of the means by name.
          **kwargs: what else `keras.Model.evaluate` takes.

        Returns:
          The mean of -log p(x), weighted where there are sample weights; with labels, a list of it
          and the accuracy.
        """
        arguments = fit_arguments.passed_on(locals())
        if self._data is None or not self._data.validates_by(x):  # which is checked already
            arguments.update(checked_data(x, y, sample_weight, self.flow))
        with value_errors_of_batches(), kept(self.metrics if self._data else ()):
            arguments = row_batches.read_by_rows(arguments, self.flow.dtype)
            results = super().evaluate(**arguments)
            has_points = hasattr(arguments["x"], "shape") or np.any(self._mean_loss.count)
        if not has_points:  # how many batches there were may have come out only now
            raise ValueError("`x` must hold points of a weight above zero, and has none.")
        return results

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None, **kwargs):
        """log p(x) in nats.

        Args:
          x: as for `fit`.
          batch_size: points of a batch of an array; `None` for 32.
          verbose: as for `fit`.
          steps: batches of a data set; `None` for all.
          callbacks: of Keras.
          **kwargs: what else `keras.Model.predict` takes.

        Returns:
          An array `[N]`.
        """
        arguments = fit_arguments.passed_on(locals())
        arguments["x"] = checked_data(x, None, None, self.flow)["x"]
        with value_errors_of_batches(), row_batches.some_batches():
            return super().predict(**row_batches.read_by_rows(arguments, self.flow.dtype))

    @columns.learns_columns
    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        """Takes one step on one batch; arguments as of `keras.Model.train_on_batch`."""
        fit_arguments.check_class_weight(class_weight)
        data = checked_data(x, y, sample_weight, self.flow, is_batch=True)
        self._check_compiled("train_on_batch")
        self._prepare_steps()
        return super().train_on_batch(**data, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """The loss of one batch; arguments as of `keras.Model.test_on_batch`."""
        data = checked_data(x, y, sample_weight, self.flow, is_batch=True)
        return super().test_on_batch(**data, **kwargs)

    def predict_on_batch(self, x):
        """log p(x) in nats, `[N]`, of one batch."""
        return super().predict_on_batch(checked_data(x, None, None, self.flow, is_batch=True)["x"])

    def count_params(self) -> int:
        """The number of the flow's parameters, what Keras keeps beside them left out."""
        return parameter_table.count(self.flow.variables)

    def summary(self, line_length=None, positions=None, print_fn=None, **kwargs) -> None:
        """Prints the parts of the flow, how many parameters each has, and what trains them.

        Args:
          line_length: characters of a line; `None` for as many as it takes.
          positions: not used.
          print_fn: gets the table, as one string; `None` for `print`.
          **kwargs: not used; what else `keras.Model.summary` takes.
        """
        trained = {tf_variable(weight).ref() for weight in self.trainable_weights}
        by_update = self.update_in_force is self.mixture_update and self.trainable
        rows = parameter_table.rows(self.flow, self.mixture_update, trained, by_update)
        (print_fn or print)(parameter_table.table(self.name, rows, line_length))

    def get_config(self) -> dict:
        """What `from_config` builds the model of.

        Raises:
          ValueError: if the flow was not built by `gaussian_mixture_flow`, or of callables that
            Keras cannot serialise.
        """
        return {
            "distribution": flow_config(self.flow),
            "initialize": self._initialize,
            "n_init": self._n_init,
            "seed": self._seed.numpy().tolist(),
            "name": self.name,
            "written_by": KERAS,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model, its variables yet to be loaded, of what `get_config` returned.

        Raises:
          ValueError: if it was the other Keras' `get_config`.
        """
        return cls(**saving.rebuilt_arguments(config, custom_objects))

    def get_compile_config(self) -> dict | None:
        """What `compile_from_config` compiles the model by, the mixture's update included."""
        return saving.compile_config(super().get_compile_config(), self)

    def compile_from_config(self, config) -> None:
        """Compiles the model as `get_compile_config` describes."""
        self.compile(**keras.utils.deserialize_keras_object(config))

    def save(self, filepath, *args, **kwargs) -> None:
        """Saves the model as `keras.Model.save` does; a file is there whole or not at all.

        Raises:
          ValueError: if the configuration of the flow or of the mixture's update cannot be
            saved, or in another format than `.keras`; no file is touched then.
        """
        saving.check_keras_file(str(filepath), kwargs)
        self.get_config()
        self.get_compile_config()
        saving.write_file(super().save, ".keras", filepath, *args, **kwargs)

    def save_weights(self, filepath, *args, **kwargs):
        """As of `keras.Model.save_weights`; a file is there whole or not at all."""
        return saving.write_file(super().save_weights, ".h5", filepath, *args, **kwargs)

    def load_weights(self, filepath, *args, **kwargs):
        """As of `keras.Model.load_weights`, but all weights or none; see `saving.read_weights`."""
        return saving.read_weights(super().load_weights, self, filepath, *args, **kwargs)

    def export(self, *args, **kwargs) -> None:
        """Raises a `NotImplementedError` that names `export_flow`."""
        raise NotImplementedError(
            "A `FlowModel` is exported by `tfp_gmnvp.export_flow(model.flow, path)`, as a "
            "SavedModel with the density, its posterior and samples, or by `tfp_gmnvp.to_tflite`."
        )

    def _start(self, rows, y, sample_weight):
        with self.distribute_strategy.scope():
            start_on_data(
                self.flow,
                rows,
                y,
                sample_weight,
                update=self.mixture_update,
                n_init=self._n_init,
                seed=self._seed,
            )
        weight_averages.restart(getattr(self, "optimizer", None), self.weights)
        self._is_initialized.assign(True)

    def _prepare_steps(self, num_steps: int | None = None):
        """Makes the steps, unless those of before are for what is trained now."""
        own = {"seed": self._seed, "finite_steps": self._finite_steps}
        steps = current_steps(self, self._groups, self._steps, num_steps=num_steps, **own)
        if steps is not self._steps:
            self._steps, self.train_function, self.test_function = steps, None, None

    @contextlib.contextmanager
    def _fitting(self, data: TrainingData):
        self._data = data
        try:
            yield
        finally:
            self._data = None

    def _check_compiled(self, method):
        if self.mixture_update is None:
            raise ValueError(f"`compile` must be called before `{method}`.")
