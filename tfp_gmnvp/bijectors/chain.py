"""The composition of bijectors, evaluated in a single pass."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.bijectors.single_pass import (
    SinglePassBijector,
    forward_and_log_det,
    inverse_and_log_det,
)

__all__ = ["SinglePassChain"]

tfb = tfp.bijectors


class SinglePassChain(SinglePassBijector):
    """The composition `b_1 o b_2 o ... o b_n` of bijectors, without a cache.

    As in `tfb.Chain`, `forward` applies the last bijector first:

        forward(x) = b_1(b_2(... b_n(x))),    log|det dy/dx| = sum_i log|det db_i|.

    Unlike `tfb.Chain`, it caches nothing. Its parts may be any bijectors of TFP, whose own caches
    it bypasses.

    #### Examples

    >>> import tensorflow_probability as tfp
    >>> chain = SinglePassChain([tfp.bijectors.Shift([1.0, 2.0]), tfp.bijectors.Scale(3.0)])
    >>> chain.forward([1.0, 1.0]).numpy().tolist()
    [4.0, 5.0]
    >>> print(f"{chain.forward_log_det_jacobian([1.0, 1.0]):.4f}")  # 2 log 3
    2.1972
    """

    def __init__(self, bijectors: Sequence[tfb.Bijector], *, name: str = "single_pass_chain"):
        """Builds the composition.

        Args:
          bijectors: at least one bijector. Each is elementwise or takes events of the rank that the
            one after it gives; if all are elementwise, the events are vectors. A
            `SinglePassChain` among them is replaced by its parts.
          name: the prefix of the operations' names.

        Raises:
          TypeError: if a part is not a `tfb.Bijector`.
          ValueError: if there is no part, or the parts differ in dtype or in the shape of their
            events.
        """
        parameters = dict(locals())
        self._bijectors = tuple(_flatten(bijectors))
        dtypes = {tf.as_dtype(b.dtype) for b in self._bijectors if b.dtype is not None}
        if len(dtypes) > 1:
            names = sorted(dtype.name for dtype in dtypes)
            raise ValueError(f"`bijectors` must share one dtype, got {names}.")
        self._ranks = _event_ranks(self._bijectors)
        domain_shape, codomain_shape = _end_shapes(self._bijectors)
        super().__init__(
            domain_shape=domain_shape,
            codomain_shape=codomain_shape,
            forward_min_event_ndims=self._ranks[-1],
            inverse_min_event_ndims=self._ranks[0],
            dtype=dtypes.pop() if dtypes else None,
            parameters=parameters,
            name=name,
        )

    @property
    def bijectors(self) -> tuple[tfb.Bijector, ...]:
        """The parts, the last of which `forward` applies first."""
        return self._bijectors

    @property
    def waits_for_data(self) -> bool:
        return any(getattr(bijector, "waits_for_data", False) for bijector in self._bijectors)

    def initialize(self, x, sample_weight=None, **call_kwargs):
        for bijector, rank in zip(self._bijectors, self._ranks[:-1], strict=True):
            if getattr(bijector, "waits_for_data", False):
                x = bijector.initialize(x, sample_weight, **call_kwargs)
            else:
                x, _ = inverse_and_log_det(bijector, x, event_ndims=rank, **call_kwargs)
        return x

    def _forward_and_log_det(self, x, **call_kwargs):
        log_det = None
        for bijector, rank in zip(reversed(self._bijectors), self._ranks[:0:-1], strict=True):
            x, step = forward_and_log_det(bijector, x, event_ndims=rank, **call_kwargs)
            log_det = step if log_det is None else log_det + step
        return x, log_det

    def _inverse_and_log_det(self, y, **call_kwargs):
        log_det = None
        for bijector, rank in zip(self._bijectors, self._ranks[:-1], strict=True):
            y, step = inverse_and_log_det(bijector, y, event_ndims=rank, **call_kwargs)
            log_det = step if log_det is None else log_det + step
        return y, log_det

    def _forward_event_shape(self, shape):
        return functools.reduce(lambda s, b: b.forward_event_shape(s), self._bijectors[::-1], shape)

    def _forward_event_shape_tensor(self, shape):
        return functools.reduce(
            lambda s, b: b.forward_event_shape_tensor(s), self._bijectors[::-1], shape
        )

    def _inverse_event_shape(self, shape):
        return functools.reduce(lambda s, b: b.inverse_event_shape(s), self._bijectors, shape)

    def _inverse_event_shape_tensor(self, shape):
        return functools.reduce(
            lambda s, b: b.inverse_event_shape_tensor(s), self._bijectors, shape
        )


def _flatten(bijectors):
    if not bijectors:
        raise ValueError("`bijectors` must hold at least one bijector, got none.")
    for bijector in bijectors:
        if not isinstance(bijector, tfb.Bijector):
            raise TypeError(f"`bijectors` must hold `tfb.Bijector`s, got {bijector!r}.")
        yield from bijector.bijectors if isinstance(bijector, SinglePassChain) else (bijector,)


def _event_ranks(bijectors):
    """The ranks of the events at the codomain, between the parts, and at the domain."""
    taken = [b.forward_min_event_ndims for b in bijectors if not _is_elementwise(b)]
    ranks = [taken[-1] if taken else 1]
    for bijector in reversed(bijectors):
        is_elementwise = _is_elementwise(bijector)
        if not is_elementwise and bijector.forward_min_event_ndims != ranks[0]:
            raise ValueError(
                f"`bijectors` are incompatible: {bijector.name} takes events of rank "
                f"{bijector.forward_min_event_ndims}, but gets events of rank {ranks[0]}."
            )
        ranks.insert(0, ranks[0] if is_elementwise else bijector.inverse_min_event_ndims)
    return ranks


def _is_elementwise(bijector):
    return bijector.forward_min_event_ndims == bijector.inverse_min_event_ndims == 0


def _end_shapes(bijectors):
    """The shapes of the events at domain and codomain, `None` where any shape is valid."""
    domain_shape = shape = None
    for i, bijector in reversed(list(enumerate(bijectors))):
        taken = getattr(bijector, "domain_shape", None)
        if shape is None and taken is not None:
            domain_shape = tf.TensorShape(taken)
            for earlier in bijectors[i + 1 :]:
                domain_shape = earlier.inverse_event_shape(domain_shape)
        elif taken is not None and shape != tf.TensorShape(taken):
            raise ValueError(
                f"`bijectors` are incompatible: {bijector.name} takes events of shape "
                f"{list(taken)}, but gets events of shape {shape}."
            )
        shape = getattr(bijector, "codomain_shape", None) or (
            shape and bijector.forward_event_shape(shape)
        )
        shape = None if shape is None else tf.TensorShape(shape)
    return domain_shape, shape
