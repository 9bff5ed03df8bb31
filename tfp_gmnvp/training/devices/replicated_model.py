"""What a Keras model needs to be trained on several replicas, in Keras 3 and in tf_keras."""

from __future__ import annotations

__all__ = ["ReplicatedModel"]


class ReplicatedModel:
    """A base, before `keras.Model`, of models whose weights are there from the start.

    The steps of such a model return losses that are the same on all replicas, see
    `replicas.loggable_mean`.

    #### Examples

    >>> ReplicatedModel.distribute_reduction_method
    'first'
    """

    #: tf_keras would add up the losses that the replicas' steps return.
    distribute_reduction_method = "first"

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds nothing: Keras 3 would average a batch over workers, for its shape, and fail."""
