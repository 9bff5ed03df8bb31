"""The running means that a model reports: their dtype, and what may not disturb them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import tensorflow as tf

__all__ = ["kept", "running_mean"]

keras = tf.keras


def running_mean(name: str, dtype) -> keras.metrics.Mean:
    """A mean in the dtype of what is averaged, whatever Keras' `floatx` or global policy.

    In half precision, which either may be, a mean has three digits, and the sum that it is made of
    is infinite from 65,504 on.

    Args:
      name: of the metric.
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
    """Puts metrics back to where they were, whatever happens to them meanwhile.

    Args:
      metrics: of Keras'; all those of a model, or none.

    Yields:
      Nothing.

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
