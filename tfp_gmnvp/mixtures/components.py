"""Gaussian components of a mixture, evaluated in one contraction."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.seeds import standard_normal
from tfp_gmnvp.mixtures.triangular import inverse_tril, log_det_tril, products_with_each

__all__ = ["DiagComponents", "GaussianComponents", "TriLComponents", "Whitening", "equal_scales"]

tfd = tfp.distributions
tfb = tfp.bijectors


class Whitening(NamedTuple):
    """The linear parts of the maps that whiten the components, and their log-determinants.

    Attributes:
      linear: maps `[..., 1 or K, D]` to `L_k^-1` times it, `[..., K, D]`; `[..., 1, D]` of a single
        vector where all share one scale.
      log_det_scale: log det L_k, `[K]`.
      is_same: which components have equal scales, bool `[K, K]`.

    #### Examples

    >>> components = DiagComponents(tf.zeros([2, 1]), tf.constant([[2.0], [4.0]]))
    >>> components.whitening().linear(tf.ones([1, 1])).numpy().tolist()
    [[0.5], [0.25]]
    """

    linear: Callable[[tf.Tensor], tf.Tensor]
    log_det_scale: tf.Tensor
    is_same: tf.Tensor


class GaussianComponents(tfd.Distribution):
    """K Gaussians over R^D, a batch `[K]` for `tfd.MixtureSameFamily`.

    For points `[..., 1, D]`, as a mixture passes them, the log-densities `[..., K]` of

        log N(z | mu_k, L_k L_k^T) = -|L_k^-1 (z - mu_k)|^2 / 2 - log det L_k - D/2 log 2 pi

    come from one contraction with all inverse Cholesky factors at once.

    Subclasses define `L_k`. The class is not a `CompositeTensor`, so that a mixture of it keeps
    its variables.
    """

    def __init__(self, loc, *, covariance_type, validate_args=False, parameters=None, name=None):
        if tf.TensorShape(loc.shape).rank not in (None, 2):
            raise ValueError(
                f"`loc` must have shape [K, D], got {loc.shape}: there are no batches of "
                "mixtures. Use `tfd.BatchBroadcast` of one, or `tfd.Mixture` of several."
            )
        self._loc = loc
        self._covariance_type = covariance_type
        super().__init__(
            dtype=loc.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    @property
    def loc(self):
        """The means mu_k, `[K, D]`."""
        return self._loc

    @property
    def covariance_type(self) -> str:
        """'full', 'tied', 'diag', 'spherical' or 'low_rank'."""
        return self._covariance_type

    @abc.abstractmethod
    def inverse_scale(self):
        """The inverse lower Cholesky factors L_k^-1, `[K, D, D]`."""

    @abc.abstractmethod
    def whitening(self) -> Whitening:
        """The linear parts of the maps from points to whitened points."""

    def sample_at(self, component: tf.Tensor, seed) -> tf.Tensor:
        """Draws one sample of each of these components.

        Args:
          component: int32 numbers `[n]` in 0 .. K-1.
          seed: stateless seed `[2]`.

        Returns:
          A tensor `[n, D]`.
        """
        shape = tf.concat([tf.shape(component), self._noise_shape()[-1:]], axis=0)
        noise = standard_normal(shape, seed, self.dtype)
        return tf.gather(self.loc, component) + self._scale_matvec_at(component, noise)

    def whiten_sums(self, deviation: tf.Tensor) -> tf.Tensor:
        """`L_k^-1 d_k` of one vector d_k for each component.

        Args:
          deviation: d_k, `[K, D]`.

        Returns:
          A tensor `[K, D]`.
        """
        loc = tf.convert_to_tensor(self.loc)
        return self._whiten(loc + deviation)[0]

    def _noise_shape(self):
        """The shape of the standard normal noise of one sample of each component, `[K, D]`."""
        return tf.shape(self.loc)

    @abc.abstractmethod
    def _scale_matvec_at(self, component, noise):
        """Maps `noise [n, D]` to `L_k noise`, with k the `component` of each."""

    @abc.abstractmethod
    def _whiten(self, z):
        """Maps `z [..., 1 or K, D]` to `L_k^-1 (z - mu_k)`, `[..., K, D]`, and gives log det L_k.

        Both use one reading of the scale, which is computed anew at every reading.
        """

    @abc.abstractmethod
    def _scale_matvec(self, noise):
        """Maps `noise [..., K, D]` to `L_k noise_k`."""

    @abc.abstractmethod
    def _log_det_scale(self):
        """log det L_k, `[K]`."""

    def _log_prob(self, z):
        if z.shape.rank == 1:
            z = z[tf.newaxis]
        event_size = tf.compat.dimension_value(self.loc.shape[-1])
        whitened, log_det_scale = self._whiten(z)
        squared = tf.reduce_sum(tf.square(whitened), axis=-1)
        constant = 0.5 * event_size * math.log(2 * math.pi)
        return -0.5 * squared - (log_det_scale + constant)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self._noise_shape()], axis=0)
        noise = standard_normal(shape, tfp.random.sanitize_seed(seed), self.dtype)
        return self.loc + self._scale_matvec(noise)

    def _mean(self):
        return tf.convert_to_tensor(self.loc)

    def _mode(self):
        return self._mean()

    def _stddev(self):
        return tf.sqrt(self._variance())

    def _entropy(self):
        event_size = tf.compat.dimension_value(self.loc.shape[-1])
        return self._log_det_scale() + 0.5 * event_size * (1 + math.log(2 * math.pi))

    def _event_shape(self):
        return self.loc.shape[-1:]

    def _event_shape_tensor(self):
        return tf.shape(self.loc)[-1:]

    def _default_event_space_bijector(self):
        return tfb.Identity(validate_args=self.validate_args)


class TriLComponents(GaussianComponents):
    """Gaussians with Cholesky factors `scale_tril`, `[K, D, D]`, or `[1, D, D]` shared by all."""

    def __init__(
        self, loc, scale_tril, *, covariance_type="full", validate_args=False, name="TriLComponents"
    ):
        parameters = dict(locals())
        self._scale_tril = scale_tril
        super().__init__(
            loc,
            covariance_type=covariance_type,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def scale_tril(self):
        """The lower Cholesky factors L_k, `[K, D, D]` or `[1, D, D]`."""
        return self._scale_tril

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "loc": tfp.util.ParameterProperties(event_ndims=1),
            "scale_tril": tfp.util.ParameterProperties(
                event_ndims=2,
                shape_fn=lambda sample_shape: tf.TensorShape(sample_shape).concatenate(
                    sample_shape[-1:]
                ),
                default_constraining_bijector_fn=lambda: tfb.FillScaleTriL(diag_shift=None),
            ),
        }

    def inverse_scale(self):
        inverse = inverse_tril(tf.convert_to_tensor(self.scale_tril))
        return inverse + tf.zeros_like(self.loc)[..., tf.newaxis]

    def whitening(self):
        scale_tril = tf.convert_to_tensor(self.scale_tril)
        inverse = inverse_tril(scale_tril)

        def linear(vectors):
            if vectors.shape[-2] == 1:
                return products_with_each(inverse, vectors[..., 0, :])
            return tf.linalg.matvec(inverse, vectors)

        log_det_scale = log_det_tril(scale_tril) + tf.zeros_like(self.loc[..., 0])
        return Whitening(linear, log_det_scale, equal_scales(self.loc, scale_tril))

    def _whiten(self, z):
        loc, scale_tril = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale_tril)
        inverse = inverse_tril(scale_tril)
        log_det_scale = log_det_tril(scale_tril) + tf.zeros_like(loc[..., 0])
        if z.shape[-2] != 1:
            return tf.linalg.matvec(inverse, z - loc), log_det_scale
        center = tf.reduce_mean(loc, axis=0)
        whitened = products_with_each(inverse, z[..., 0, :] - center)
        return whitened - tf.linalg.matvec(inverse, loc - center), log_det_scale

    def _scale_matvec(self, noise):
        scale_tril = tf.convert_to_tensor(self.scale_tril) + tf.zeros_like(self.loc)[..., None]
        return tf.einsum("kij,...kj->...ki", scale_tril, noise)

    def _scale_matvec_at(self, component, noise):
        scale_tril = tf.convert_to_tensor(self.scale_tril)
        if scale_tril.shape[0] == 1:
            return tf.matmul(noise, scale_tril[0], transpose_b=True)
        of_all = products_with_each(scale_tril, noise)
        return tf.gather(of_all, component, batch_dims=1)

    def _log_det_scale(self):
        return log_det_tril(self.scale_tril) + tf.zeros_like(self.loc[..., 0])

    def _covariance(self):
        scale_tril = tf.convert_to_tensor(self.scale_tril) + tf.zeros_like(self.loc)[..., None]
        return tf.matmul(scale_tril, scale_tril, transpose_b=True)

    def _variance(self):
        return tf.reduce_sum(tf.square(self.scale_tril), axis=-1) + tf.zeros_like(self.loc)


class DiagComponents(GaussianComponents):
    """Gaussians with standard deviations `scale_diag`, `[K, D]`, or `[K, 1]` for spheres."""

    def __init__(
        self, loc, scale_diag, *, covariance_type="diag", validate_args=False, name="DiagComponents"
    ):
        parameters = dict(locals())
        self._scale_diag = scale_diag
        super().__init__(
            loc,
            covariance_type=covariance_type,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def scale_diag(self):
        """The standard deviations, `[K, D]` or `[K, 1]`."""
        return self._scale_diag

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {
            "loc": tfp.util.ParameterProperties(event_ndims=1),
            "scale_diag": tfp.util.ParameterProperties(
                event_ndims=1, default_constraining_bijector_fn=tfb.Softplus
            ),
        }

    def inverse_scale(self):
        return tf.linalg.diag(1 / self.scale_diag + tf.zeros_like(self.loc))

    def whitening(self):
        scale_diag = tf.convert_to_tensor(self.scale_diag)
        return Whitening(
            lambda vectors: vectors / scale_diag,
            _log_det_diag(scale_diag, self.loc),
            equal_scales(self.loc, scale_diag),
        )

    def _whiten(self, z):
        loc, scale_diag = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale_diag)
        return (z - loc) / scale_diag, _log_det_diag(scale_diag, loc)

    def _scale_matvec(self, noise):
        return self.scale_diag * noise

    def _scale_matvec_at(self, component, noise):
        return tf.gather(self.scale_diag, component) * noise

    def _log_det_scale(self):
        return _log_det_diag(self.scale_diag, self.loc)

    def _covariance(self):
        return tf.linalg.diag(self._variance())

    def _variance(self):
        return tf.square(self.scale_diag) + tf.zeros_like(self.loc)


def _log_det_diag(scale_diag, loc):
    return tf.reduce_sum(tf.math.log(scale_diag) + tf.zeros_like(loc), axis=-1)


def equal_scales(loc: tf.Tensor, *scales: tf.Tensor) -> tf.Tensor:
    """Compares the scales of all pairs of components, bool `[K, K]`.

    Args:
      loc: means `[K, D]`.
      *scales: the tensors that define their scales, `[K or 1, ...]`.

    #### Examples

    >>> equal_scales(tf.zeros([2, 1]), tf.constant([[2.0], [4.0]])).numpy().tolist()
    [[True, False], [False, True]]
    """
    same = tf.ones(tf.concat([tf.shape(loc)[:1]] * 2, axis=0), tf.bool)
    for scale in scales:
        equal = tf.equal(scale[:, tf.newaxis], scale)
        same &= tf.reduce_all(equal, axis=list(range(2, equal.shape.rank)))
    return same
