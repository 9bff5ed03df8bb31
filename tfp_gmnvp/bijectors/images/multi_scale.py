"""The multi-scale architecture of Real NVP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_number, check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.images.conditioner import ConvResNet
from tfp_gmnvp.bijectors.images.coupling import ImageCoupling
from tfp_gmnvp.bijectors.images.masks import channel_mask, check_image_shape, checkerboard_mask
from tfp_gmnvp.bijectors.images.normalization import ChannelActNorm
from tfp_gmnvp.bijectors.images.shapes import FactorOut, Flatten, Squeeze

__all__ = ["image_real_nvp"]

tfb = tfp.bijectors


def image_real_nvp(
    image_shape: Sequence[int],
    *,
    num_scales: int = 2,
    num_filters: int = 32,
    num_blocks: int = 2,
    activation: str | Callable = "relu",
    max_log_scale: float = 1.5,
    dtype=tf.float32,
    seed=None,
    name: str = "image_real_nvp",
) -> tfb.Bijector:
    """Builds the multi-scale Real NVP of images.

    Seen from the image, each scale but the last is three couplings with alternating checkerboard
    masks, a `Squeeze`, three couplings with alternating channel-wise masks and twice as many
    filters, and a `FactorOut` of half of the entries; the last scale is four couplings with
    checkerboard masks (Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803, sections 3.4 to
    3.6). After each coupling stands a `ChannelActNorm`. Untrained, the whole permutes the entries.

    `forward` maps latent vectors `[D]`, D = H W C, to images: the latents of the coarsest scale
    first. So any density of vectors can be the prior.

    Args:
      image_shape: `[H, W, C]`, with H and W divisible by `2 ** (num_scales - 1)`.
      num_scales: number of scales, at least 1.
      num_filters: channels of the conditioners' hidden layers at the first scale.
      num_blocks: residual blocks of each conditioner.
      activation: of the hidden layers; a callable, or a name in `tf.nn` or `tf.math`.
      max_log_scale: bound on each coupling's absolute log-scale, in nats per entry.
      dtype: float dtype of the images and variables.
      seed: integer or stateless seed `[2]` of the conditioners' initial values.
      name: prefix of the operations' names.

    Returns:
      A `tfb.Bijector` from vectors `[..., D]` to images `[..., H, W, C]`.

    Raises:
      ValueError: if an argument is out of its range.

    #### Examples

    >>> bijector = image_real_nvp([4, 4, 1], num_filters=4, num_blocks=1, seed=0)
    >>> bijector.forward(tf.zeros([5, 16])).shape.as_list()
    [5, 4, 4, 1]
    >>> bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
    (1, 3)
    """
    height, width, _ = shape = check_image_shape(image_shape)
    check_whole_number("num_scales", num_scales)
    divisor = 2 ** (num_scales - 1)
    if height % divisor or width % divisor or height * width < 2 * divisor**2:
        raise ValueError(
            f"`image_shape` must have a height and a width that {num_scales} scales can halve, "
            f"{num_scales - 1} times, to more than one pixel, got {list(image_shape)}."
        )
    check_number("max_log_scale", max_log_scale, lambda bound: bound > 0, "be positive")
    settings = {"num_blocks": num_blocks, "activation": activation, "dtype": dtype}
    architecture = _Architecture(num_scales, max_log_scale, settings)
    parts = _scale(architecture, shape, 0, num_filters, stateless_seed(seed))
    return SinglePassChain(parts, name=name)


class _Architecture(NamedTuple):
    """The settings that all scales share."""

    num_scales: int
    max_log_scale: float
    network: dict


def _scale(architecture, shape, number, num_filters, seed):
    """The bijectors from vectors to images of this shape: this scale and all coarser ones."""
    *seeds, next_seed = tfp.random.split_seed(seed, n=8)
    dtype = architecture.network["dtype"]
    prefix = f"scale_{number}"
    if number == architecture.num_scales - 1:
        masks = [checkerboard_mask(shape, parity=i % 2) for i in range(4)]
        last = _couplings(architecture, masks, num_filters, seeds, f"{prefix}/checkerboard")
        return [*last, Flatten(shape, dtype=dtype)]
    height, width, channels = shape
    squeezed = (height // 2, width // 2, 4 * channels)
    masks = [checkerboard_mask(shape, parity=i % 2) for i in range(3)]
    first = _couplings(architecture, masks, num_filters, seeds[:3], f"{prefix}/checkerboard")
    masks = [channel_mask(squeezed, parity=i % 2) for i in range(3)]
    second = _couplings(architecture, masks, 2 * num_filters, seeds[3:], f"{prefix}/channel")
    half = (height // 2, width // 2, 2 * channels)
    to_come = _scale(architecture, half, number + 1, 2 * num_filters, next_seed)
    rest = FactorOut(SinglePassChain(to_come), squeezed, name=f"scale_{number + 1}")
    return [*first, Squeeze(shape, dtype=dtype), *second, rest]


def _couplings(architecture, masks, num_filters, seeds, name):
    """Builds a coupling and its normalisation for each mask."""
    parts = []
    for i, (mask, seed) in enumerate(zip(masks, seeds, strict=False)):
        channels, dtype = mask.shape[-1], architecture.network["dtype"]
        network = ConvResNet(
            channels,
            2 * channels,
            num_filters=num_filters,
            seed=seed,
            name=f"conditioner_{i}",
            **architecture.network,
        )
        coupling = ImageCoupling(
            network,
            mask,
            max_log_scale=architecture.max_log_scale,
            dtype=dtype,
            name=f"{name}_{i}",
        )
        parts += [coupling, ChannelActNorm(mask.shape, dtype=dtype, name=f"{name}_{i}_norm")]
    return parts
