"""The data of a `fit`: checked once, and read by all that train on it."""

from __future__ import annotations

import functools
import types

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.flows import columns, conditional, precision
from tfp_gmnvp.training.data import degenerate_data, fit_arguments, rereading, row_batches, samples
from tfp_gmnvp.training.data.checked_data import (
    as_validation_data,
    checked_data,
    checked_validation_data,
    rows_split_off,
)

__all__ = ["TrainingData"]

tfd = tfp.distributions

_SAMPLE_SIZE = 10_000


class TrainingData:
    """Points, labels and weights to train on, and the data to validate by.

    Attributes:
      x: an array, a `tf.data.Dataset`, a `PyDataset` or a generator, of rows `[N, D]`, or of
        `[N, D + C]` with a context.
      y: labels `[N]`, or `None`.
      sample_weight: weights `[N]`, or `None`.
      validation_data: a tuple, batches, or `None`.
      read: a function without arguments that reads the training data from its start, in batches;
        see `rereading.training_batches`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 2, seed=0)
    >>> data = TrainingData(flow, np.zeros([10, 2]), validation_split=0.2, seed=0)
    >>> len(data.x), len(data.validation_data[0]), [len(x) for x, _, _ in data.read()]
    (8, 2, [8])
    """

    def __init__(
        self,
        flow: tfd.TransformedDistribution,
        x,
        y=None,
        sample_weight=None,
        *,
        validation_data=None,
        validation_split: float | None = None,
        steps_per_epoch: int | None = None,
        seed,
    ):
        """Checks the data.

        Args:
          flow: that is trained, which determines what points and labels there can be.
          x: what `FlowModel.fit` takes.
          y: what `FlowModel.fit` takes.
          sample_weight: what `FlowModel.fit` takes.
          validation_data: what `FlowModel.fit` takes.
          validation_split: fraction of the last rows to validate by, unless there is
            `validation_data`.
          steps_per_epoch: how many batches of a data set make up an epoch; `None` for all.
          seed: whole numbers that the sample is drawn by.

        Raises:
          TypeError: if data holds no numbers.
          ValueError: if data is invalid, or a `validation_split` is asked of what is no array.
        """
        self._flow, self._seed = flow, seed
        self._names = columns.input_columns(flow, x).points
        self._is_mapped = isinstance(x, np.memmap)  # whose rows are dear: the sample is looked at
        data = checked_data(x, y, sample_weight, flow, looks_at_digits=not self._is_mapped)
        self.x, self.y, self.sample_weight = data.values()
        if validation_split and validation_data is None:
            train, validation = rows_split_off(*data.values(), validation_split)
            self.x, self.y, self.sample_weight = train
            self.validation_data = as_validation_data(*validation)
        else:
            self.validation_data = checked_validation_data(validation_data, flow)
        self._validation = self.validation_data  # in the form in which Keras gets it
        self.read = rereading.training_batches(
            self.x,
            self.y,
            self.sample_weight,
            steps_per_epoch=steps_per_epoch,
            dtype=flow.dtype,
            keeps_float64=precision.takes_float64(flow),
        )

    @property
    def is_array(self) -> bool:
        """Whether rows can be picked by their number."""
        return hasattr(self.x, "shape")

    @property
    def event_size(self) -> int | None:
        """How many columns are the point's, as a context may be discrete; `None` for images."""
        shape = self._flow.event_shape
        return shape[0] if shape.rank == 1 else None

    @functools.cached_property
    def sample(self) -> tuple:
        """A seeded sample of 10,000 rows of weight above zero: points, labels and weights.

        Of batches it is a reservoir, filled by one pass over them.
        """
        options = {"size": _SAMPLE_SIZE, "seed": self._seed}
        if self.is_array:
            data, dtype = (self.x, self.y, self.sample_weight), self._flow.dtype
            sample = samples.sample_of_arrays(*data, dtype=dtype, **options)
        else:
            sample = samples.sample_of_batches(self.read, **options)
        if self._is_mapped or not self.is_array:  # of others all rows were looked at
            precision.check_resolution(self._flow, sample[0], "x")
        return sample

    def warn_if_degenerate(self) -> None:
        """Warns if the sample shows that the data has no density; see `degenerate_data`."""
        x, _, sample_weight = self.sample
        degenerate_data.warn_if_degenerate(
            np.asarray(x),
            names=self._names,
            sample_weight=sample_weight,
            event_size=self.event_size,
            num_rows=len(self.x) if self.is_array else None,
        )

    def for_keras(self, arguments: dict, shuffle_seed, epoch: tf.Variable) -> dict:
        """The arguments of `keras.Model.fit`, this data among them.

        Args:
          arguments: the others by name; `batch_size`, `shuffle` and `steps_per_epoch` are used.
          shuffle_seed: see `row_batches.fit_by_rows`.
          epoch: see `row_batches.fit_by_rows`.
        """
        data = {name: getattr(self, name) for name in ("x", "y", "sample_weight")}
        if isinstance(self.x, (tf.data.Dataset, types.GeneratorType)):
            data["shuffle"] = False  # its default makes Keras warn of these
        arguments = {**arguments, **data, "validation_data": self.validation_data}
        arguments = row_batches.fit_by_rows(arguments, shuffle_seed, epoch, self._flow.dtype)
        self._validation = arguments["validation_data"]
        return arguments

    def num_steps(self, arguments: dict) -> int | None:
        """How many steps a `fit` with these arguments takes; `None` if that is not known."""
        return fit_arguments.num_steps(self.x, arguments)

    def validates_by(self, x) -> bool:
        """Whether this is the validation data, which is checked already."""
        data = self._validation
        return x is not None and x is (data[0] if isinstance(data, tuple) else data)

    def rows(self) -> tf.Tensor:
        """The points of the sample as a tensor, with their contexts beside them."""
        keeps_float64 = precision.takes_float64(self._flow)
        return conditional.as_rows(self.sample[0], self._flow.dtype, keeps_float64=keeps_float64)
