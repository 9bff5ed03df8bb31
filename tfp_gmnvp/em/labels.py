"""Labelled points: a label is the index of a component, or -1 for none."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["labelled_log_joint"]


def labelled_log_joint(log_joint: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
    """Sets the log-joint of components that labels exclude to minus infinity.

    Its log-sum-exp over k is log p(z_n, y_n) for a labelled point and log p(z_n) for another; its
    softmax, the responsibilities, is one-hot for a labelled point and p(k | z_n) for another.

    Args:
      log_joint: `log pi_k + log N(z_n | mu_k, Sigma_k)`, `[N, K]`.
      labels: integers `[N]` in -1 .. K-1, with -1 for points without a label; or `None`.

    Returns:
      A tensor `[N, K]`; `log_joint` itself where there are no labels.

    #### Examples

    >>> known = labelled_log_joint(tf.math.log([[0.1, 0.3], [0.1, 0.3]]), tf.constant([0, -1]))
    >>> tf.nn.softmax(known).numpy().round(2).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    if labels is None:
        return log_joint
    component = tf.range(tf.shape(log_joint)[-1], dtype=labels.dtype)
    labels = labels[:, tf.newaxis]
    minus_infinity = tf.constant(-float("inf"), log_joint.dtype)
    return tf.where((labels < 0) | (labels == component), log_joint, minus_infinity)
