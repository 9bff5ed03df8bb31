"""Arrays as data sets of batches of rows: never copied whole, and shuffled by a seed."""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.training.data.labels import no_labels
from tfp_gmnvp.training.data.streams import rows_at_once

__all__ = ["fit_by_rows", "read_by_rows", "row_batches"]

_ENTRIES_AT_ONCE = 2**16  # numbers that are read at a time: Python's part in a batch takes 0.3 ms


def fit_by_rows(arguments: dict, shuffle_seed, epoch, dtype=tf.float32) -> dict:
    """The arguments of `fit`, with data sets of batches for arrays of NumPy.

    Keras would copy an array, and shuffle by a random state that all of the process shares.

    Args:
      arguments: by name, those of `fit`.
      shuffle_seed: a function of the number of an epoch that returns the seed `[2]` that its rows
        are shuffled by.
      epoch: an int64 variable, the number of the epoch that is about to begin. With
        `steps_per_epoch` passes do not end with epochs: they are numbered from its present value.
      dtype: float dtype that points are cast to.

    Returns:
      The arguments as they are if `x` is no array; else those that do the same with a data set.

    #### Examples

    >>> arguments = {"x": np.zeros([5, 2]), "y": None, "sample_weight": None, "batch_size": 2}
    >>> epoch = tf.Variable(0, dtype=tf.int64)
    >>> data = fit_by_rows(arguments, lambda number: tf.stack([number, 1]), epoch)["x"]
    >>> data.cardinality().numpy().item()
    3
    """
    arguments = _validation_by_rows(arguments, dtype)
    x, steps = arguments["x"], arguments.get("steps_per_epoch")
    if not isinstance(x, np.ndarray) or arguments.get("shuffle") == "batch":
        return arguments
    data = {name: arguments.pop(name) for name in ("x", "y", "sample_weight")}
    size = _batch_size(x, arguments.pop("batch_size", None), steps)
    seed = shuffle_seed if arguments.get("shuffle", True) else None
    one_pass = functools.partial(
        row_batches, **data, batch_size=size, shuffle_seed=seed, dtype=dtype
    )
    arguments["shuffle"] = False  # its default makes Keras warn of a data set
    return {**arguments, "x": _endless(one_pass, epoch) if steps else one_pass(number=epoch)}


def read_by_rows(arguments: dict, dtype=tf.float32) -> dict:
    """The arguments of `evaluate` or `predict`, with data sets of batches for memory maps.

    And for float64: Keras would cast an array to its own dtype, and the flow might have had use of
    its digits.

    Args:
      arguments: by name, among them `x`.
      dtype: float dtype that points are cast to.

    Returns:
      The arguments as they are, unless `x` is an `np.memmap`, which Keras would copy whole, or of
      float64.

    #### Examples

    >>> x = np.zeros([3, 2], np.float32)
    >>> read_by_rows({"x": x, "batch_size": 2})["x"] is x
    True
    """
    x, steps = arguments["x"], arguments.get("steps")
    if not _is_for_us(x):
        return arguments
    data = {name: arguments.get(name) for name in ("x", "y", "sample_weight")}
    size = _batch_size(x, arguments.get("batch_size"), steps)
    others = {name: a for name, a in arguments.items() if name not in (*data, "batch_size")}
    return {**others, "x": row_batches(**data, batch_size=size, dtype=dtype)}


def row_batches(
    x: np.ndarray,
    y=None,
    sample_weight=None,
    *,
    batch_size: int,
    shuffle_seed=None,
    number=0,
    dtype=tf.float32,
) -> tf.data.Dataset:
    """Batches of rows that are read when their turn comes.

    Rows are shuffled by a pseudorandom permutation that is computed, not stored, so that memory
    does not grow with the number of rows. Where rows are short, those of many batches are read at
    a time.

    Args:
      x: points `[N, D]`, in memory or an `np.memmap`.
      y: labels `[N]`, or `None`.
      sample_weight: `[N]`, or `None`.
      batch_size: rows of a batch; the last one has what is left.
      shuffle_seed: a function of the number of a pass over the data that returns the seed `[2]` of
        its permutation; `None` for the order that there is.
      number: the number of the pass: an integer, a tensor of the graph that the data set is part
        of, or a variable, which is read whenever rows are and must stay as it is meanwhile.
      dtype: float dtype that points are cast to.

    Returns:
      A data set of `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    #### Examples

    >>> x = np.arange(6.0).reshape(3, 2)
    >>> [batch.numpy().tolist() for (batch,) in row_batches(x, batch_size=2)]
    [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """
    if y is None and sample_weight is not None:
        y = no_labels(len(x))
    arrays = [np.asanyarray(array) for array in (x, y, sample_weight) if array is not None]
    num_rows, num_batches = len(x), math.ceil(len(x) / batch_size)
    rows_of_chunk = rows_at_once(arrays[0], _ENTRIES_AT_ONCE, entries=_ENTRIES_AT_ONCE)
    chunk_size = batch_size * max(1, rows_of_chunk // batch_size)

    def read(index, now=number):
        start = index * chunk_size
        rows = np.arange(start, min(start + chunk_size, num_rows))
        if shuffle_seed is not None:
            now = now.numpy() if hasattr(now, "numpy") else now  # a variable, or replicas' copies
            seed = tf.cast(shuffle_seed(int(now)), tf.int32)
            rows = tf.random.experimental.index_shuffle(rows, seed, num_rows - 1).numpy()
        parts = [np.ascontiguousarray(array[rows]) for array in arrays]
        if isinstance(x, np.memmap):  # which nobody has seen yet
            array_checks.check_finite("x", parts[0], dtype, rows)
        return parts

    @tf.autograph.experimental.do_not_convert
    def chunk(index):
        # All is done in Python: a graph would be set up anew whenever a pass begins.
        inputs = [index, number] if isinstance(number, tf.Tensor) else [index]
        parts = tf.numpy_function(read, inputs, [array.dtype for array in arrays])
        for part, array in zip(parts, arrays, strict=True):
            part.set_shape([None, *array.shape[1:]])
        return tuple(parts)

    chunks = tf.data.Dataset.range(math.ceil(num_rows / chunk_size)).map(chunk)
    data = chunks.rebatch(batch_size).apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options).prefetch(tf.data.AUTOTUNE)


def _is_for_us(x):
    return isinstance(x, np.memmap) or (isinstance(x, np.ndarray) and x.dtype == np.float64)


def _endless(one_pass, epoch) -> tf.data.Dataset:
    """Pass after pass. The next begins early, so its number is not read off the variable."""
    numbers = tf.data.Dataset.counter(epoch.numpy())
    do_not_convert = tf.autograph.experimental.do_not_convert
    batches = numbers.flat_map(do_not_convert(lambda number: one_pass(number=number)))
    return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def _batch_size(x, batch_size, steps):
    """Keras' rule: as given, or what makes so many steps of all rows, or 32."""
    return batch_size or (math.ceil(len(x) / steps) if steps else 32)


def _validation_by_rows(arguments, dtype):
    arguments, validation = dict(arguments), arguments.get("validation_data")
    if isinstance(validation, tuple) and _is_for_us(validation[0]):
        size = arguments.pop("validation_batch_size", None) or arguments.get("batch_size")
        size = _batch_size(validation[0], size, None)
        arguments["validation_data"] = row_batches(*validation, batch_size=size, dtype=dtype)
    return arguments
