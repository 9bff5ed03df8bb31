"""The data of a `fit`: it is checked once, here, and read from here."""

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
    split_off_validation,
)

__all__ = ["TrainingData"]

tfd = tfp.distributions

_SAMPLE_SIZE = 10_000


class TrainingData:
    """Training points, labels and weights, and validation data.

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
          flow: the flow to train, which determines the valid points and labels.
          x: what `FlowModel.fit` takes.
          y: what `FlowModel.fit` takes.
          sample_weight: what `FlowModel.fit` takes.
          validation_data: what `FlowModel.fit` takes.
          validation_split: fraction of rows, the last ones, for validation, unless there is
            `validation_data`.
          steps_per_epoch: number of batches of a data set in an epoch; `None` for all.
          seed: whole numbers, the seed of the sample.

        Raises:
          TypeError: if data does not hold numbers.
          ValueError: if data is invalid, or if there is a `validation_split` and `x` is not an
            array.
        """
        self._flow, self._seed = flow, seed
        self._names = columns.input_columns(flow, x).points
        self._is_mapped = isinstance(x, np.memmap)  # slow to read: only the sample is checked
        data = checked_data(x, y, sample_weight, flow, checks_resolution=not self._is_mapped)
        self.x, self.y, self.sample_weight = data.values()
        if validation_split and validation_data is None:
            train, validation = split_off_validation(*data.values(), validation_split)
            self.x, self.y, self.sample_weight = train
            self.validation_data = as_validation_data(*validation)
        else:
            self.validation_data = checked_validation_data(validation_data, flow)
        self._validation = self.validation_data  # in the form that is passed to Keras
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
        """Whether `x` is an array, not batches."""
        return hasattr(self.x, "shape")

    @property
    def event_size(self) -> int | None:
        """The number of columns that belong to the point, not to its context; `None` for images."""
        shape = self._flow.event_shape
        return shape[0] if shape.rank == 1 else None

    @functools.cached_property
    def sample(self) -> tuple:
        """Samples 10,000 rows of positive weight, with a seed: points, labels and weights.

        Batches are read once, by reservoir sampling.
        """
        options = {"size": _SAMPLE_SIZE, "seed": self._seed}
        if self.is_array:
            data, dtype = (self.x, self.y, self.sample_weight), self._flow.dtype
            sample = samples.sample_of_arrays(*data, dtype=dtype, **options)
        else:
            sample = samples.sample_of_batches(self.read, **options)
        if self._is_mapped or not self.is_array:  # for other arrays all rows were checked
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
        """Returns the arguments of `keras.Model.fit`, including this data.

        Args:
          arguments: the other arguments by name; `batch_size`, `shuffle` and `steps_per_epoch` are
            used.
          shuffle_seed: see `row_batches.fit_by_rows`.
          epoch: see `row_batches.fit_by_rows`.
        """
        data = {name: getattr(self, name) for name in ("x", "y", "sample_weight")}
        if isinstance(self.x, (tf.data.Dataset, types.GeneratorType)):
            data["shuffle"] = False  # with its default, Keras warns about these
        arguments = {**arguments, **data, "validation_data": self.validation_data}
        arguments = row_batches.fit_by_rows(arguments, shuffle_seed, epoch, self._flow.dtype)
        self._validation = arguments["validation_data"]
        return arguments

    def num_steps(self, arguments: dict) -> int | None:
        """The number of training steps of a `fit` with these arguments; `None` if unknown."""
        return fit_arguments.num_steps(self.x, arguments)

    def validates_by(self, x) -> bool:
        """Whether `x` is this validation data, which is already checked."""
        data = self._validation
        return x is not None and x is (data[0] if isinstance(data, tuple) else data)

    def rows(self) -> tf.Tensor:
        """The points of the sample as a tensor; a context is in the last columns."""
        return conditional.flow_rows(self._flow, self.sample[0])
