"""Traces the log-density of a flow that is called eagerly again and again.

An eager call starts some hundred operations from Python, tens of microseconds each; a call of a
`tf.function` starts one. Tracing takes as long as a dozen eager calls, so the first calls are not
traced. Their values may differ from those of later calls in the last digit, by rounding.
"""

from __future__ import annotations

import numbers
import weakref
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfp_gmnvp._compat import is_differentiated

__all__ = ["is_traceable", "traced_log_prob"]

_EAGER_CALLS = 3

#: By flow, the functions by rank and dtype. They must not keep the flow alive.
_FUNCTIONS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class _Function:
    """The log-density of points of one rank and dtype: eager at first, then traced."""

    def __init__(self, flow, log_prob, rank, dtype):
        weak_flow = weakref.ref(flow)
        shape = [None] * (rank - flow.event_shape.rank) + flow.event_shape.as_list()
        self._num_calls = 0
        self._traced = tf.function(
            lambda x: log_prob(weak_flow(), x),
            input_signature=[tf.TensorSpec(shape, dtype)],
            autograph=False,
        )

    @property
    def function(self) -> Callable | None:
        """The traced function; `None` in the first calls."""
        self._num_calls += 1
        return self._traced if self._num_calls > _EAGER_CALLS else None


def traced_log_prob(flow, log_prob: Callable, x: tf.Tensor) -> tf.Tensor:
    """Calls `log_prob(flow, x)`, after some eager calls as a `tf.function`.

    Variables are read in each call. What a gradient tape records stays eager: not everything that
    TensorFlow differentiates, such as a Jacobian of gradients, goes through a `tf.function`.

    Args:
      flow: a flow that `is_traceable`.
      log_prob: a pure function of the flow, its variables and points.
      x: points of the event's shape, with batch dimensions before it.

    Returns:
      The log-density in nats, of the shape of the batch.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, num_couplings=1, hidden_units=(4,), seed=0)
    >>> def log_prob(flow, x):
    ...     return flow.distribution.log_prob(flow.bijector.inverse(x))
    >>> [traced_log_prob(flow, log_prob, tf.zeros([n, 2])).shape[0] for n in (1, 2, 3, 4, 5)]
    [1, 2, 3, 4, 5]
    """
    if not tf.executing_eagerly() or is_differentiated():
        return log_prob(flow, x)
    functions = _FUNCTIONS.setdefault(flow, {})
    key = x.shape.rank, x.dtype
    if key not in functions:
        functions[key] = _Function(flow, log_prob, *key)
    return (functions[key].function or (lambda x: log_prob(flow, x)))(x)


def is_traceable(arguments: Mapping) -> bool:
    """Whether a flow is built of this package's parts alone, which are pure functions.

    Objects of users may do something else in each call; a trace would repeat the first call.

    Args:
      arguments: what the flow was built with, by name.

    #### Examples

    >>> is_traceable({"activation": "relu", "hidden_units": (4, 4)})
    True
    >>> is_traceable({"activation": lambda x: x})
    False
    """
    return all(map(_is_ours, arguments.values()))


def _is_ours(value) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_ours, value))
    plain = (type(None), bool, numbers.Number, str, np.ndarray, np.generic, tf.DType, tf.Tensor)
    return isinstance(value, plain) or type(value).__module__.startswith("tfp_gmnvp.")
