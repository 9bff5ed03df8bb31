"""Coupling layers of images, with masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_gmnvp.bijectors.affine import Affine
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector

__all__ = ["ImageCoupling"]


class ImageCoupling(SinglePassBijector):
    """An affine coupling of images, which keeps the entries that a mask marks.

        y = b * x + (1 - b) * (x * exp(s(b * x)) + t(b * x)),    log|det dy/dx| = sum (1 - b) * s

    (Dinh et al. 2017, arXiv:1605.08803, equation 9), with s bounded as in `affine`. Going either
    way takes one evaluation of the conditioner.

    #### Examples

    >>> coupling = ImageCoupling(
    ...     lambda x: tf.concat([x[..., ::-1], 0.0 * x], -1), np.array([[[True, False]]]))
    >>> coupling.forward([[[5.0, 1.0]]]).numpy().tolist()
    [[[5.0, 6.0]]]
    """

    def __init__(
        self,
        conditioner: Callable[[tf.Tensor], tf.Tensor],
        mask: np.ndarray,
        *,
        max_log_scale: float = 1.5,
        dtype=tf.float32,
        name: str = "image_coupling",
    ):
        """Builds the coupling.

        Args:
          conditioner: maps `[..., H, W, C]` to `[..., H, W, 2 C]`, the shifts before the raw
            log-scales.
          mask: bool array `[H, W, C]`, true where the image stands still.
          max_log_scale: bound on the absolute log-scale, in nats per entry.
          dtype: float dtype of the images.
          name: prefix of the operations' names.

        Raises:
          ValueError: if the mask leaves nothing to move, or nothing to stand still.
        """
        parameters = dict(locals())
        if mask.all() or not mask.any():
            raise ValueError(f"`mask` must have both values, got one only in shape {mask.shape}.")
        dtype = tf.as_dtype(dtype)
        self._conditioner, self._max_log_scale = conditioner, max_log_scale
        self._still = mask.astype(dtype.as_numpy_dtype)
        self._moving = np.concatenate([1 - self._still] * 2, axis=-1)
        super().__init__(domain_shape=mask.shape, dtype=dtype, parameters=parameters, name=name)

    @property
    def conditioner(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The map from the kept entries to the parameters of the others."""
        return self._conditioner

    def _forward_and_log_det(self, x, **call_kwargs):
        bijector = self._affine(x, call_kwargs)
        return bijector.forward(x), bijector.forward_log_det_jacobian(x, event_ndims=3)

    def _inverse_and_log_det(self, y, **call_kwargs):
        bijector = self._affine(y, call_kwargs)
        return bijector.inverse(y), bijector.inverse_log_det_jacobian(y, event_ndims=3)

    def _affine(self, x, call_kwargs):
        """The elementwise bijector, the identity where its parameters are zero."""
        parameters = self._moving * self._conditioner(self._still * x, **call_kwargs)
        return Affine(self._max_log_scale)(parameters)
