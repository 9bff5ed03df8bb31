"""How far a long call has come, as Keras shows it: a bar, or lines, or nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import tensorflow as tf

__all__ = ["EpochProgress", "Progress", "check_verbose", "without_retracing_warnings"]

keras = tf.keras

_WIDTH = 20


class Progress:
    """A bar of what is done, and beside it what is being tried.

    On a terminal the bar is drawn over itself; else, and with `verbose=2`, there is a line for
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
        """Starts at zero, and shows nothing yet.

        Args:
          title: what is counted.
          total: how many there are, at most.
          verbose: as in Keras: 0 for nothing, 1 or 'auto' for a bar, 2 for lines.
        """
        self._title, self._total, self._done = title, total, 0
        self._verbose = 1 if verbose == "auto" else int(verbose)
        self._draws_over = self._verbose == 1 and sys.stdout.isatty()
        self._drawn = 0

    def advance(self, what: str) -> None:
        """Counts one more, and says what it is."""
        self._done = min(self._done + 1, self._total)
        self.show(what, is_new=True)

    def show(self, what: str, *, is_new: bool = False) -> None:
        """Says what is being done, where that does not take a line of its own."""
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
    """Shows the losses of each epoch of a training.

    #### Examples

    >>> progress = Progress("epochs", 2, verbose=2)
    >>> EpochProgress(progress, counts=True).on_epoch_end(0, {"loss": 1.5, "val_loss": 1.25})
    epochs 1/2 - loss 1.5000 - val_loss 1.2500
    """

    def __init__(self, progress: Progress, what: str = "", *, counts: bool = False):
        """Shows epochs on a bar.

        Args:
          progress: the bar.
          what: what is being trained, to stand before the losses.
          counts: whether each epoch is a unit of work.
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
    """Raises a `ValueError` unless this is what Keras takes for `verbose`.

    #### Examples

    >>> check_verbose("auto")
    """
    if not (isinstance(verbose, (int, str)) and verbose in ("auto", 0, 1, 2)):
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto', got {verbose!r}.")


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Where models are made one after another, each has graphs of its own, and none is retraced.

    TensorFlow counts by code, not by model, and would warn that a function is traced too often.

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
