"""A Keras callback that plots the flow during training."""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.files import atomic_write
from tfp_gmnvp._shared.tables import is_table
from tfp_gmnvp.plotting.axes import apart_from_pyplot
from tfp_gmnvp.plotting.summary import plot_flow

__all__ = ["FigureCallback"]

keras = tf.keras


class FigureCallback(keras.callbacks.Callback):
    """Plots the flow during training, to files and to TensorBoard.

    The figure is that of `plotting.plot_flow`: data, latents with the mixture, samples and density;
    all pairs of dimensions where there are more than two. There is one before training, one
    per `every` epochs, and one at the end. All use the same seed for samples, so that they make a
    film: `epoch_0000.png`, `epoch_0010.png`, ... Pyplot does not manage the figures.

    #### Examples

    >>> import tempfile
    >>> import tfp_gmnvp
    >>> x = np.random.default_rng(0).normal(size=[64, 2])
    >>> model = tfp_gmnvp.FlowModel(tfp_gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, seed=0))
    >>> model.compile("adam")
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     figures = FigureCallback(x, directory, every=2)
    ...     _ = model.fit(x, epochs=3, callbacks=[figures], verbose=0)
    ...     print(sorted(os.listdir(directory)))
    ['epoch_0000.png', 'epoch_0002.png', 'epoch_0003.png']
    """

    def __init__(
        self,
        x,
        directory: str | os.PathLike | None = None,
        *,
        every: int = 10,
        log_dir: str | os.PathLike | None = None,
        labels=None,
        dpi: float = 100.0,
        seed: int = 0,
    ):
        """Configures the figures and their destination.

        Args:
          x: the points `[N, D]`, or images `[N, H, W, C]`, to draw; some thousands suffice.
          directory: for the files; it is created if necessary. `None` for no files.
          every: epochs from one figure to the next.
          log_dir: log directory of TensorBoard, for images with the tag `flow`. `None` for
            no summaries.
          labels: names, with units, of the D dimensions; `None` for those of a table's columns.
          dpi: dots per inch of the figures, which are about ten inches wide.
          seed: integer seed of the samples.

        Raises:
          ImportError: if there is a `log_dir`, and TensorBoard is not installed.
          ValueError: if there is neither a `directory` nor a `log_dir`, or `every` is below one.
        """
        super().__init__()
        if log_dir is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("`log_dir` needs TensorBoard: `pip install tensorboard`.")
        if directory is None and log_dir is None:
            raise ValueError(
                "`directory` or `log_dir` must be given: figures have to go somewhere."
            )
        check_whole_number("every", every)
        self._x, self._every, self._dpi = x if is_table(x) else np.asarray(x), every, dpi
        self._style = {"labels": labels, "seed": seed}
        self._directory = None if directory is None else Path(directory)
        self._log_dir = None if log_dir is None else os.fspath(log_dir)
        self._writer, self._last_drawn, self._epoch = None, None, 0

    def __getstate__(self):
        """The state for `pickle`, without the open log file."""
        return {**self.__dict__, "_writer": None}

    def on_train_begin(self, logs=None):
        """Plots the flow before training, once it is initialised."""
        self._last_drawn, self._epoch = None, 0
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_begin(self, epoch, logs=None):
        """Plots the flow as it was before the first epoch."""
        if self._last_drawn is None:
            self._draw(epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Plots the flow every `every` epochs."""
        self._epoch = epoch + 1
        if self._epoch % self._every == 0:
            self._draw(self._epoch)

    def on_train_end(self, logs=None):
        """Plots the flow at the end of training."""
        if self._last_drawn is not None and self._last_drawn != self._epoch:
            self._draw(self._epoch)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _draw(self, epoch):
        title = f"After {epoch} epoch{'' if epoch == 1 else 's'}"
        flow = self.model.distribution
        with apart_from_pyplot():
            figure = plot_flow(flow, self._x, title=title, **self._style)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=self._dpi)
        if self._directory is not None:
            with atomic_write(self._directory / f"epoch_{epoch:04d}.png") as path:
                Path(path).write_bytes(buffer.getvalue())
        if self._writer is not None:
            with self._writer.as_default():
                image = tf.io.decode_png(buffer.getvalue(), channels=4)
                tf.summary.image("flow", image[tf.newaxis], step=epoch)
            self._writer.flush()
        self._last_drawn = epoch
