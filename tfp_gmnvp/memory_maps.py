"""Memory-mapped arrays, read batch by batch: Keras would copy them into memory whole."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

__all__ = ["row_batches", "without_copies"]


def without_copies(arguments: dict, *, steps: str = "steps") -> dict:
    """The arguments of `fit`, `evaluate` or `predict`, with data sets for memory maps.

    Args:
      arguments: by name, among them `x`.
      steps: name of the argument that says how many batches make an epoch: `fit`, which shuffles
        unless the arguments say otherwise, has `steps_per_epoch`.

    Returns:
      The arguments as they are, unless `x`, or the points of `validation_data`, are an `np.memmap`:
      then those that do the same with a data set.

    #### Examples

    >>> x = np.zeros([3, 2])
    >>> without_copies({"x": x, "batch_size": 2})["x"] is x
    True
    """
    arguments, x = dict(arguments), arguments["x"]
    rows, validation = arguments.get("batch_size"), arguments.get("validation_data")
    if isinstance(validation, tuple) and isinstance(validation[0], np.memmap):
        rows_then = arguments.pop("validation_batch_size", None) or rows or 32
        arguments["validation_data"] = row_batches(
            validation[0], *validation[2:], batch_size=rows_then
        )
    if not isinstance(x, np.memmap):
        return arguments
    num_steps, weights = arguments.get(steps), arguments.pop("sample_weight", None)
    rows = rows or (math.ceil(len(x) / num_steps) if num_steps else 32)
    shuffle = arguments.get("shuffle", steps == "steps_per_epoch") is True  # `"batch"` is not
    data = row_batches(x, weights, batch_size=rows, shuffle=shuffle)
    arguments = {name: a for name, a in arguments.items() if name not in ("y", "batch_size")}
    if steps == "steps_per_epoch":
        arguments["shuffle"] = False  # its default makes Keras warn of a data set
    return {**arguments, "x": data.repeat() if num_steps else data}


def row_batches(
    x: np.memmap, sample_weight=None, *, batch_size: int, shuffle: bool = False
) -> tf.data.Dataset:
    """Batches of rows that are read when their turn comes.

    Rows are shuffled anew every time by a pseudorandom permutation that is computed, not stored,
    so that memory does not grow with the number of rows.

    Args:
      x: points `[N, D]`.
      sample_weight: `[N]` or `None`.
      batch_size: rows of a batch; the last one has what is left.
      shuffle: whether to shuffle all rows; the draw follows `tf.random.set_seed`.

    Returns:
      A data set of `(x,)`, or of `(x, y, sample_weight)` with targets that nobody reads.

    #### Examples

    >>> x = np.arange(6.0).reshape(3, 2)
    >>> [batch.numpy().tolist() for (batch,) in row_batches(x, batch_size=2)]
    [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """
    arrays = [x] if sample_weight is None else [x, np.asarray(sample_weight)]
    num_rows, num_batches = len(x), math.ceil(len(x) / batch_size)

    def read(rows):
        return [np.ascontiguousarray(array[rows]) for array in arrays]

    def batch(number, seed):
        start = number * batch_size
        rows = tf.range(start, tf.minimum(start + batch_size, num_rows))
        if shuffle:
            rows = tf.random.experimental.index_shuffle(rows, seed, tf.cast(num_rows - 1, tf.int64))
        parts = tf.numpy_function(read, [rows], [array.dtype for array in arrays])
        for part, array in zip(parts, arrays, strict=True):
            part.set_shape([None, *array.shape[1:]])
        return (parts[0],) if len(parts) == 1 else (parts[0], tf.zeros_like(parts[1]), parts[1])

    def epoch(_):
        seed = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
        return tf.data.Dataset.range(num_batches).map(lambda number: batch(number, seed))

    data = tf.data.Dataset.range(1).flat_map(epoch)
    data = data.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options).prefetch(tf.data.AUTOTUNE)
