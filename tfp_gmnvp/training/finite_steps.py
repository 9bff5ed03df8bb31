"""Skips training steps whose loss or gradient is not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfp_gmnvp._compat import own_gradients, takes_tensors_as_logs
from tfp_gmnvp.training.devices import replicas

__all__ = ["FiniteSteps", "SkippedSteps", "if_finite"]

keras = tf.keras

_MOST_IN_A_ROW = 10


class FiniteSteps:
    """Takes a step if its loss and its gradient are finite, and counts skipped steps.

    A step that is skipped leaves all variables as they were, the optimizer's among them. Only under
    a `tf.distribute` strategy an optimizer with momentum moves on by that, as if the gradient were
    zero.

    The counts are no weights of the model: nothing saves them.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> steps = FiniteSteps()
    >>> for gradient in (2.0, float("nan")):
    ...     gradients = [tf.constant(gradient)]
    ...     taken = steps.take(lambda g: variable.assign_sub(g[0]), tf.constant(0.0), gradients)
    >>> variable.numpy().item(), steps.skipped.numpy().item()
    (-1.0, 1)
    """

    def __init__(self):
        """Starts at zero."""
        self.skipped, self.in_a_row = _count("skipped_steps"), _count("skipped_steps_in_a_row")

    def take(
        self,
        update: Callable[[Sequence[tf.Tensor]], object],
        loss: tf.Tensor,
        gradients: Sequence[tf.Tensor],
        *,
        given: Sequence[tf.Tensor] | None = None,
        otherwise: Callable[[], object] | None = None,
    ) -> tf.Tensor:
        """Calls `update` with the gradients, unless they or the loss are not finite.

        Args:
          update: assigns all that a training step assigns.
          loss: a scalar, under several replicas this one's share.
          gradients: one for each variable, or `None` for one that the loss does not know.
          given: what `update` is called with, if not with the gradients themselves: those of a
            loss that is scaled.
          otherwise: has an optimizer lower the scale of its loss, where it does so; it is called if
            they are not finite, unless `update` is, with gradients that are not.

        Returns:
          Whether they are finite, a scalar.
        """
        is_finite = _are_finite(loss, gradients)
        self.skipped.assign_add(tf.cast(~is_finite, tf.int64))
        self.in_a_row.assign(tf.where(is_finite, tf.constant(0, tf.int64), self.in_a_row + 1))
        given = gradients if given is None else given
        if tf.distribute.has_strategy():
            # Replicas exchange their gradients within the optimizer, which is not to be left out.
            instead = 0.0 if otherwise is None else np.nan
            update([None if g is None else tf.where(is_finite, g, instead) for g in given])
        else:
            if_finite(is_finite, lambda: update(given), otherwise)
        return is_finite


class SkippedSteps(keras.callbacks.Callback):
    """Shows how many steps of each epoch were skipped, and stops after several in a row.

    #### Examples

    >>> logs = {"loss": 1.0}
    >>> SkippedSteps(FiniteSteps()).on_epoch_end(0, logs)
    >>> logs["skipped_steps"]
    0
    """

    def __init__(self, steps: FiniteSteps):
        """Reads the counts of `steps`."""
        super().__init__()
        self._steps, self._next_check = steps, _MOST_IN_A_ROW
        takes_tensors_as_logs(self)

    def on_train_begin(self, logs=None):
        """Resets the counts."""
        self._steps.skipped.assign(0)
        self._steps.in_a_row.assign(0)

    def on_epoch_begin(self, epoch, logs=None):
        """Resets the count of the epoch."""
        self._steps.skipped.assign(0)
        self._next_check = _MOST_IN_A_ROW

    def on_train_batch_end(self, batch, logs=None):
        """Stops training after ten skipped steps in a row; checks once in ten steps.

        Raises:
          FloatingPointError: if so; the variables are those of before.
        """
        if batch + 1 >= self._next_check:  # several at a time under `steps_per_execution`
            self._next_check = batch + 1 + _MOST_IN_A_ROW
            self._check()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the count to the logs, which later callbacks show and record.

        Raises:
          FloatingPointError: as `on_train_batch_end`.
        """
        self._check()
        if logs is not None:
            logs["skipped_steps"] = int(self._steps.skipped.numpy())

    def _check(self):
        in_a_row = int(self._steps.in_a_row.numpy())
        if in_a_row >= _MOST_IN_A_ROW:
            raise FloatingPointError(
                f"The loss or its gradient was not finite in {in_a_row} steps in a row, which were "
                "skipped: the variables are those of before. Try a lower `learning_rate` or a "
                "`global_clipnorm` in the optimizer, a lower `max_log_scale` of the flow, or "
                "`standardize=x`."
            )


def if_finite(
    is_finite: tf.Tensor,
    update: Callable[[], object],
    otherwise: Callable[[], object] | None = None,
) -> None:
    """Calls `update`, which assigns variables, if a step was finite.

    Args:
      is_finite: a scalar.
      update: takes the step.
      otherwise: called in its place; `None` for nothing.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> if_finite(tf.constant(False), lambda: variable.assign(2.0))
    >>> variable.numpy().item()
    1.0
    """

    def call(function):
        function()
        own_gradients()
        return tf.constant(1)  # both branches of a `tf.cond` return the same

    tf.cond(is_finite, lambda: call(update), lambda: call(otherwise or (lambda: None)))


def _count(name):
    first = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(0, trainable=False, dtype=tf.int64, name=name, aggregation=first)


def _are_finite(loss, gradients):
    """Whether the loss and all gradients are finite, on all replicas."""
    squares = [tf.nn.l2_loss(g) for g in gradients if g is not None]
    is_finite = tf.math.is_finite(tf.add_n([tf.abs(loss), *squares]))
    [not_finite] = replicas.sum_over_replicas([tf.cast(~is_finite, tf.float32)])
    return tf.equal(not_finite, 0)
