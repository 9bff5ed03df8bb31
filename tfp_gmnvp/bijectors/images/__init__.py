"""Bijectors of images `[H, W, C]`: the published architecture of Real NVP."""

from tfp_gmnvp.bijectors.images.conditioner import ConvResNet
from tfp_gmnvp.bijectors.images.coupling import ImageCoupling
from tfp_gmnvp.bijectors.images.logit import logit_pixels
from tfp_gmnvp.bijectors.images.masks import channel_mask, checkerboard_mask
from tfp_gmnvp.bijectors.images.multi_scale import image_real_nvp
from tfp_gmnvp.bijectors.images.normalization import ChannelActNorm
from tfp_gmnvp.bijectors.images.shapes import FactorOut, Flatten, Squeeze

__all__ = [
    "ChannelActNorm",
    "ConvResNet",
    "FactorOut",
    "Flatten",
    "ImageCoupling",
    "Squeeze",
    "channel_mask",
    "checkerboard_mask",
    "image_real_nvp",
    "logit_pixels",
]
