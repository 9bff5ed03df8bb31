"""The metrics of a model: loss, accuracy, and bits per dimension of images."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow as tf

from tfp_gmnvp.training.data import labels
from tfp_gmnvp.training.devices import replicas

__all__ = ["EvaluatedBatch", "RunningMeans", "kept", "running_mean"]

keras = tf.keras


class EvaluatedBatch(NamedTuple):
    """The evaluation of a batch by a step, from which metrics are computed.

    Attributes:
      log_prob: log p(x), `[N]`.
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
      labels: `[N]` in -1 .. K-1, or `None`.
      sample_weight: `[N]` or `None`.
    """

    log_prob: tf.Tensor
    log_joint: tf.Tensor
    labels: tf.Tensor | None
    sample_weight: tf.Tensor | None


class RunningMeans:
    """The metrics of a model: means over an epoch, updated with each batch.

    #### Examples

    >>> means = RunningMeans([2], tf.float32)
    >>> [mean.name for mean in means.reported]
    ['loss', 'accuracy']
    >>> batch = EvaluatedBatch(tf.constant([-1.0, -3.0]), tf.zeros([2, 1]), None, None)
    >>> {name: float(mean) for name, mean in means.update(batch).items()}
    {'loss': 2.0}
    """

    def __init__(self, event_shape, dtype):
        """Makes the means.

        Args:
          event_shape: shape of a point.
          dtype: float dtype of the flow.
        """
        self._event_shape = tf.TensorShape(event_shape)
        names = ("loss", "bits_per_dim", "accuracy")
        self.all = [running_mean(name, dtype) for name in names]
        self.loss, self.bits_per_dim, self.accuracy = self.all

    @property
    def reported(self) -> list[keras.metrics.Mean]:
        """The metrics that are shown; bits per dimension only for images."""
        has_images = self._event_shape.rank == 3
        return [self.loss, self.accuracy, *([self.bits_per_dim] if has_images else [])]

    def update(self, batch: EvaluatedBatch) -> dict[str, tf.Tensor]:
        """Adds a batch, and returns the means for the logs."""
        log_prob, log_joint, y, sample_weight = batch
        values = [(self.loss, -log_prob, sample_weight)]
        if y is not None:
            correct, has_label = labels.is_correct(log_joint, y)
            weight = has_label if sample_weight is None else has_label * sample_weight
            values.append((self.accuracy, correct, weight))
        if self._event_shape.rank == 3:
            bits = -log_prob / (math.log(2) * self._event_shape.num_elements())
            values.append((self.bits_per_dim, bits, sample_weight))
        for mean, value, weight in values:
            mean.update_state(value, weight)
        return {mean.name: replicas.mean_over_replicas(mean) for mean, *_ in values}


def running_mean(name: str, dtype) -> keras.metrics.Mean:
    """A Keras mean in the dtype of its values, not of Keras' `floatx` or global policy.

    Those may be half precision. Then a mean has only three digits, and its sum is infinite from
    65,504 on.

    Args:
      name: name of the metric.
      dtype: float32 or float64.

    Returns:
      A `keras.metrics.Mean`.

    #### Examples

    >>> running_mean("loss", tf.float64).dtype
    'float64'
    """
    return keras.metrics.Mean(name=name, dtype=tf.as_dtype(dtype).name)


@contextlib.contextmanager
def kept(metrics: Iterable[keras.metrics.Metric]) -> Iterator[None]:
    """Restores the values of metrics on exit.

    Args:
      metrics: Keras metrics.

    Yields:
      `None`.

    #### Examples

    >>> mean = running_mean("loss", tf.float32)
    >>> _ = mean.update_state([1.0, 3.0])
    >>> with kept([mean]):
    ...     mean.reset_state()
    >>> float(mean.result())
    2.0
    """
    before = [(variable, variable.numpy()) for metric in metrics for variable in metric.variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
