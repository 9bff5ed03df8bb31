"""Uniform dequantisation and augmentation of images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

__all__ = ["dequantize", "image_batches"]


def dequantize(images: np.ndarray, *, seed: int, dtype=np.float32) -> np.ndarray:
    """Adds uniform noise in [0, 1) to integer pixels.

    The mean log-density of dequantised images is at most the log-probability of the images
    themselves under the model that it implies (Theis, van den Oord and Bethge 2016,
    arXiv:1511.01844, section 3.1); without the noise there is no such bound, and the density of
    integers can grow without limit.

    Args:
      images: whole numbers `[N, H, W, C]`, or `[N, H, W]` for images of one channel.
      seed: integer seed of the noise.
      dtype: float dtype of the result.

    Returns:
      An array `[N, H, W, C]` of pixels in [0, L], where the images have L levels.

    Raises:
      ValueError: if the images have another shape, or pixels that are not whole numbers.

    #### Examples

    >>> x = dequantize(np.full([2, 4, 4], 7), seed=0)
    >>> x.shape, bool((x >= 7).all() and (x < 8).all())
    ((2, 4, 4, 1), True)
    """
    images = _whole_numbered(images)
    images = images.astype(dtype)
    noise = np.random.default_rng(seed).random(images.shape, dtype)
    return np.minimum(images + noise, np.nextafter(images + 1, images))  # despite rounding


def image_batches(
    images: np.ndarray,
    batch_size: int,
    *,
    seed: int,
    flip: bool = False,
    dtype=tf.float32,
) -> tf.data.Dataset:
    """Builds training batches, shuffled and dequantised anew in every pass.

    Each pass has its own order, noise and flips. Those of all passes follow from the seed (and from
    `tf.random.set_seed`, as everything in `tf.data` does).

    Args:
      images: whole numbers `[N, H, W, C]`, or `[N, H, W]` for images of one channel.
      batch_size: images of a batch; the last one may have fewer.
      seed: integer seed.
      flip: whether each image is flipped left to right with probability one half (Dinh et al.
        2017, arXiv:1605.08803, section 4.1).
      dtype: float dtype of the batches.

    Returns:
      A `tf.data.Dataset` of tensors `[n, H, W, C]`, which `FlowModel.fit` takes.

    Raises:
      ValueError: if the images have another shape, or pixels that are not whole numbers.

    #### Examples

    >>> batches = image_batches(np.zeros([5, 4, 4], int), 3, seed=0)
    >>> [batch.shape.as_list() for batch in batches]
    [[3, 4, 4, 1], [2, 4, 4, 1]]
    """
    images = _whole_numbered(images)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)

    def augmented(batch, seed):
        batch = tf.cast(batch, dtype)
        if flip:
            batch = _flipped(batch, seed)
        noise = tf.random.stateless_uniform(tf.shape(batch), seed + 1, dtype=dtype)
        return tf.minimum(batch + noise, tf.math.nextafter(batch + 1, batch))

    batches = tf.data.Dataset.from_tensor_slices(images)
    batches = batches.shuffle(len(images), seed=seed).batch(batch_size)
    return tf.data.Dataset.zip(batches, seeds).map(augmented).prefetch(1)


def _flipped(batch, seed):
    coin = tf.random.stateless_uniform([tf.shape(batch)[0], 1, 1, 1], seed)
    return tf.where(coin < 0.5, tf.reverse(batch, axis=[2]), batch)


def _whole_numbered(images):
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or not len(images):
        raise ValueError(
            "`images` must have shape [N, H, W, C] or [N, H, W] with N >= 1, got "
            f"{list(images.shape)}."
        )
    if not np.array_equal(images, np.round(images)):
        raise ValueError("`images` must hold whole numbers: are they dequantised already?")
    return images
