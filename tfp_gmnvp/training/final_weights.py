"""Chooses the final weights of `fit` if the optimizer averages the weights (`use_ema`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tfp_gmnvp.flows import conditional, precision
from tfp_gmnvp.training.data import rereading
from tfp_gmnvp.training.data.training_data import TrainingData
from tfp_gmnvp.training.mixture_updates.fit_mixture import ConvergenceWarning, fit_latents
from tfp_gmnvp.training.mixture_updates.interleaved import InterleavedEM
from tfp_gmnvp.training.training_warnings import TrainingWarning
from tfp_gmnvp.training.weight_averages import averages_of, restart, uses_averages

__all__ = ["FinalWeights"]

keras = tf.keras

_MOST_ROWS = 100_000  # for the final fit of the mixture, and for the comparison of losses
_MOST_ITERATIONS = 20
_TOLERANCE = 1e-3  # nats per point
_MIN_GAP_TO_WARN = 0.01  # nats per point


class FinalWeights(keras.callbacks.Callback):
    """Assigns the final weights at the end of training if the optimizer averages the weights.

    The final weights are the averages or the weights themselves: the ones with the lower loss,
    after EM has fitted the mixture to each. A callback that restores other weights at the end, such
    as `EarlyStopping`, runs later and overrides this choice. Without averages this callback does
    nothing.
    """

    def __init__(self, flow_model, data: TrainingData, validation_steps: int | None = None):
        """Stores the model and the data.

        Args:
          flow_model: the model that is trained.
          data: the training and validation data.
          validation_steps: number of batches of a validation data set; `None` for all.
        """
        super().__init__()
        self._flow_model, self._last = flow_model, None
        self._validation, self._validation_steps = data.validation_data, validation_steps
        self._is_readable = not _is_read_once(data.x)
        self._training = _first_rows(data.read)
        self._mean_loss = _mean_loss(flow_model.distribution)
        self._gap, self._left = None, None
        is_active = uses_averages(flow_model.optimizer)
        self._is_active, self.last_callback = is_active, _StoreLastWeights(self)

    def keep(self) -> None:
        """Stores the weights before Keras overwrites them with their averages."""
        if self._is_active:
            self._last = self._values()

    def on_train_end(self, logs=None):
        """Chooses between the weights and their averages, each with a mixture fitted by EM."""
        if not self._is_active or self._last is None:
            return
        for weight, average in averages_of(self._flow_model.optimizer, self._flow_model.weights):
            weight.assign(average)
        averages, judge = self._with_fitted_mixture(), self._comparison_batches()
        if judge is None:
            self._assign(averages[-1])
            return
        self._assign(self._last)
        weights = self._with_fitted_mixture()
        losses = [self._loss(values, judge) for values in (*averages, *weights)]
        self._assign([*averages, *weights][int(np.argmin(losses))])
        gap = min(losses[: len(averages)]) - min(losses)
        if not gap < _MIN_GAP_TO_WARN:
            self._gap, self._left = gap, self._values()

    def finish(self) -> None:
        """Restarts the averages from the final weights; warns if the averages were not chosen.

        Warns:
          TrainingWarning: if the averages have a higher loss than the weights.
        """
        if not self._is_active:
            return
        restart(self._flow_model.optimizer, self._flow_model.weights)
        if self._left is not None and _are_equal(self._left, self._values()):
            warnings.warn(
                "`fit` leaves the weights themselves, not their moving averages (`use_ema`), whose "
                f"loss is {self._gap:.2g} nats per point higher: they average over too many steps. "
                "Lower `ema_momentum`, train for more steps, or reduce the learning rate to zero "
                "by a schedule.",
                TrainingWarning,
                stacklevel=4,
            )

    def _with_fitted_mixture(self):
        """The current values of the variables, and those after some iterations of EM."""
        flow, update = self._flow_model.distribution, self._flow_model.update_in_force
        before = self._values()
        if not (isinstance(update, InterleavedEM) and self._is_readable):
            return [before]
        _fit_mixture(flow, self._training, update)
        return [before, self._values()]

    def _comparison_batches(self):
        """The function that reads the rows for the comparison, or `None` if there are none."""
        validation = self._validation
        if validation is None:
            return self._training if self._is_readable else None
        if _is_read_once(validation):
            return None
        data = keras.utils.unpack_x_y_sample_weight(validation)
        if not isinstance(validation, tuple):
            data = (validation, None, None)
        steps = self._validation_steps
        flow, is_data_set = self._flow_model.distribution, isinstance(data[0], tf.data.Dataset)
        return _first_rows(
            rereading.training_batches(
                *data,
                steps_per_epoch=steps if is_data_set else None,
                dtype=flow.dtype,
                keeps_float64=precision.takes_float64(flow),
            )
        )

    def _loss(self, values, batches):
        self._assign(values)
        loss = self._mean_loss(batches)
        return loss if np.isfinite(loss) else np.inf

    def _values(self):
        return [v.numpy().copy() for v in self._flow_model.distribution.variables]

    def _assign(self, values):
        for variable, value in zip(self._flow_model.distribution.variables, values, strict=True):
            variable.assign(value)


class _StoreLastWeights(keras.callbacks.Callback):
    """Stores the weights at the end of the last epoch, after all other callbacks."""

    def __init__(self, final_weights: FinalWeights):
        super().__init__()
        self._final_weights = final_weights

    def on_train_begin(self, logs=None):
        """Stores the weights, because there may be no epoch."""
        self._final_weights.keep()

    def on_epoch_end(self, epoch, logs=None):
        """Stores the weights if this epoch is the last one, by its number or `stop_training`."""
        is_last = epoch + 1 >= self.params.get("epochs", 1)
        if is_last or getattr(self.model, "stop_training", False):
            self._final_weights.keep()


def _fit_mixture(flow, batches, update):
    """Runs some iterations of EM from the current mixture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few iterations are enough
        fit_latents(
            flow,
            batches,
            covariance_floor=update.covariance_floor,
            prior=update.prior,
            tolerance=_TOLERANCE,
            max_iterations=_MOST_ITERATIONS,
        )


def _mean_loss(flow) -> Callable:
    """Returns a function from batches to the weighted mean of -log p(x) in nats."""

    @tf.function(reduce_retracing=True)
    def sums(rows, sample_weight):
        x, context = conditional.points_and_context(flow, rows)
        conditioned = conditional.condition(flow, **context) if context else flow
        log_prob = tf.cast(precision.log_prob(conditioned, x), tf.float64)
        weights = tf.ones_like(log_prob)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, tf.float64)
        return tf.reduce_sum(tf.math.multiply_no_nan(log_prob, weights)), tf.reduce_sum(weights)

    def mean(batches):
        totals = [sums(rows, weights) for rows, _, weights in batches()]
        log_prob, mass = (float(sum(part)) for part in zip(*totals, strict=True))
        return -log_prob / mass if mass > 0 else np.nan

    return mean


def _first_rows(batches) -> Callable[[], Iterator[rereading.Batch]]:
    """Limits batches to the first ones, with about 100,000 rows."""

    def read():
        number = 0
        for batch in batches():
            yield batch
            number += len(batch[0])
            if number >= _MOST_ROWS:
                return

    return read


def _is_read_once(data) -> bool:
    return hasattr(data, "__next__")


def _are_equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
