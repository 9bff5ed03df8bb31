"""Sums and means over the replicas of a `tf.distribute` strategy.

A strategy splits the global batch among R replicas, and each runs the training step on its part. A
sum over points is a sum of R sums. A mean is the sum of the weighted values divided by the sum of
the weights, both summed over the replicas. So parts may have different sizes, and may be empty.
With one replica these functions add no operations to the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf

__all__ = [
    "check_created_in_scope",
    "from_first_replica",
    "gather_over_replicas",
    "mean_over_replicas",
    "num_replicas",
    "share_of_mean",
    "sum_before_clipping",
    "sum_over_replicas",
]


def num_replicas() -> int:
    """The number of replicas that run the current step; one outside of `Strategy.run`.

    Returns:
      The number R, known when the step is traced.

    #### Examples

    >>> num_replicas()
    1
    """
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def sum_over_replicas(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Sums each tensor over the replicas, within a step.

    Args:
      tensors: tensors with the same shapes on all replicas.

    Returns:
      The sums, equal on all replicas.

    #### Examples

    >>> [total] = sum_over_replicas([tf.constant(2.0)])
    >>> float(total)
    2.0
    """
    if num_replicas() == 1:
        return list(tensors)
    placed = [tf.identity(tensor) for tensor in tensors]  # on the replica's device
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, placed)


def gather_over_replicas(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Joins each tensor's rows over the replicas, within a step.

    It is implemented as a sum, with zeros for the other replicas' rows, so it works wherever sums
    work.

    Args:
      tensors: tensors with the same shapes on all replicas.

    Returns:
      The rows of all replicas, equal on all replicas.

    #### Examples

    >>> [rows] = gather_over_replicas([tf.constant([1.0, 2.0])])
    >>> rows.numpy().tolist()
    [1.0, 2.0]
    """
    if num_replicas() == 1:
        return list(tensors)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    is_own = tf.equal(tf.range(num_replicas()), replica)
    blocks = []
    for tensor in tensors:
        mask = tf.reshape(is_own, [-1] + [1] * tensor.shape.rank)
        blocks.append(tf.where(mask, tensor, tf.zeros_like(tensor)))
    return [tf.reshape(b, [-1, *b.shape[2:]]) for b in sum_over_replicas(blocks)]


def share_of_mean(values: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    """This replica's share of the weighted mean over the global batch.

        sum_{n in replica} w_n v_n / sum_{n in all} w_n

    The shares add up to the mean, and their gradients, which Keras' optimizers sum over the
    replicas, to the mean's gradient.

    Args:
      values: `[n]`, one for each point of this replica.
      sample_weight: weights `[n]`; `None` for weights of one.

    Returns:
      A scalar; zero if all weights are zero, or if there are no points.

    #### Examples

    >>> float(share_of_mean(tf.constant([1.0, 4.0]), tf.constant([1.0, 2.0])))
    3.0
    """
    if sample_weight is None and num_replicas() == 1:
        return tf.where(tf.size(values) > 0, tf.reduce_mean(values), 0.0)
    weights = tf.ones_like(values) if sample_weight is None else sample_weight
    [total] = sum_over_replicas([tf.reduce_sum(weights)])
    return tf.math.divide_no_nan(tf.reduce_sum(weights * values), total)


def sum_before_clipping(gradients: Sequence[tf.Tensor], optimizer) -> list[tf.Tensor]:
    """Prepares gradients for an optimizer that clips them before it sums over the replicas.

    Keras 3's optimizers clip each replica's gradient, not that of the global batch. So a clipping
    optimizer gets the sums on the first replica, and zeros on the others.

    Args:
      gradients: one for each variable.
      optimizer: a Keras optimizer.

    Returns:
      The gradients, unchanged if there is one replica, or if the optimizer does not clip.

    #### Examples

    >>> [gradient] = sum_before_clipping([tf.constant(2.0)], tf.keras.optimizers.SGD(clipnorm=1.0))
    >>> float(gradient)
    2.0
    """
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a `LossScaleOptimizer`
    parts = getattr(inner, "optimizers", [inner])  # of a combined optimizer
    clips = any(getattr(part, name, None) is not None for part in parts for name in names)
    if num_replicas() == 1 or not clips:
        return list(gradients)
    return _zero_unless_first(sum_over_replicas(gradients))


def mean_over_replicas(tracker) -> tf.Tensor:
    """The mean over all replicas, which a step returns for the logs.

    Args:
      tracker: a Keras `Mean`, updated by each replica with its own points.

    Returns:
      A scalar; with several workers a vector `[1]`, because Keras 3 averages the results of the
      workers along the first axis, and fails if there is none.

    #### Examples

    >>> tracker = tf.keras.metrics.Mean()
    >>> _ = tracker.update_state([1.0, 3.0])
    >>> float(mean_over_replicas(tracker))
    2.0
    """
    if num_replicas() == 1:
        return tracker.result()
    total, count = (tf.convert_to_tensor(v) for v in (tracker.total, tracker.count))
    mean = tf.math.divide_no_nan(*sum_over_replicas([total, tf.cast(count, total.dtype)]))
    return mean[tf.newaxis] if _are_several_workers() else mean


def from_first_replica(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Broadcasts the first replica's tensors to all workers, outside of a step.

    Args:
      tensors: tensors with the same shapes on all workers.

    Returns:
      The tensors of the first replica's worker.

    #### Examples

    >>> [tensor] = from_first_replica([tf.constant(2.0)])
    >>> float(tensor)
    2.0
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return list(tensors)

    @tf.function
    def broadcast(tensors):
        return strategy.run(lambda *t: sum_over_replicas(_zero_unless_first(t)), tensors)

    sums = broadcast(tuple(tensors))
    return [strategy.experimental_local_results(t)[0] for t in sums]


def check_created_in_scope(variables: Iterable[tf.Variable], strategy) -> None:
    """Checks that variables were created in the scope of the strategy that trains them.

    Args:
      variables: `tf.Variable`s.
      strategy: a `tf.distribute` strategy.

    Raises:
      ValueError: if a variable was created elsewhere, and there are several replicas.

    #### Examples

    >>> check_created_in_scope([tf.Variable(1.0)], tf.distribute.get_strategy())
    """
    if strategy.num_replicas_in_sync == 1:
        return
    if not all(strategy.extended.variable_created_in_scope(v) for v in variables):
        raise ValueError(
            "`distribution` must be built in the same `strategy.scope()` as the model that trains "
            f"it on {strategy.num_replicas_in_sync} replicas, got one that was built outside."
        )


def _zero_unless_first(tensors):
    context = tf.distribute.get_replica_context()
    is_first = tf.equal(context.replica_id_in_sync_group, 0)
    return [tf.where(is_first, tensor, tf.zeros_like(tensor)) for tensor in tensors]


def _are_several_workers():
    extended = tf.distribute.get_strategy().extended
    return num_replicas() > len(extended.worker_devices)
