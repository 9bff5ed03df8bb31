"""Masks of the entries of an image that a coupling keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["channel_mask", "check_image_shape", "checkerboard_mask"]


def checkerboard_mask(image_shape: Sequence[int], *, parity: int = 0) -> np.ndarray:
    """One where row plus column is of this parity, zero elsewhere.

    The spatial masks of Dinh et al. 2017 (arXiv:1605.08803, section 3.4 and figure 3).

    Args:
      image_shape: `[H, W, C]`.
      parity: 0 or 1.

    Returns:
      A bool array `[H, W, C]`.

    #### Examples

    >>> checkerboard_mask([2, 3, 1])[..., 0].astype(int).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    height, width, channels = check_image_shape(image_shape)
    row, column = np.indices([height, width])
    mask = (row + column) % 2 == parity
    return np.repeat(mask[..., np.newaxis], channels, axis=-1)


def channel_mask(image_shape: Sequence[int], *, parity: int = 0) -> np.ndarray:
    """One in every other channel, zero elsewhere.

    After a `Squeeze` of an image of one channel these are its rows in turn, a partition that no
    checkerboard makes (Dinh et al. 2017, arXiv:1605.08803, section 3.4).

    Args:
      image_shape: `[H, W, C]`.
      parity: 0 or 1.

    Returns:
      A bool array `[H, W, C]`.

    #### Examples

    >>> channel_mask([1, 1, 4], parity=1).astype(int).tolist()
    [[[0, 1, 0, 1]]]
    """
    shape = check_image_shape(image_shape)
    return np.broadcast_to(np.arange(shape[-1]) % 2 == parity, shape)


def check_image_shape(image_shape) -> tuple[int, int, int]:
    """Checks an image shape `[H, W, C]`, and returns it as three ints."""
    shape = tuple(image_shape)
    if len(shape) != 3 or any(int(size) != size or size < 1 for size in shape):
        raise ValueError(f"`image_shape` must be [H, W, C], each >= 1, got {list(shape)}.")
    return tuple(int(size) for size in shape)
