"""Errors for sparse and ragged tensors, which say how to convert them."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["check_dense", "check_dense_batches"]


def check_dense(name: str, x) -> None:
    """Raises a `TypeError` if the value is a sparse or ragged tensor, or a SciPy sparse matrix.

    Args:
      name: name of the argument in errors.
      x: anything.

    Raises:
      TypeError: which says how to make it dense.

    #### Examples

    >>> check_dense("x", [[0.0, 1.0]])
    """
    remedy = _remedy(x, name)
    if remedy:
        kind = type(x).__name__
        raise TypeError(f"`{name}` must hold dense rows, got a {kind}: use `{remedy}`.")


def check_dense_batches(name: str, batches: tf.data.Dataset) -> None:
    """Raises a `TypeError` if a data set has sparse or ragged batches.

    #### Examples

    >>> check_dense_batches("x", tf.data.Dataset.from_tensors([[0.0, 1.0]]))
    """
    for spec in tf.nest.flatten(batches.element_spec):
        if isinstance(spec, (tf.SparseTensorSpec, tf.RaggedTensorSpec)):
            kind = spec.value_type.__name__
            is_sparse = isinstance(spec, tf.SparseTensorSpec)
            remedy = "tf.sparse.to_dense(batch)" if is_sparse else "batch.to_tensor()"
            raise TypeError(
                f"`{name}` must hold dense batches, got those of a {kind}: "
                f"`map` the data set by `{remedy}`."
            )


def _remedy(x, name):
    if isinstance(x, tf.SparseTensor):
        return f"tf.sparse.to_dense({name})"
    if isinstance(x, tf.RaggedTensor):
        return f"{name}.to_tensor()"
    is_matrix = hasattr(x, "toarray") and hasattr(x, "nnz")
    return f"{name}.toarray()" if is_matrix else None
