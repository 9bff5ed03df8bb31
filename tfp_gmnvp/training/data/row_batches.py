"""Arrays as data sets of batches of rows: never copied whole, and shuffled by a seed."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.training.data.fit_arguments import batch_size_of
from tfp_gmnvp.training.data.labels import no_labels
from tfp_gmnvp.training.data.rereading import rows_at_once
from tfp_gmnvp.training.data.shuffling import shuffled

__all__ = ["fit_by_rows", "read_by_rows", "row_batches", "some_batches"]

_ENTRIES_AT_ONCE = 2**16  # numbers that are read at a time: Python's part in a batch takes 0.3 ms


def fit_by_rows(arguments: dict, shuffle_seed, epoch, dtype=tf.float32) -> dict:
    """The arguments of `fit`, with data sets of batches for arrays of NumPy.

    Keras would copy an array, and shuffle by a random state that all of the process shares.

    Args:
      arguments: by name, those of `fit`.
      shuffle_seed: a function of the number of an epoch that returns the seed `[2]` that its rows
        are shuffled by.
      epoch: an int64 variable, the number of the epoch that is about to begin. With
        `steps_per_epoch` passes do not end with epochs: they are numbered from its current value.
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
    size = batch_size_of(x, arguments.pop("batch_size", None), steps)
    seed = shuffle_seed if arguments.get("shuffle", True) else None
    reader = _Reader(**data, batch_size=size, shuffle_seed=seed, dtype=dtype)
    arguments["shuffle"] = False  # its default makes Keras warn of a data set
    return {**arguments, "x": _endless(reader, epoch) if steps else _one_pass(reader, epoch)}


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
    size = batch_size_of(x, arguments.get("batch_size"), steps)
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
    return _one_pass(
        _Reader(x, y, sample_weight, batch_size, shuffle_seed=shuffle_seed, dtype=dtype), number
    )


class _Reader:
    """Reads chunks of rows, each of many batches where rows are short.

    The graph knows it by a weak reference: TensorFlow's default graph keeps every Python function
    of a pipeline for ever, and with it all that the function refers to.
    """

    def __init__(self, x, y, sample_weight, batch_size, *, shuffle_seed, dtype):
        if y is None and sample_weight is not None:
            y = no_labels(len(x))
        self.arrays = [np.asanyarray(a) for a in (x, y, sample_weight) if a is not None]
        rows_of_chunk = rows_at_once(x, _ENTRIES_AT_ONCE, entries=_ENTRIES_AT_ONCE)
        self.chunk_size = batch_size * max(1, rows_of_chunk // batch_size)
        self.batch_size, self.num_rows = batch_size, len(x)
        self.shuffle_seed, self.dtype = shuffle_seed, dtype

    def read(self, index, number):
        """The rows of a chunk, shuffled as the pass of this number has them."""
        start = index * self.chunk_size
        rows = np.arange(start, min(start + self.chunk_size, self.num_rows))
        if self.shuffle_seed is not None:
            rows = shuffled(rows, self.shuffle_seed(int(number)), self.num_rows)
        parts = [np.ascontiguousarray(array[rows]) for array in self.arrays]
        if isinstance(self.arrays[0], np.memmap):  # which nobody has seen yet
            array_checks.check_finite("x", parts[0], self.dtype, rows)
        return parts


def _one_pass(reader, number) -> tf.data.Dataset:
    """One pass over the rows of a reader; for `number` see `row_batches`."""
    weak_reader, is_in_graph = weakref.ref(reader), isinstance(number, tf.Tensor)
    specs = [(array.dtype, [None, *array.shape[1:]]) for array in reader.arrays]

    def read(index, now=None if is_in_graph else number):
        now = now.numpy() if hasattr(now, "numpy") else now  # a variable, or replicas' copies
        return weak_reader().read(index, now)

    @tf.autograph.experimental.do_not_convert
    def chunk(index):
        # All is done in Python: a graph would be set up anew whenever a pass begins.
        inputs = [index, number] if is_in_graph else [index]
        parts = tf.numpy_function(read, inputs, [dtype for dtype, _ in specs])
        for part, (_, shape) in zip(parts, specs, strict=True):
            part.set_shape(shape)
        return tuple(parts)

    num_chunks, num_batches = (
        math.ceil(reader.num_rows / size) for size in (reader.chunk_size, reader.batch_size)
    )
    data = tf.data.Dataset.range(num_chunks).map(chunk).rebatch(reader.batch_size)
    data = data.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return _with(reader, data.with_options(options).prefetch(tf.data.AUTOTUNE))


def _endless(reader, epoch) -> tf.data.Dataset:
    """Pass after pass. The next begins early, so its number is not read off the variable."""
    numbers = tf.data.Dataset.counter(epoch.numpy())
    one_pass = tf.autograph.experimental.do_not_convert(lambda number: _one_pass(reader, number))
    batches = numbers.flat_map(one_pass)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return _with(reader, batches.apply(endless))


def _with(reader, data):
    data.reader = reader  # which lives as long as the data set, or an iterator of it
    return data


@contextlib.contextmanager
def some_batches() -> Iterator[None]:
    """Says what is wrong where Keras finds, at the end of `predict`, that there was no batch."""
    try:
        yield
    except (UnboundLocalError, ValueError) as error:
        if "batch_outputs" not in str(error):
            raise
        raise ValueError("`x` must hold points, and there is no batch in it.") from None


def _is_for_us(x):
    return isinstance(x, np.memmap) or (isinstance(x, np.ndarray) and x.dtype == np.float64)


def _validation_by_rows(arguments, dtype):
    arguments, validation = dict(arguments), arguments.get("validation_data")
    if isinstance(validation, tuple) and _is_for_us(validation[0]):
        size = arguments.pop("validation_batch_size", None) or arguments.get("batch_size")
        size = batch_size_of(validation[0], size, None)
        arguments["validation_data"] = row_batches(*validation, batch_size=size, dtype=dtype)
    return arguments
