"""Keras' methods around `fit`, for a model of points that perhaps have labels."""

from __future__ import annotations

import contextlib
import inspect

import numpy as np

from tfp_gmnvp._shared.tables import is_table
from tfp_gmnvp.flows import columns, conditional
from tfp_gmnvp.training import parameter_table, running_means
from tfp_gmnvp.training.data import fit_arguments, row_batches
from tfp_gmnvp.training.data.batch_checks import value_errors_of_batches
from tfp_gmnvp.training.keras_weights import tf_variable

__all__ = ["KerasMethods"]


class KerasMethods:
    """The part of `FlowModel` that describes, evaluates and trains on single batches.

    It stands before `keras.Model` among the bases of a class.
    """

    is_fitting = False

    def __call__(self, x, *args, **kwargs):
        """As of `keras.Model`, which would turn a table into a tensor before anybody sees it."""
        if any(is_table(part) for part in (x if isinstance(x, tuple) else [x])):
            x = columns.table_to_array(self._paired(x), "x", self.distribution)
        return super().__call__(x, *args, **kwargs)

    def count_params(self) -> int:
        """The number of the flow's parameters, what Keras keeps beside them left out."""
        return parameter_table.count(self.distribution.variables)

    def summary(self, line_length=None, positions=None, print_fn=None, **kwargs) -> None:
        """Prints the parts of the flow, how many parameters each has, and what trains them.

        Args:
          line_length: characters of a line; `None` for as many as it takes.
          positions: not used.
          print_fn: gets the table, as one string; `None` for `print`.
          **kwargs: not used; what else `keras.Model.summary` takes.
        """
        trained = {tf_variable(weight).ref() for weight in self.trainable_weights}
        by_update = self.update_in_force is self.mixture_update and self.trainable
        rows = parameter_table.rows(self.distribution, self.mixture_update, trained, by_update)
        (print_fn or print)(parameter_table.table(self.name, rows, line_length))

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """The negative log-likelihood in nats per point, as `keras.Model.evaluate` reports a loss.

        A callback may call it within an epoch: the epoch's own means go on as if it had not.

        Args:
          x: as for `fit`.
          y: as for `fit`: labels `[N]`, or `None`.
          *args: as of `keras.Model.evaluate`, in its order.
          **kwargs: as of `keras.Model.evaluate`.

        Returns:
          The mean of -log p(x), weighted where there are sample weights; with labels, a list of it
          and the accuracy.
        """
        arguments = inspect.signature(super().evaluate).bind(x, y, *args, **kwargs).arguments
        arguments.update(arguments.pop("kwargs", {}))
        arguments.update(self._checked(x, y, arguments.get("sample_weight")))
        kept = running_means.kept(self.metrics if self.is_fitting else ())
        with value_errors_of_batches(), kept:
            arguments = row_batches.read_by_rows(arguments, self.distribution.dtype)
            results = super().evaluate(**arguments)
            has_points = hasattr(arguments["x"], "shape") or np.any(self._mean_loss.count)
        if not has_points:  # how many batches there were may have come out only now
            raise ValueError("`x` must hold points of a weight above zero, and has none.")
        return results

    def predict(self, x, *args, **kwargs):
        """log p(x) in nats, `[N]`; arguments as of `keras.Model.predict`."""
        arguments = inspect.signature(super().predict).bind(x, *args, **kwargs).arguments
        arguments["x"] = self._checked(x)["x"]
        with value_errors_of_batches():
            arguments = row_batches.read_by_rows(arguments, self.distribution.dtype)
            with _some_batches():
                return super().predict(**arguments)

    @columns.learns_columns
    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """One step on one batch; arguments as of `keras.Model.train_on_batch`."""
        fit_arguments.check_class_weight(kwargs.get("class_weight"))
        data = self._checked(x, y, sample_weight, is_batch=True)
        self._check_compiled("train_on_batch")
        self._make_steps_if_frozen_otherwise()
        return super().train_on_batch(**data, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """The loss of one batch; arguments as of `keras.Model.test_on_batch`."""
        data = self._checked(x, y, sample_weight, is_batch=True)
        return super().test_on_batch(**data, **kwargs)

    def predict_on_batch(self, x):
        """log p(x) in nats, `[N]`, of one batch."""
        return super().predict_on_batch(self._checked(x, is_batch=True)["x"])

    def _checked(self, x, y=None, sample_weight=None, *, is_batch=False):
        data = (self._paired(x), y, sample_weight, self.distribution)
        return fit_arguments.points_and_labels(*data, is_batch=is_batch)

    def _paired(self, x):
        return conditional.paired(self.distribution, x)


@contextlib.contextmanager
def _some_batches():
    """Says what is wrong where Keras finds, at the end of `predict`, that there was no batch."""
    try:
        yield
    except (UnboundLocalError, ValueError) as error:
        if "batch_outputs" not in str(error):
            raise
        raise ValueError("`x` must hold points, and there is no batch in it.") from None
