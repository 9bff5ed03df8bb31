"""Converts arrays to data sets of batches: without a copy of the array, shuffled with a seed."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfp_gmnvp.training.data.fit_arguments import batch_size_of
from tfp_gmnvp.training.data.labels import no_labels
from tfp_gmnvp.training.data.row_reader import RowReader, rows_at_once
from tfp_gmnvp.training.data.shuffling import shuffled

__all__ = ["fit_by_rows", "read_by_rows", "row_batches", "some_batches"]

_ENTRIES_AT_ONCE = 2**16  # numbers read by one call of Python, which costs 0.3 ms


def fit_by_rows(arguments: dict, shuffle_seed, epoch, dtype=tf.float32) -> dict:
    """Replaces NumPy arrays in the arguments of `fit` by data sets of batches.

    Keras would copy an array, and shuffle it with the global random state of the process.

    Args:
      arguments: the arguments of `fit`, by name.
      shuffle_seed: a function from the number of an epoch to the seed `[2]` of its shuffle.
      epoch: an int64 variable, the number of the next epoch. With `steps_per_epoch` a pass over
        the data may be shorter or longer than an epoch: passes are numbered from the current
        value.
      dtype: float dtype that points are cast to.

    Returns:
      The arguments, unchanged if `x` is not a NumPy array; else equivalent ones with a data set.

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
    reader = _ChunkReader(**data, batch_size=size, shuffle_seed=seed, dtype=dtype)
    arguments["shuffle"] = False  # with its default, Keras warns about a data set
    return {**arguments, "x": _endless(reader, epoch) if steps else _one_pass(reader, epoch)}


def read_by_rows(arguments: dict, dtype=tf.float32) -> dict:
    """Replaces memory maps and float64 arrays in the arguments of `evaluate` or `predict`.

    They become data sets of batches. Keras would copy a memory map, and would cast float64 to its
    own dtype, although the flow may need the digits.

    Args:
      arguments: the arguments by name, including `x`.
      dtype: float dtype that points are cast to.

    Returns:
      The arguments, unchanged unless `x` is an `np.memmap` or a float64 array.

    #### Examples

    >>> x = np.zeros([3, 2], np.float32)
    >>> read_by_rows({"x": x, "batch_size": 2})["x"] is x
    True
    """
    x, steps = arguments["x"], arguments.get("steps")
    if not _needs_row_batches(x):
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
    """A data set that reads batches of rows on demand.

    Rows are shuffled by a pseudorandom permutation. It is computed, not stored, so memory does not
    grow with the number of rows. If rows are short, the rows of many batches are read at once.

    Args:
      x: points `[N, D]`, in memory or an `np.memmap`.
      y: labels `[N]`, or `None`.
      sample_weight: `[N]`, or `None`.
      batch_size: number of rows in a batch; the last batch may have fewer.
      shuffle_seed: a function from the number of a pass over the data to the seed `[2]` of its
        permutation; `None` for no shuffle.
      number: the number of the pass: an integer, a tensor of the graph that contains the data set,
        or a variable. A variable is read with the rows, and must not change during the pass.
      dtype: float dtype that points are cast to.

    Returns:
      A data set of `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    #### Examples

    >>> x = np.arange(6.0).reshape(3, 2)
    >>> [batch.numpy().tolist() for (batch,) in row_batches(x, batch_size=2)]
    [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """
    return _one_pass(
        _ChunkReader(x, y, sample_weight, batch_size, shuffle_seed=shuffle_seed, dtype=dtype),
        number,
    )


class _ChunkReader:
    """Reads chunks of rows. A chunk holds many batches if rows are short.

    The graph has only a weak reference to it: TensorFlow's default graph never frees the Python
    functions of a pipeline, nor the objects to which they refer.
    """

    def __init__(self, x, y, sample_weight, batch_size, *, shuffle_seed, dtype):
        if y is None and sample_weight is not None:
            y = no_labels(len(x))
        arrays = (None if a is None else np.asanyarray(a) for a in (x, y, sample_weight))
        self._reader = RowReader(*arrays, dtype=dtype)
        rows_of_chunk = rows_at_once(x, _ENTRIES_AT_ONCE, entries=_ENTRIES_AT_ONCE)
        self.chunk_size = batch_size * max(1, rows_of_chunk // batch_size)
        self.batch_size, self.num_rows, self.shuffle_seed = batch_size, len(x), shuffle_seed

    @property
    def arrays(self):
        """Points, labels and weights, those that there are."""
        return [array for array in self._reader.parts if array is not None]

    def read(self, index, number):
        """The rows of a chunk, in the shuffled order of a pass."""
        start = index * self.chunk_size
        rows = np.arange(start, min(start + self.chunk_size, self.num_rows))
        if self.shuffle_seed is not None:
            rows = shuffled(rows, self.shuffle_seed(int(number)), self.num_rows)
        return [np.ascontiguousarray(a) for a in self._reader.read(rows) if a is not None]


def _one_pass(reader, number) -> tf.data.Dataset:
    """One pass over the rows of a reader; for `number` see `row_batches`."""
    weak_reader, is_in_graph = weakref.ref(reader), isinstance(number, tf.Tensor)
    specs = [(array.dtype, [None, *array.shape[1:]]) for array in reader.arrays]

    def read(index, now=None if is_in_graph else number):
        now = now.numpy() if hasattr(now, "numpy") else now  # a variable, or replicas' copies
        return weak_reader().read(index, now)

    @tf.autograph.experimental.do_not_convert
    def chunk(index):
        # Python does all the work: TensorFlow would prepare a graph again for every pass.
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
    return _keep_alive(reader, data.with_options(options).prefetch(tf.data.AUTOTUNE))


def _endless(reader, epoch) -> tf.data.Dataset:
    """Repeats passes without end.

    The next pass is prefetched, so its number is counted here, not read from the variable.
    """
    numbers = tf.data.Dataset.counter(epoch.numpy())
    one_pass = tf.autograph.experimental.do_not_convert(lambda number: _one_pass(reader, number))
    batches = numbers.flat_map(one_pass)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return _keep_alive(reader, batches.apply(endless))


def _keep_alive(reader, data):
    data.reader = reader  # keeps the reader alive as long as the data set and its iterators
    return data


@contextlib.contextmanager
def some_batches() -> Iterator[None]:
    """Replaces Keras' error for `predict` without batches by a clear one."""
    try:
        yield
    except (UnboundLocalError, ValueError) as error:
        if "batch_outputs" not in str(error):
            raise
        raise ValueError("`x` must hold points, got no batches.") from None


def _needs_row_batches(x):
    return isinstance(x, np.memmap) or (isinstance(x, np.ndarray) and x.dtype == np.float64)


def _validation_by_rows(arguments, dtype):
    arguments, validation = dict(arguments), arguments.get("validation_data")
    if isinstance(validation, tuple) and _needs_row_batches(validation[0]):
        size = arguments.pop("validation_batch_size", None) or arguments.get("batch_size")
        size = batch_size_of(validation[0], size, None)
        arguments["validation_data"] = row_batches(*validation, batch_size=size, dtype=dtype)
    return arguments
