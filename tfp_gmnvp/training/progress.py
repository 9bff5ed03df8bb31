"""Progress of long calls in the style of Keras: a bar, lines, or no output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import tensorflow as tf

__all__ = ["EpochProgress", "Progress", "check_verbose", "without_retracing_warnings"]

keras = tf.keras

_WIDTH = 20


class Progress:
    """Shows progress as a bar, with a description of the current work.

    On a terminal the bar stays in one line. Otherwise, and with `verbose=2`, there is one line for
    each unit of work.

    #### Examples

    >>> progress = Progress("mixtures", 2, verbose=2)
    >>> for covariance_type in ("full", "diag"):
    ...     progress.advance(covariance_type)
    mixtures 1/2 - full
    mixtures 2/2 - diag
    >>> progress.close()
    """

    def __init__(self, title: str, total: int, verbose: int | str = 0):
        """Starts at zero, and prints nothing.

        Args:
          title: name of the units of work.
          total: maximal number of units.
          verbose: as in Keras: 0 for nothing, 1 or 'auto' for a bar, 2 for lines.
        """
        self._title, self._total, self._done = title, total, 0
        self._verbose = 1 if verbose == "auto" else int(verbose)
        self._draws_over = self._verbose == 1 and sys.stdout.isatty()
        self._drawn = 0

    def advance(self, what: str) -> None:
        """Adds one unit of work, and shows its description."""
        self._done = min(self._done + 1, self._total)
        self.show(what, is_new=True)

    def show(self, what: str, *, is_new: bool = False) -> None:
        """Shows a description of the current work if it does not need a new line."""
        if not self._verbose or not (is_new or self._draws_over):
            return
        full = _WIDTH * self._done // max(1, self._total)
        bar = f" [{'=' * full}{'.' * (_WIDTH - full)}]" if self._verbose == 1 else ""
        line = f"{self._title} {self._done}/{self._total}{bar} - {what}"
        if not self._draws_over:
            print(line, flush=True)
            return
        print(f"\r{line}{' ' * (self._drawn - len(line))}", end="", flush=True)
        self._drawn = len(line)

    def close(self) -> None:
        """Ends the line."""
        if self._draws_over and self._drawn:
            print(flush=True)
        self._drawn = 0


class EpochProgress(keras.callbacks.Callback):
    """Shows the losses of each epoch of training.

    #### Examples

    >>> progress = Progress("epochs", 2, verbose=2)
    >>> EpochProgress(progress, counts=True).on_epoch_end(0, {"loss": 1.5, "val_loss": 1.25})
    epochs 1/2 - loss 1.5000 - val_loss 1.2500
    """

    def __init__(self, progress: Progress, what: str = "", *, counts: bool = False):
        """Shows epochs on a bar.

        Args:
          progress: the bar.
          what: description of the model, shown before the losses.
          counts: whether each epoch is one unit of work.
        """
        super().__init__()
        self._progress, self._what = progress, what
        self._show = progress.advance if counts else progress.show

    def on_epoch_end(self, epoch, logs=None):
        """Shows the losses."""
        logs = logs or {}
        losses = [f"{key} {float(logs[key]):.4f}" for key in ("loss", "val_loss") if key in logs]
        where = [f"{self._what}, epoch {epoch + 1}"] if self._what else []
        self._show(" - ".join([*where, *losses]))


def check_verbose(verbose) -> None:
    """Raises a `ValueError` unless `verbose` is valid in Keras.

    #### Examples

    >>> check_verbose("auto")
    """
    if not (isinstance(verbose, (int, str)) and verbose in ("auto", 0, 1, 2)):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto', got {verbose!r}.")


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Turns off TensorFlow's warnings of retracing, for code that builds many models.

    TensorFlow counts traces by line of code, not by model. So it warns of retracing, although each
    model has its own graphs, which are traced once.

    #### Examples

    >>> with without_retracing_warnings():
    ...     tf.get_logger().warning("5 calls triggered tf.function retracing")
    """

    def is_other(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
