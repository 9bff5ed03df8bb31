"""Standardisation: the bijector from standardised units to the data's own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared import array_checks, tables
from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = [
    "Spread",
    "column_spread",
    "forward_in_float64",
    "leading_standardization",
    "standardization",
    "standardization_from_spread",
]

tfb = tfp.bijectors

_CHUNK = 65_536
_ROWS_FOR_QUANTILES = 100_000
_FAR = 20.0  # robust standard deviations; 5,000 draws of Student's t with 3 degrees reach about 15
_BEYOND_EDGE = 1.25
_NORMAL_RANGE = 3.2897  # standard deviations between the 5 % and 95 % quantiles of a normal


class Spread(NamedTuple):
    """Location, scale and tail bound of each column of data, `[D]` each, in float64.

    Attributes:
      loc: the mean; the median where there are tails.
      scale: the standard deviation; estimated from the 5 % and 95 % quantiles where there are
        tails; one for a constant column.
      bound: infinite, unless rows lie farther than 20 robust scales from the median. Then it is
        where tails begin, in units of the scale: 1.25 times the 95 % quantile of the distance.

    #### Examples

    >>> column_spread(np.array([[0.0], [2.0]]))
    Spread(loc=array([1.]), scale=array([1.]), bound=array([inf]))
    """

    loc: np.ndarray
    scale: np.ndarray
    bound: np.ndarray


def standardization(data, *, dtype=tf.float32, name: str = "standardization") -> tfb.Bijector:
    """The affine bijector `x = mean + std * z` of a data set's columns, or pixels.

    Its inverse standardises. Mean and standard deviation are kept in float64, in `tf.Variable`s
    that are not trainable. A constant column keeps its scale: its `std` is one. Where a column has
    outliers, beyond 20 robust standard deviations, its median and the range between its 5 % and
    95 % quantiles are used instead, so that a few outliers do not compress all other rows.

    Args:
      data: array-like `[N, D]` or `[N, H, W, C]`, finite, `N >= 1`.
      dtype: the float dtype of the bijector.
      name: the prefix of the variables' names.

    Returns:
      A `tfb.Bijector` of vectors `[..., D]` or images `[..., H, W, C]`.

    Raises:
      TypeError: if `data` does not hold numbers.
      ValueError: if `data` has another shape, or is not finite.

    #### Examples

    >>> bijector = standardization([[0.0, 10.0], [2.0, 30.0]])
    >>> bijector.inverse([2.0, 10.0]).numpy().tolist()
    [1.0, -1.0]
    """
    data = np.asarray(tables.as_array(data, "data"))
    if data.ndim not in (2, 4) or not data.size:
        raise ValueError(
            f"`data` must have shape [N, D] or [N, H, W, C] with N >= 1, got {list(data.shape)}."
        )
    array_checks.check_points(data, data.shape[1:], tf.float64, name="data")
    return standardization_from_spread(column_spread(data), dtype=dtype, name=name)


def standardization_from_spread(
    spread: Spread, *, dtype=tf.float32, name: str = "standardization"
) -> tfb.Bijector:
    """Builds the `standardization` of data whose spread is known; see `column_spread`.

    #### Examples

    >>> spread = column_spread(np.array([[0.0], [4.0]]))
    >>> standardization_from_spread(spread).inverse([4.0]).numpy().tolist()
    [1.0]
    """
    constant = {"trainable": False, "dtype": tf.float64}
    return Standardization(
        tf.Variable(spread.loc, name=f"{name}/mean", **constant),
        tf.Variable(spread.scale, name=f"{name}/std", **constant),
        dtype=dtype,
        name=name,
    )


def column_spread(data: np.ndarray, sample_weight: np.ndarray | None = None) -> Spread:
    """Computes the location, scale and tail bound of columns, in three passes over chunks of rows.

    Args:
      data: finite, `[N, ...]`.
      sample_weight: positive weights `[N]`; a weight of two counts as two rows. `None` for ones.

    Returns:
      A `Spread`.

    #### Examples

    >>> data = np.append(np.linspace(-1.0, 1.0, 999), 1e4)[:, np.newaxis]
    >>> loc, scale, bound = column_spread(data)
    >>> bool(abs(loc[0]) < 0.01), round(scale[0].item(), 1), round(bound[0].item(), 1)
    (True, 0.5, 2.2)
    """
    rows = _Chunks(data, sample_weight)
    low = np.min([part.min(axis=0) for part, _ in rows], axis=0)
    high = np.max([part.max(axis=0) for part, _ in rows], axis=0)
    mean = sum(_sum(part - low, weight) for part, weight in rows) / rows.total + low
    std = np.sqrt(sum(_sum(np.square(part - mean), weight) for part, weight in rows) / rows.total)
    loc, scale, bound = mean, std, np.full(mean.shape, np.inf)
    if data.ndim == 2:
        some, weight = _row_sample(data, sample_weight)
        lower, median, upper = _quantiles(some, [0.05, 0.5, 0.95], weight)
        robust = (upper - lower) / _NORMAL_RANGE
        has_tails = (np.maximum(high - median, median - low) > _FAR * robust) & (robust > 0)
        loc, scale = np.where(has_tails, median, mean), np.where(has_tails, robust, std)
        scale = np.where(scale > 0, scale, 1.0)
        edge = _BEYOND_EDGE * _quantiles(np.abs(some - median), [0.95], weight)[0]
        bound = np.where(has_tails, edge / scale, np.inf)
    rounding = 4 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    return Spread(loc, np.where(scale > rounding, scale, 1.0), bound)


class _Chunks:
    """Iterates over chunks of rows in float64, and their weights, as often as needed."""

    def __init__(self, data, weight):
        self.data, self.weight = data, weight
        self.total = len(data) if weight is None else weight.sum()

    def __iter__(self):
        for start in range(0, len(self.data), _CHUNK):
            rows = slice(start, start + _CHUNK)
            weight = None if self.weight is None else self.weight[rows]
            yield self.data[rows].astype(np.float64), weight


def _sum(rows, weight):
    return rows.sum(axis=0) if weight is None else np.tensordot(weight, rows, axes=1)


def _row_sample(data, weight):
    if len(data) <= _ROWS_FOR_QUANTILES:
        return data.astype(np.float64), weight
    rows = np.random.default_rng(0).choice(len(data), _ROWS_FOR_QUANTILES, replace=False)
    rows = np.sort(rows)
    return data[rows].astype(np.float64), None if weight is None else weight[rows]


def _quantiles(rows, shares, weight) -> list[np.ndarray]:
    """Quantiles of each column, for whole weights those of repeated rows."""
    if weight is None:
        return list(np.quantile(rows, shares, axis=0))
    order = np.argsort(rows, axis=0)
    values, ends = np.take_along_axis(rows, order, axis=0), np.cumsum(weight[order], axis=0)
    found = []
    for share in shares:
        place = max(weight.sum() - 1.0, 0.0) * share
        part, columns = place - np.floor(place), range(rows.shape[1])
        low, high = (
            [values[_index(ends[:, j], np.floor(place) + step), j] for j in columns]
            for step in (0, 1)
        )
        found.append((1 - part) * np.array(low) + part * np.array(high))
    return found


def _index(ends, place):
    """The row at a place, if each row stood as often as its weight says."""
    return min(np.searchsorted(ends, place, side="right"), len(ends) - 1)


def leading_standardization(bijector: tfb.Bijector) -> SinglePassBijector | None:
    """Returns the outermost bijector, on the data side, if it is a standardisation of vectors.

    #### Examples

    >>> bijector = standardization([[0.0, 10.0], [2.0, 30.0]])
    >>> leading_standardization(SinglePassChain([bijector, tfb.Shift([1.0, 1.0])])) is bijector
    True
    """
    first = bijector.bijectors[0] if isinstance(bijector, SinglePassChain) else bijector
    is_one = isinstance(first, Standardization) and len(first.domain_shape) == 1
    return first if is_one else None


def forward_in_float64(bijector: tfb.Bijector, z: tf.Tensor, **call_kwargs) -> tf.Tensor:
    """Evaluates `forward` with the last step, the leading standardisation, in float64.

    Args:
      bijector: one with a `leading_standardization`.
      z: latents `[N, D]`.
      **call_kwargs: further arguments of the bijector's calls.

    Returns:
      Points `[N, D]` in float64.

    #### Examples

    >>> bijector = standardization(np.array([[1e9], [1e9 + 1]]))
    >>> forward_in_float64(bijector, tf.constant([[1.0]])).numpy().tolist()
    [[1000000001.0]]
    """
    if isinstance(bijector, SinglePassChain):
        first, *others = bijector.bijectors
        z = SinglePassChain(others).forward(z, **call_kwargs) if others else z
    else:
        first = bijector
    return first.mean + first.std * tf.cast(z, tf.float64)


class Standardization(SinglePassBijector):
    """`x = mean + std * z`, entry by entry.

    `mean` and `std` are float64. Inside a `SinglePassChain`, or by `_inverse_and_log_det`, the
    inverse also takes float64 points, and casts the standardised result to the bijector's dtype.
    For points of the bijector's dtype, the mean is split into two numbers of that dtype, which
    together have twice the digits.
    """

    def __init__(self, mean, std, dtype=None, name="standardization"):
        parameters = dict(locals())
        self.mean, self.std = mean, std
        super().__init__(
            domain_shape=mean.shape,
            is_constant_jacobian=True,
            dtype=tf.as_dtype(dtype or mean.dtype),
            parameters=parameters,
            name=name,
        )

    def _forward_and_log_det(self, x, **call_kwargs):
        high, low, std = self._in_own_dtype()
        return high + (low + std * x), self._log_det()

    def _inverse_and_log_det(self, y, **call_kwargs):
        if y.dtype == self.mean.dtype:
            return tf.cast((y - self.mean) / self.std, self.dtype), -self._log_det()
        high, low, std = self._in_own_dtype()
        return ((y - high) - low) / std, -self._log_det()

    def _in_own_dtype(self):
        """Returns the mean as the sum of two numbers in the bijector's dtype, and std."""
        high = tf.cast(self.mean, self.dtype)
        low = tf.cast(self.mean - tf.cast(high, self.mean.dtype), self.dtype)
        return high, low, tf.cast(self.std, self.dtype)

    def _log_det(self):
        return tf.cast(tf.reduce_sum(tf.math.log(self.std)), self.dtype)
