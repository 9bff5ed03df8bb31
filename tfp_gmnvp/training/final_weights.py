"""What `fit` leaves where the optimizer averages the weights."""

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

_MOST_ROWS = 100_000  # to fit the mixture by at the end, and to judge by
_MOST_ITERATIONS = 20
_TOLERANCE = 1e-3  # nats per point
_WORTH_A_WORD = 0.01  # nats per point


class FinalWeights(keras.callbacks.Callback):
    """Sees to what `fit` leaves where the optimizer averages the weights.

    That are the averages or the weights themselves, whichever have the lower loss with a mixture
    that fits them. A callback that restores others as training ends, as `EarlyStopping` does, comes
    after this one, and has its way. Without averages it does nothing.
    """

    def __init__(self, flow_model, data: TrainingData, validation_steps: int | None = None):
        """Keeps the model and the data.

        Args:
          flow_model: the model that trains.
          data: to train on, and to validate by.
          validation_steps: how many batches of a data set to validate by; `None` for all.
        """
        super().__init__()
        self._flow_model, self._last = flow_model, None
        self._validation, self._validation_steps = data.validation_data, validation_steps
        self._is_readable = not _is_read_once(data.x)
        self._training = _first_rows(data.read)
        self._mean_loss = _mean_loss(flow_model.distribution)
        self._gap, self._left = None, None
        is_active = uses_averages(flow_model.optimizer)
        self._is_active, self.before_the_end = is_active, _BeforeTheEnd(self)

    def keep(self) -> None:
        """Remembers the weights, before Keras puts the averages in their place."""
        if self._is_active:
            self._last = self._values()

    def on_train_end(self, logs=None):
        """Chooses between the weights and their averages, both with a mixture that fits them."""
        if not self._is_active or self._last is None:
            return
        for weight, average in averages_of(self._flow_model.optimizer, self._flow_model.weights):
            weight.assign(average)
        averages, judge = self._with_fitted_mixture(), self._judge()
        if judge is None:
            self._assign(averages[-1])
            return
        self._assign(self._last)
        weights = self._with_fitted_mixture()
        losses = [self._loss(values, judge) for values in (*averages, *weights)]
        self._assign([*averages, *weights][int(np.argmin(losses))])
        gap = min(losses[: len(averages)]) - min(losses)
        if not gap < _WORTH_A_WORD:
            self._gap, self._left = gap, self._values()

    def done(self) -> None:
        """Lets the averages go on from what stayed, and says so if the averages did not."""
        if not self._is_active:
            return
        restart(self._flow_model.optimizer, self._flow_model.weights)
        if self._left is not None and _are_equal(self._left, self._values()):
            warnings.warn(
                "`fit` leaves the weights themselves rather than their moving averages "
                f"(`use_ema`), whose loss is {self._gap:.2g} nats per point higher: they reach "
                "back over too large a part of the training. Lower `ema_momentum`, train for more "
                "steps, or have the learning rate fall to zero.",
                TrainingWarning,
                stacklevel=4,
            )

    def _with_fitted_mixture(self):
        """The values that there are, and after them those of some iterations of EM."""
        flow, update = self._flow_model.distribution, self._flow_model.update_in_force
        before = self._values()
        if not (isinstance(update, InterleavedEM) and self._is_readable):
            return [before]
        _fit_mixture(flow, self._training, update)
        return [before, self._values()]

    def _judge(self):
        """What reads the rows to judge by, or `None` if there are none."""
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


class _BeforeTheEnd(keras.callbacks.Callback):
    """Has the weights kept at the end of the last epoch, after all other callbacks."""

    def __init__(self, final_weights: FinalWeights):
        super().__init__()
        self._final_weights = final_weights

    def on_train_begin(self, logs=None):
        """Keeps them, should there be no epoch to come."""
        self._final_weights.keep()

    def on_epoch_end(self, epoch, logs=None):
        """Keeps them; `stop_training` may make any epoch the last one."""
        is_last = epoch + 1 >= self.params.get("epochs", 1)
        if is_last or getattr(self.model, "stop_training", False):
            self._final_weights.keep()


def _fit_mixture(flow, batches, update):
    """Some iterations of EM, from where the mixture is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it need not
        fit_latents(
            flow,
            batches,
            covariance_floor=update.covariance_floor,
            prior=update.prior,
            tolerance=_TOLERANCE,
            max_iterations=_MOST_ITERATIONS,
        )


def _mean_loss(flow) -> Callable:
    """What takes batches to the mean of -log p(x) in nats, weighted where there are weights."""

    @tf.function(reduce_retracing=True)
    def sums(rows, sample_weight):
        x, condition = conditional.points_and_context(flow, rows)
        conditioned = conditional.condition(flow, **condition) if condition else flow
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
    """The first batches, until there are many rows."""

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
