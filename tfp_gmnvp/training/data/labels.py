"""Labels: the known components of points, as in `fit(x, y)`, and their likelihood."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.array_checks import check_labels
from tfp_gmnvp.em import labelled_log_joint

__all__ = [
    "as_labels",
    "assert_in_range",
    "checked_labels",
    "is_correct",
    "labelled_log_prob",
    "no_labels",
]


def no_labels(num_points: int) -> np.ndarray:
    """Empty targets `[N, 0]`. Without targets, Keras ignores the sample weights of an array.

    #### Examples

    >>> as_labels(no_labels(3)) is None
    True
    """
    return np.zeros([num_points, 0])


def as_labels(y) -> tf.Tensor | None:
    """Converts the targets of a batch to labels.

    Args:
      y: integers `[N]` or `[N, 1]`, or `[N, 0]` or `None` for no labels.

    Returns:
      An int32 tensor `[N]`, or `None`.

    Raises:
      ValueError: if `y` has another shape.
      TypeError: if it does not hold integers.

    #### Examples

    >>> as_labels(np.array([[0], [-1]])).numpy().tolist()
    [0, -1]
    """
    if y is None:
        return None
    y = tf.convert_to_tensor(y)
    if y.shape.rank == 2 and y.shape[-1] == 0:
        return None
    if y.shape.rank is not None and (y.shape.rank != 1 and y.shape[1:].num_elements() != 1):
        raise ValueError(f"`y` must hold one label for each point, shape [N], got {y.shape}.")
    if not y.dtype.is_integer:
        raise TypeError(
            f"`y` must hold integers, the numbers of components, or -1, got {y.dtype.name}. If "
            "there are no labels, leave `y` out, or give -1 for each point."
        )
    return tf.reshape(tf.cast(y, tf.int32), [-1])


def checked_labels(
    y, num_points: int, num_components: int, *, name: str = "y"
) -> np.ndarray | None:
    """Checks an array of labels.

    Args:
      y: whole numbers `[N]` or `[N, 1]`, or `None`.
      num_points: N.
      num_components: K.
      name: its name in errors.

    Returns:
      An int32 array `[N]`, or `None`.

    Raises:
      ValueError: if `y` has another shape, or holds anything but -1 .. K-1.

    #### Examples

    >>> checked_labels([1.0, -1.0], 2, 2).tolist()
    [1, -1]
    """
    if y is None:
        return None
    y = np.asarray(y)
    if y.shape == (num_points, 0):
        return None
    if y.shape not in ((num_points,), (num_points, 1)):
        raise ValueError(
            f"`{name}` must hold one label for each of the {num_points} points, got shape "
            f"{list(y.shape)}."
        )
    check_labels(y, num_components, name=name)
    return y.reshape(-1).astype(np.int32)


def assert_in_range(labels: tf.Tensor | None, num_components: int) -> tf.Tensor | None:
    """Asserts that the labels of a batch are below K. XLA would remove this check.

    Raises:
      tf.errors.InvalidArgumentError: if a label is out of range.

    #### Examples

    >>> assert_in_range(tf.constant([1, -1]), num_components=2).numpy().tolist()
    [1, -1]
    """
    if labels is None:
        return None
    message = "`y` must hold numbers of components, or -1"
    with tf.control_dependencies([tf.debugging.assert_less(labels, num_components, message)]):
        return tf.identity(labels)


def labelled_log_prob(
    log_prob: tf.Tensor, log_joint: tf.Tensor, labels: tf.Tensor | None, label_weight: float = 1.0
) -> tf.Tensor:
    """The objective of each point: log p(x), plus log p(y | x) if it is labelled.

        log p(x) + label_weight log p(y | x),    p(y | x) = r_ny

    For `label_weight = 1` it is log p(x, y).

    Args:
      log_prob: log p(x_n), `[N]`.
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
      labels: `[N]` in -1 .. K-1, or `None`.
      label_weight: a non-negative number.

    Returns:
      A tensor `[N]`, in nats. It is `log_prob` for points without a label, and where `log_prob` is
      minus infinity.

    #### Examples

    >>> log_joint = tf.math.log([[0.1, 0.3], [0.1, 0.3]])
    >>> log_prob = tf.reduce_logsumexp(log_joint, axis=-1)
    >>> tf.exp(labelled_log_prob(log_prob, log_joint, tf.constant([0, -1]))).numpy().round(3)
    array([0.1, 0.4], dtype=float32)
    """
    if labels is None:
        return log_prob
    known = tf.reduce_logsumexp(labelled_log_joint(log_joint, labels), axis=-1)
    total = tf.reduce_logsumexp(log_joint, axis=-1)
    of_label = tf.where(total > -np.inf, known - total, tf.zeros_like(total))
    return log_prob + label_weight * of_label


def is_correct(log_joint: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether the most likely component is the label, and whether a point has a label.

    Args:
      log_joint: `[N, K]`.
      labels: `[N]` in -1 .. K-1.

    Returns:
      Two tensors `[N]` of ones and zeros, in the dtype of `log_joint`. A point whose `log_joint` is
      minus infinity for all components is not correct.

    #### Examples

    >>> correct, has_label = is_correct(tf.eye(3), tf.constant([0, 0, -1]))
    >>> correct.numpy().tolist(), has_label.numpy().tolist()
    ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    """
    predicted = tf.argmax(log_joint, axis=-1, output_type=labels.dtype)
    is_predicted = (predicted == labels) & (tf.reduce_max(log_joint, axis=-1) > -np.inf)
    return tf.cast(is_predicted, log_joint.dtype), tf.cast(labels >= 0, log_joint.dtype)
