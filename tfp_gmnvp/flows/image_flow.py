"""Real NVP flows of images with a Gaussian mixture prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.row_samples import row_numbers
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.bijectors import SinglePassChain, initialize, standardization
from tfp_gmnvp.bijectors.images import image_real_nvp, logit_pixels
from tfp_gmnvp.flows.configuration import record_arguments
from tfp_gmnvp.flows.distribution import Flow
from tfp_gmnvp.mixtures import gaussian_mixture

__all__ = ["image_flow"]

tfd = tfp.distributions


def image_flow(
    image_shape: Sequence[int],
    num_components: int = 1,
    *,
    num_scales: int = 2,
    num_filters: int = 32,
    num_blocks: int = 2,
    activation: str | Callable = "relu",
    max_log_scale: float = 1.5,
    num_levels: int = 256,
    alpha: float = 0.05,
    covariance_type: str = "diag",
    rank: int | None = None,
    standardize=None,
    dtype=tf.float32,
    seed=None,
    name: str | None = None,
) -> tfd.TransformedDistribution:
    """Builds a Real NVP of images with a Gaussian mixture prior over the latents of all scales.

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|

    x are the pixels themselves, dequantised (`datasets.dequantize`): of 256 levels, in [0, 256]. So
    `-log p(x) / (D log 2)`, D = H W C, are bits per dimension, and `FlowModel` reports them.

    Args:
      image_shape: `[H, W, C]`.
      num_components: number K >= 1 of components.
      num_scales: see `image_real_nvp`.
      num_filters: see `image_real_nvp`.
      num_blocks: see `image_real_nvp`.
      activation: see `image_real_nvp`.
      max_log_scale: see `image_real_nvp`.
      num_levels: see `logit_pixels`.
      alpha: see `logit_pixels`.
      covariance_type: see `gaussian_mixture`; 'full' and 'tied' take D^2 numbers.
      rank: see `gaussian_mixture`.
      standardize: dequantised images `[N, H, W, C]`, some hundreds or more, or `None`. The means
        and standard deviations of their logits, pixel by pixel, make up a bijector after the
        logit's, and the `ChannelActNorm`s start from 128 of them, drawn by the seed. Without them
        the first `FlowModel.fit` initialises the `ChannelActNorm`s.
      dtype: float32 or float64.
      seed: integer or stateless seed `[2]` of all initial values.
      name: name of the distribution.

    Returns:
      A `tfd.TransformedDistribution` with event shape `[H, W, C]`, whose `bijector` maps latent
      vectors `[D]` to images and whose `distribution` is the mixture of the latents.

    Raises:
      ValueError: if an argument is out of its range, or `standardize` is of another shape or range.

    #### Examples

    >>> flow = image_flow([4, 4, 1], num_components=3, num_filters=4, num_blocks=1, seed=0)
    >>> flow.log_prob(tf.fill([5, 4, 4, 1], 100.0)).shape.as_list()
    [5]
    >>> flow.sample(2, seed=1).shape.as_list()
    [2, 4, 4, 1]
    """
    seed = stateless_seed(seed)
    arguments = dict(locals())
    bijector_seed, mixture_seed = tfp.random.split_seed(seed, n=2)
    network = image_real_nvp(
        image_shape,
        num_scales=num_scales,
        num_filters=num_filters,
        num_blocks=num_blocks,
        activation=activation,
        max_log_scale=max_log_scale,
        dtype=dtype,
        seed=bijector_seed,
    )
    pixels = logit_pixels(num_levels, alpha=alpha, dtype=dtype)
    if standardize is None:
        bijector = SinglePassChain([pixels, network])
    else:
        images = _checked(standardize, network.codomain_shape, num_levels)
        logits = pixels.inverse(tf.constant(images, dtype)).numpy()
        bijector = SinglePassChain([pixels, standardization(logits, dtype=dtype), network])
        rows = row_numbers(len(images), size=128, seed=np.asarray(seed).view(np.uint32))
        initialize(bijector, tf.constant(images[rows], dtype))
    mixture = gaussian_mixture(
        num_components,
        network.event_size,
        covariance_type,
        rank=rank,
        dtype=dtype,
        seed=mixture_seed,
    )
    flow = Flow(mixture, bijector, name=name)
    return record_arguments(flow, {"factory": "image_flow", **arguments})


def _checked(images, image_shape, num_levels):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != image_shape or not len(images):
        raise ValueError(
            f"`standardize` must have shape [N, {', '.join(map(str, image_shape))}] with N >= 1, "
            f"got {list(images.shape)}."
        )
    if not (images.min() >= 0 and images.max() <= num_levels):  # False for NaN
        raise ValueError(
            f"`standardize` must hold pixels in [0, {num_levels}], by `num_levels`, got "
            f"values from {images.min()} to {images.max()}."
        )
    return images
