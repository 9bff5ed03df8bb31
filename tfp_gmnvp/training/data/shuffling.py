"""Shuffles the rows of a training pass by a permutation that is computed, not stored."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["shuffle_seed", "shuffled"]


def shuffle_seed(seed: tf.Tensor, epoch) -> tf.Tensor:
    """The seed of the shuffle in an epoch, the same for all workers.

    Args:
      seed: stateless seed `[2]` of the model.
      epoch: number of the epoch, counted over all calls of `fit`.

    Returns:
      A seed `[2]`.

    #### Examples

    >>> first, second = (shuffle_seed([0, 1], epoch).numpy().tolist() for epoch in (0, 1))
    >>> first == second
    False
    """
    return tf.random.experimental.stateless_fold_in(seed, epoch)


def shuffled(rows: np.ndarray, seed: tf.Tensor, num_rows: int) -> np.ndarray:
    """The rows at some positions of a shuffled order.

    Args:
      rows: positions `[n]` in 0 .. N-1.
      seed: what `shuffle_seed` returned.
      num_rows: N.

    Returns:
      The indices of the rows, `[n]`.

    #### Examples

    >>> sorted(shuffled(np.arange(5), [0, 1], 5).tolist())
    [0, 1, 2, 3, 4]
    """
    seed = tf.cast(seed, tf.int32)
    return tf.random.experimental.index_shuffle(rows, seed, num_rows - 1).numpy()
