"""Bijectors one after another, evaluated in a single pass."""

from __future__ import annotations

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
    """The composition `b_1 o b_2 o ... o b_n` of bijectors of vectors, never stale.

    As in `tfb.Chain`, `forward` applies the last bijector first:

        forward(x) = b_1(b_2(... b_n(x))),    log|det dy/dx| = sum_i log|det db_i|.

    Unlike `tfb.Chain`, it caches nothing. Its parts may be any bijectors of TFP; their own caches
    are passed by.

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
          bijectors: at least one bijector, each of which takes vectors or is elementwise. A
            `SinglePassChain` among them is taken apart.
          name: the prefix of the operations' names.

        Raises:
          TypeError: if a part is not a `tfb.Bijector`.
          ValueError: if there is no part, a part works on more than vectors, or the parts differ in
            dtype or in the size of their vectors.
        """
        parameters = dict(locals())
        self._bijectors = tuple(_flatten(bijectors))
        dtypes = {tf.as_dtype(b.dtype) for b in self._bijectors if b.dtype is not None}
        if len(dtypes) > 1:
            names = sorted(dtype.name for dtype in dtypes)
            raise ValueError(f"`bijectors` must share one dtype, got {names}.")
        sizes = {getattr(b, "event_size", None) for b in self._bijectors} - {None}
        if len(sizes) > 1:
            raise ValueError(f"`bijectors` must take vectors of one size, got {sorted(sizes)}.")
        super().__init__(
            event_size=sizes.pop() if sizes else None,
            dtype=dtypes.pop() if dtypes else None,
            parameters=parameters,
            name=name,
        )

    @property
    def bijectors(self) -> tuple[tfb.Bijector, ...]:
        """The parts, the last of which `forward` applies first."""
        return self._bijectors

    def _forward_and_log_det(self, x, **condition):
        log_det = None
        for bijector in reversed(self._bijectors):
            x, step = forward_and_log_det(bijector, x, **condition)
            log_det = step if log_det is None else log_det + step
        return x, log_det

    def _inverse_and_log_det(self, y, **condition):
        log_det = None
        for bijector in self._bijectors:
            y, step = inverse_and_log_det(bijector, y, **condition)
            log_det = step if log_det is None else log_det + step
        return y, log_det


def _flatten(bijectors):
    if not bijectors:
        raise ValueError("`bijectors` must hold at least one bijector, got none.")
    for bijector in bijectors:
        if not isinstance(bijector, tfb.Bijector):
            raise TypeError(f"`bijectors` must hold `tfb.Bijector`s, got {bijector!r}.")
        if bijector.forward_min_event_ndims not in (0, 1):
            raise ValueError(
                "`bijectors` must take vectors or work elementwise, but "
                f"{bijector.name} takes events of rank {bijector.forward_min_event_ndims}."
            )
        yield from bijector.bijectors if isinstance(bijector, SinglePassChain) else (bijector,)
