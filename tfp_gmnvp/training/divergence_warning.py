"""Warns if the final training loss is far above the lowest one."""

from __future__ import annotations

import warnings

import tensorflow as tf

from tfp_gmnvp.training.training_warnings import TrainingWarning

__all__ = ["DivergenceCheck"]

keras = tf.keras

_SMALLEST_RISE = 0.1  # nats per point
_SHARE_LOST = 0.2  # of the decrease from the first to the lowest loss


class DivergenceCheck(keras.callbacks.Callback):
    """Warns if the training loss ends far above its lowest value.

    It warns if the loss rose by more than a fifth of its earlier decrease, and by more than 0.1
    nats per point, in both of the last two epochs, so that noise in one epoch does not matter.

    #### Examples

    >>> check = DivergenceCheck()
    >>> for epoch, loss in enumerate([3.0, 1.0, 1.1]):
    ...     check.on_epoch_end(epoch, {"loss": loss})
    >>> round(check.rise, 3)
    0.0
    """

    def __init__(self):
        """Starts with an empty list of losses."""
        super().__init__()
        self._losses = []

    @property
    def rise(self) -> float:
        """The difference between the lower one of the last two losses and the lowest loss."""
        return min(self._losses[-2:]) - min(self._losses) if len(self._losses) > 2 else 0.0

    def on_train_begin(self, logs=None):
        """Clears the losses of earlier training."""
        self._losses = []

    def on_epoch_end(self, epoch, logs=None):
        """Appends the loss."""
        if logs and "loss" in logs:
            self._losses.append(float(logs["loss"]))

    def on_train_end(self, logs=None):
        """Compares the last losses with the lowest one.

        Warns:
          TrainingWarning: if they are far above it.
        """
        if not self._losses:
            return
        best = min(self._losses)
        gained = self._losses[0] - best
        if self.rise > max(_SMALLEST_RISE, _SHARE_LOST * gained):
            epoch = 1 + self._losses.index(best)
            warnings.warn(
                f"The training loss ended at {self._losses[-1]:.4g} nats per point, far above its "
                f"best, {best:.4g} in epoch {epoch} of {len(self._losses)}: training diverged. "
                "Lower the `learning_rate`, or reduce it by a schedule; `global_clipnorm=1.0` in "
                "the optimizer helps, and `EarlyStopping('loss', restore_best_weights=True)` keeps "
                "the best weights.",
                TrainingWarning,
                stacklevel=2,
            )
