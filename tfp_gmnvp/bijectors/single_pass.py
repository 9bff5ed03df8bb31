"""Base class of our bijectors: value and log-det from one evaluation, without a cache."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import UncachedBijector
from tfp_gmnvp._shared.array_checks import check_tensor_dtype

__all__ = ["SinglePassBijector", "forward_and_log_det", "inverse_and_log_det"]

tfb = tfp.bijectors


class SinglePassBijector(UncachedBijector):
    """A bijector whose value and log-det come from one evaluation and are always current.

    A subclass implements both directions together with the log-det,

        y, log|det dy/dx| = _forward_and_log_det(x)
        x, log|det dx/dy| = _inverse_and_log_det(y)

    from which all methods of `tfb.Bijector` follow. Unlike TFP's own bijectors it caches no value:
    `forward` and `inverse` always use the current values of the variables. A log-det that was
    computed together with a value is reused **once**: by the next call on the same bijector and
    thread, if that call asks for the log-det at x or y of that value. So
    `TransformedDistribution.log_prob` (an `inverse`, then a log-det) evaluates each conditioner
    once.

    Two consequences. A log-det asked for directly after a value belongs to that value, even
    where a variable was assigned in between; any other log-det is computed from the current
    values. And a gradient tape that differentiates such a log-det must have recorded the
    computation of the value.
    """

    def __init__(
        self,
        *,
        event_size: int | None = None,
        domain_shape: Sequence[int] | None = None,
        codomain_shape: Sequence[int] | None = None,
        forward_min_event_ndims: int | None = None,
        **kwargs,
    ):
        """Sets the shapes of events.

        Args:
          event_size: D, short for `domain_shape=[D]`.
          domain_shape: shape of the events x; `None` for any.
          codomain_shape: shape of the events y; `None` for that of x.
          forward_min_event_ndims: rank of the events x, where there is no `domain_shape`; `None`
            for vectors.
          **kwargs: as of `tfb.Bijector`.
        """
        if event_size is not None:
            domain_shape = [event_size]
        if codomain_shape is None:
            codomain_shape = domain_shape
        self._domain_shape, self._codomain_shape = (
            _as_tuple(domain_shape),
            _as_tuple(codomain_shape),
        )
        if domain_shape is not None:
            forward_min_event_ndims = len(domain_shape)
            kwargs.setdefault("inverse_min_event_ndims", len(codomain_shape))
        elif forward_min_event_ndims is None:
            forward_min_event_ndims = 1
        super().__init__(forward_min_event_ndims=forward_min_event_ndims, **kwargs)

    @property
    def domain_shape(self) -> tuple[int, ...] | None:
        """The shape of the events x that `forward` takes; `None` for any."""
        return self._domain_shape

    @property
    def codomain_shape(self) -> tuple[int, ...] | None:
        """The shape of the events y that `inverse` takes; `None` for any."""
        return self._codomain_shape

    @property
    def event_size(self) -> int | None:
        """The size of the vectors x; `None` for any size, or where x are not vectors."""
        return self._domain_shape[0] if len(self._domain_shape or ()) == 1 else None

    @property
    def waits_for_data(self) -> bool:
        """Whether a part is still to be initialised by data; see `act_norm.initialize`."""
        return False

    def initialize(self, x: tf.Tensor, sample_weight: tf.Tensor | None = None, **call_kwargs):
        """Initialises the parts that wait for data, in place.

        Args:
          x: data `[N, ...]`.
          sample_weight: weights `[N]` or `None`.
          **call_kwargs: as of the bijector's calls.

        Returns:
          The latents of the data.
        """
        return self._inverse_and_log_det(x, **call_kwargs)[0]

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor, **call_kwargs) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns y and log|det dy/dx|."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y: tf.Tensor, **call_kwargs) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns x and log|det dx/dy|."""

    def _check_dtype(self, name, value, dtype):
        check_tensor_dtype(name, value, dtype)

    def _checked_forward_and_log_det(self, x, **call_kwargs):
        return self._checked_domain(x)._forward_and_log_det(x, **call_kwargs)

    def _checked_inverse_and_log_det(self, y, **call_kwargs):
        return self._checked_codomain(y)._inverse_and_log_det(y, **call_kwargs)

    def _forward(self, x, **call_kwargs):
        return self._forward_and_log_det(x, **call_kwargs)[0]

    def _inverse(self, y, **call_kwargs):
        return self._inverse_and_log_det(y, **call_kwargs)[0]

    def _forward_log_det_jacobian(self, x, **call_kwargs):
        return self._checked_forward_and_log_det(x, **call_kwargs)[1]

    def _inverse_log_det_jacobian(self, y, **call_kwargs):
        return self._checked_inverse_and_log_det(y, **call_kwargs)[1]

    def _checked_domain(self, x):
        """Checks the shape of events x, and returns the bijector."""
        return self._checked(x, self._domain_shape, self.forward_min_event_ndims)

    def _checked_codomain(self, y):
        """Checks the shape of events y, and returns the bijector."""
        return self._checked(y, self._codomain_shape, self.inverse_min_event_ndims)

    def _checked(self, events, shape, rank):
        actual = events.shape
        has_rank = actual.rank is not None and actual.rank >= rank
        if not has_rank or not (shape is None or actual[-rank:].is_compatible_with(shape)):
            taken = _described(shape, rank)
            raise ValueError(f"{self.name} takes {taken}, got a tensor of shape {actual}.")
        return self

    def _forward_event_shape(self, shape):
        return self._mapped(tf.TensorShape, shape, self._domain_shape, self._codomain_shape)

    def _forward_event_shape_tensor(self, shape):
        return self._mapped(tf.constant, shape, self._domain_shape, self._codomain_shape)

    def _inverse_event_shape(self, shape):
        return self._mapped(tf.TensorShape, shape, self._codomain_shape, self._domain_shape)

    def _inverse_event_shape_tensor(self, shape):
        return self._mapped(tf.constant, shape, self._codomain_shape, self._domain_shape)

    @staticmethod
    def _mapped(kind, shape, source, target):
        return shape if source == target else kind(target)


def forward_and_log_det(
    bijector: tfb.Bijector, x: tf.Tensor, *, event_ndims: int = 1, **call_kwargs
):
    """Returns y and log|det dy/dx| of any bijector, in a single pass if it is one of ours.

    Args:
      bijector: of such events, or elementwise. TFP's own get no `call_kwargs`.
      x: vectors `[..., D]`, or other events.
      event_ndims: rank of the events at that end, 1 for vectors.
      **call_kwargs: further arguments of a `SinglePassBijector`'s calls.

    Returns:
      y, and the log-det `[...]` or of a shape that broadcasts with it.

    #### Examples

    >>> y, log_det = forward_and_log_det(tfb.Scale(3.0), tf.constant([1.0, 2.0]))
    >>> y.numpy().tolist(), f"{log_det:.4f}"  # 2 log 3
    ([3.0, 6.0], '2.1972')
    """
    if isinstance(bijector, SinglePassBijector):
        return bijector._forward_and_log_det(x, **call_kwargs)
    x = tf.identity(x)  # a new tensor, which is in no cache of TFP
    return bijector.forward(x), bijector.forward_log_det_jacobian(x, event_ndims=event_ndims)


def inverse_and_log_det(
    bijector: tfb.Bijector, y: tf.Tensor, *, event_ndims: int = 1, **call_kwargs
):
    """Returns x and log|det dx/dy| of any bijector; see `forward_and_log_det`.

    Args:
      bijector: of such events, or elementwise. TFP's own get no `call_kwargs`.
      y: vectors `[..., D]`, or other events.
      event_ndims: rank of the events at that end, 1 for vectors.
      **call_kwargs: further arguments of a `SinglePassBijector`'s calls.

    Returns:
      x, and the log-det `[...]` or of a shape that broadcasts with it.

    #### Examples

    >>> inverse_and_log_det(tfb.Shift(3.0), tf.constant([5.0, 2.0]))[0].numpy().tolist()
    [2.0, -1.0]
    """
    if isinstance(bijector, SinglePassBijector):
        return bijector._inverse_and_log_det(y, **call_kwargs)
    y = tf.identity(y)
    return bijector.inverse(y), bijector.inverse_log_det_jacobian(y, event_ndims=event_ndims)


def _as_tuple(shape):
    return None if shape is None else tuple(int(size) for size in shape)


def _described(shape, rank):
    kind = "vectors" if rank == 1 else f"events of rank {rank}"
    if shape is None:
        return kind
    return f"{kind} of size {shape[0]}" if rank == 1 else f"events of shape {list(shape)}"
