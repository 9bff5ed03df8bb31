"""Keras callbacks: figures of the flow as it trains, and the mixture's update between epochs."""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfp_gmnvp import weight_averages
from tfp_gmnvp.argument_checks import check_whole_number
from tfp_gmnvp.tables import is_table

__all__ = ["CountEpochs", "FigureCallback", "ResumeAtWeights", "UpdateBetweenEpochs"]

keras = tf.keras


class FigureCallback(keras.callbacks.Callback):
    """Draws the flow as training goes on, to files and to TensorBoard.

    The figure is that of `plotting.plot_flow`: data, latents with the mixture, samples and density;
    all pairs of dimensions where there are more than two. There is one before training, one
    every so many epochs, and one at the end, all with the same samples' seed, so that they make a
    film: `epoch_0000.png`, `epoch_0010.png`, ... Pyplot does not know of the figures.

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
        """Says what to draw, and where to.

        Args:
          x: the points `[N, D]`, or images `[N, H, W, C]`, to draw; some thousands suffice.
          directory: where files go; it is made if need be. `None` for no files.
          every: epochs from one figure to the next.
          log_dir: where TensorBoard reads, under the tag `flow`, by `tf.summary.image`. `None` for
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
        """What `pickle` takes along: not the open file of a training that is under way."""
        return {**self.__dict__, "_writer": None}

    def on_train_begin(self, logs=None):
        """Draws the flow as it starts."""
        self._last_drawn, self._epoch = None, 0
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_begin(self, epoch, logs=None):
        """Draws the flow as it was before the first epoch."""
        if self._last_drawn is None:
            self._draw(epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Draws the flow if it is time to."""
        self._epoch = epoch + 1
        if self._epoch % self._every == 0:
            self._draw(self._epoch)

    def on_train_end(self, logs=None):
        """Draws the flow as training leaves it."""
        if self._last_drawn is not None and self._last_drawn != self._epoch:
            self._draw(self._epoch)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _draw(self, epoch):
        from tfp_gmnvp import plotting  # with matplotlib, which training does without
        from tfp_gmnvp.plotting.axes import apart_from_pyplot

        title = f"After {epoch} epoch{'' if epoch == 1 else 's'}"
        flow = self.model.distribution
        with apart_from_pyplot():
            figure = plotting.plot_flow(flow, self._x, title=title, **self._style)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=self._dpi)
        if self._directory is not None:
            (self._directory / f"epoch_{epoch:04d}.png").write_bytes(buffer.getvalue())
        if self._writer is not None:
            with self._writer.as_default():
                image = tf.io.decode_png(buffer.getvalue(), channels=4)
                tf.summary.image("flow", image[tf.newaxis], step=epoch)
            self._writer.flush()
        self._last_drawn = epoch


class UpdateBetweenEpochs(keras.callbacks.Callback):
    """Lets the mixture's update read the training data before each epoch; `fit` brings it along.

    It comes after callbacks that put other weights in place as an epoch begins.
    """

    def __init__(self, flow_model, batches):
        """Keeps the model and what reads its training data; see `streams.training_batches`."""
        super().__init__()
        self._flow_model = flow_model
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Updates the mixture."""
        flow_model = self._flow_model
        num_epochs = int(flow_model._num_epochs.numpy())
        with flow_model.distribute_strategy.scope():
            flow_model.update_in_force.on_epoch_begin(
                flow_model.distribution, num_epochs, self._batches
            )
        if weight_averages.overwrites_weights(flow_model.optimizer):  # not by what was before
            weight_averages.restart(flow_model.optimizer, flow_model._mixture_weights)


class CountEpochs(keras.callbacks.Callback):
    """Counts the epochs that a model has been trained for."""

    def __init__(self, flow_model):
        """Keeps the model."""
        super().__init__()
        self._flow_model = flow_model

    def on_epoch_end(self, epoch, logs=None):
        """Counts the epoch; before any other callback, which may save the model.

        Warns:
          UserWarning: if no point had a weight.
        """
        self._flow_model._num_epochs.assign_add(1)
        if logs and np.all(logs.get("loss") == 0.0):  # the mean of nothing
            warnings.warn(
                "`sample_weight` was zero for all points of this epoch: no step was taken, and the "
                "loss of 0 means nothing.",
                stacklevel=2,
            )


class ResumeAtWeights(keras.callbacks.Callback):
    """Goes on with the epoch that the weights say, after any other callback restored them.

    Keras' `BackupAndRestore` writes the weights first and the number of the epoch in another file
    after it: killed in between, it would train that epoch twice.
    """

    def __init__(self, flow_model):
        """Notes how many epochs the model has been trained for."""
        super().__init__()
        self._flow_model = flow_model
        self._before = int(flow_model._num_epochs.numpy())

    def on_train_begin(self, logs=None):
        """Corrects the number of the first epoch, where it is one behind."""
        trained = int(self._flow_model._num_epochs.numpy()) - self._before
        restored = getattr(self._flow_model, "_initial_epoch", None) or 0
        if trained == restored + 1:
            self._flow_model._initial_epoch = trained
