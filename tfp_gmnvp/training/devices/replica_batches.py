"""Splits data that is read between training steps among the replicas of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf

__all__ = ["distribute", "of_one_replica", "on_each_replica"]


def distribute(
    batches: Callable[[], Iterable[tuple]], strategy: tf.distribute.Strategy, *, data=None
) -> Callable[[], Iterable[tuple]]:
    """Splits batches, which are read outside of a step, among the replicas.

    Every worker reads the whole data, and skips the parts of the others, as in Keras' `fit`.

    Args:
      batches: a function that reads the data as tuples of tensors, rows first, and of `None`.
      strategy: a `tf.distribute` strategy.
      data: the source of the batches. If it is a `tf.data.Dataset` with `AutoShardPolicy.OFF`, each
        worker has its own data, and skips nothing.

    Returns:
      A function like `batches` that yields each replica's parts; `batches` itself if there is one
      replica.

    #### Examples

    >>> batches = lambda: [(tf.zeros([2, 1]), None)]
    >>> distribute(batches, tf.distribute.get_strategy()) is batches
    True
    """
    if strategy.num_replicas_in_sync == 1:
        return batches
    prepared = []

    def read():
        if not prepared:
            prepared.extend(_distributed(batches, strategy, data))
        dataset, is_there = prepared
        for element in dataset:
            parts = iter(element)
            yield tuple(next(parts) if there else None for there in is_there)

    return read


def on_each_replica(function: Callable) -> Callable:
    """Runs a function of batches on all replicas at once, outside of a step.

    Args:
      function: a function of tensors and `None`s.

    Returns:
      A function that runs `function` on every replica's part of its arguments, and returns every
      replica's result. With one replica it just calls `function`.

    #### Examples

    >>> float(on_each_replica(tf.square)(tf.constant(3.0)))
    9.0
    """

    @tf.function(reduce_retracing=True)
    def run(*args):
        return tf.distribute.get_strategy().run(function, args)

    def on_each(*args):
        one = tf.distribute.get_strategy().num_replicas_in_sync == 1
        return function(*args) if one else run(*args)

    return on_each


def of_one_replica(values):
    """The values of one replica, if all replicas have the same values.

    Args:
      values: a structure of tensors, or of values from `on_each_replica`.

    Returns:
      The structure of tensors.

    #### Examples

    >>> of_one_replica([1.0])
    [1.0]
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return values
    return tf.nest.map_structure(lambda v: strategy.experimental_local_results(v)[0], values)


def _distributed(batches, strategy, data):
    """The distributed data set, without parts that are `None`, and which parts are present."""
    first = next(iter(batches()))
    is_there = [part is not None for part in first]
    signature = tuple(
        tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in first if part is not None
    )

    def read():
        return (tuple(part for part in batch if part is not None) for batch in batches())

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = _shard_policy(data)
    dataset = tf.data.Dataset.from_generator(read, output_signature=signature)
    return strategy.experimental_distribute_dataset(dataset.with_options(options)), is_there


def _shard_policy(data):
    policy = tf.data.experimental.AutoShardPolicy
    if isinstance(data, tf.data.Dataset):
        chosen = data.options().experimental_distribute.auto_shard_policy
        return policy.OFF if chosen == policy.OFF else policy.DATA
    return policy.DATA
