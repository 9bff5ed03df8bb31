"""Checks of shapes in exported graphs, which run without this package."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

__all__ = ["checking_shapes", "rows_of_shape"]


def checking_shapes(function: Callable, specs: Sequence[tf.TensorSpec]) -> Callable:
    """Wraps a function, so that its graph checks the shapes of its arguments.

    A signature that is loaded takes tensors of any shape, and would broadcast one column to many.

    Args:
      function: of tensors.
      specs: what they are, one of each.

    Returns:
      A function of the same arguments, which raises a `tf.errors.InvalidArgumentError` that names
      the argument, its shape, and the one that it must have.

    #### Examples

    >>> double = checking_shapes(lambda x: 2 * x, [tf.TensorSpec([None, 2], tf.float32, "x")])
    >>> double(tf.ones([1, 2])).numpy().tolist()
    [[2.0, 2.0]]
    """

    @functools.wraps(function)
    def checked(*args, **kwargs):
        names = [spec.name for spec in specs]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        return function(
            *(tf.ensure_shape(given[spec.name], spec.shape, name=spec.name) for spec in specs)
        )

    return checked


def rows_of_shape(specs: Sequence[tf.TensorSpec], tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Reshapes tensors by operations that fail unless the shapes and numbers of rows agree.

    TensorFlow Lite has no operation that checks a shape. It does compare the number of entries as
    it reshapes, if the new shape is not known before, and the sizes of parts as it splits.

    Args:
      specs: shapes `[None, ...]` of the tensors.
      tensors: of these shapes, as far as TensorFlow knows.

    Returns:
      The same tensors.

    #### Examples

    >>> specs = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 1])]
    >>> x, context = rows_of_shape(specs, [tf.ones([3, 2]), tf.zeros([3, 1])])
    >>> x.shape.as_list(), context.shape.as_list()
    ([3, 2], [3, 1])
    """
    num_rows = tf.shape(tensors[0])[:1]
    return [
        tf.reshape(_split_and_joined(tensor, spec), tf.concat([num_rows, spec.shape[1:]], axis=0))
        for spec, tensor in zip(specs, tensors, strict=True)
    ]


def _split_and_joined(tensor, spec):
    """Checks height and width of images, which their number of entries alone does not determine."""
    for axis, size in enumerate(spec.shape[:-1]):
        if axis and size > 1:
            tensor = tf.concat(tf.split(tensor, [1, size - 1], axis=axis), axis=axis)
    return tensor
