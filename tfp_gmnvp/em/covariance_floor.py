"""The variance that the covariance floor is relative to, robust to outliers.

The M-step multiplies it by `covariance_floor` and has each covariance structure lift what lies
below; see `maximization` and `mixtures.covariances`.
"""

from __future__ import annotations

import tensorflow as tf

__all__ = ["capped_variance"]

_TRIMMED = 0.05  # share of the mass, from the components farthest out
_CAP = 10.0  # times the variance of the rest


def capped_variance(
    total: tf.Tensor, probs: tf.Tensor, loc: tf.Tensor, within: tf.Tensor
) -> tf.Tensor:
    """Caps the total variance at ten times that of 95 % of the mass, entry by entry.

    The components, or parts of their weight, farthest from the median component are trimmed.
    Ordinary clusters do not change the total; five outliers in 5,000 rows have no effect.

    Args:
      total: the points' variance, `[D]`.
      probs: weights `[K]`.
      loc: means `[K, D]`.
      within: variances within components, of a shape that broadcasts with `[K, D]`.

    Returns:
      A tensor `[D]`.

    #### Examples

    >>> loc = tf.constant([[0.0], [1e4]])
    >>> capped_variance(tf.constant([1e5]), tf.constant([0.999, 0.001]), loc, 1.0).numpy().tolist()
    [10.0]
    """
    sorted_loc, weights = _ascending(loc, probs)
    before = tf.cumsum(weights, axis=0, exclusive=True)
    is_median = (before < 0.5) & (before + weights >= 0.5)
    is_first = is_median & (tf.cumsum(tf.cast(is_median, tf.int32), axis=0) == 1)
    center = tf.reduce_sum(tf.where(is_first, sorted_loc, 0.0), axis=0)
    deviation = within + tf.square(loc - center)
    deviation, weights = _ascending(deviation, probs)
    kept = 1.0 - _TRIMMED - tf.cumsum(weights, axis=0, exclusive=True)
    kept = tf.clip_by_value(kept, tf.zeros_like(weights), weights)
    trimmed = tf.reduce_sum(kept * deviation, axis=0) / tf.reduce_sum(kept, axis=0)
    return tf.minimum(total, _CAP * trimmed)


def _ascending(values, probs):
    """The values of each column in ascending order, and their weights."""
    order = tf.argsort(values, axis=0)
    columns = tf.tile(tf.range(values.shape[1])[tf.newaxis], [values.shape[0], 1])
    values = tf.gather_nd(values, tf.stack([order, columns], axis=-1))
    return values, tf.gather(probs, order)
