"""Reading and assigning the parameters of a Gaussian mixture."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.covariances import covariance_structure, mixture_structure
from tfp_gmnvp.mixtures.distribution import GaussianMixture

__all__ = [
    "MixtureParameters",
    "as_mixture",
    "assign_parameters",
    "component_log_joint",
    "mixture_parameters",
]

tfd = tfp.distributions


class MixtureParameters(NamedTuple):
    """Weights, means and covariances of a Gaussian mixture.

    The covariances have the shape of their structure: `[K, D, D]` ('full'), `[D, D]` ('tied'),
    `[K, D]` ('diag') or `[K]` ('spherical'), as in scikit-learn; or `[K, D, 1 + R]` ('low_rank'),
    the variances before the loadings (see `factor_analysis`).

    #### Examples

    >>> MixtureParameters(probs=[1.0], loc=[[0.0, 0.0]], covariance=[1.0]).probs
    [1.0]
    """

    probs: tf.Tensor
    loc: tf.Tensor
    covariance: tf.Tensor


def as_mixture(parameters: MixtureParameters, covariance_type: str) -> tfd.MixtureSameFamily:
    """Builds a mixture whose parameters are tensors instead of variables.

    Args:
      parameters: weights, means and positive definite covariances.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      A `tfd.MixtureSameFamily`.

    Raises:
      ValueError: if the covariance type is unknown, or the shapes are incompatible.

    #### Examples

    >>> mixture = as_mixture(MixtureParameters([1.0], [[0.0, 0.0]], [1.0]), "spherical")
    >>> print(f"{mixture.log_prob([0.0, 0.0]):.4f}")
    -1.8379
    """
    structure = covariance_structure(covariance_type)
    probs, loc, covariance = _as_tensors(parameters, tf.float32)
    _check_shapes(probs, loc, covariance, loc.shape, structure)
    return GaussianMixture(
        tfd.Categorical(logits=tf.math.log(probs)), structure.components(loc, covariance)
    )


def component_log_joint(mixture: tfd.MixtureSameFamily, z: tf.Tensor) -> tf.Tensor:
    """Computes log pi_k + log N(z | mu_k, Sigma_k) for every component.

    Its log-sum-exp over k is `mixture.log_prob(z)`, its softmax the responsibilities.

    Args:
      mixture: a mixture with batch shape `[]`.
      z: points `[..., D]`.

    Returns:
      A tensor `[..., K]`, in nats.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(3, 2, seed=0)
    >>> component_log_joint(mixture, tf.zeros([5, 2])).shape.as_list()
    [5, 3]
    """
    log_weights = tf.nn.log_softmax(mixture.mixture_distribution.logits_parameter())
    return log_weights + mixture.components_distribution.log_prob(z[..., tf.newaxis, :])


def mixture_parameters(mixture: tfd.MixtureSameFamily) -> MixtureParameters:
    """Returns the mixture's current weights, means and covariances.

    Args:
      mixture: made by `gaussian_mixture`.

    Returns:
      `MixtureParameters`, with covariances in the shape of the mixture's covariance type.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> parameters = mixture_parameters(gaussian_mixture(4, 2, "spherical"))
    >>> parameters.covariance.numpy().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    components = mixture.components_distribution
    probs = mixture.mixture_distribution.probs_parameter()
    covariance = mixture_structure(mixture).read(components)
    return MixtureParameters(probs, tf.convert_to_tensor(components.loc), covariance)


def assign_parameters(mixture: tfd.MixtureSameFamily, parameters: MixtureParameters) -> None:
    """Sets the mixture's weights, means and covariances.

    Args:
      mixture: made by `gaussian_mixture`.
      parameters: weights `[K]`, means `[K, D]`, and positive definite covariances in the shape of
        the mixture's covariance type.

    Raises:
      ValueError: if a parameter has another shape.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture = gaussian_mixture(2, 1, "diag")
    >>> assign_parameters(mixture, MixtureParameters([0.25, 0.75], [[0.0], [1.0]], [[4.0], [1.0]]))
    >>> print(f"{mixture.stddev()[0]:.3f}")
    1.392
    """
    components, structure = mixture.components_distribution, mixture_structure(mixture)
    dtype = components.dtype
    probs, loc, covariance = _as_tensors(parameters, dtype)
    _check_shapes(probs, loc, covariance, components.loc.shape, structure)
    mixture.mixture_distribution.logits.assign(tf.cast(tf.math.log(probs), dtype))
    components.loc.assign(tf.cast(loc, dtype))
    structure.assign(components, covariance)


def _as_tensors(parameters, dtype):
    return tuple(tf.convert_to_tensor(parameter, dtype_hint=dtype) for parameter in parameters)


def _check_shapes(probs, loc, covariance, loc_shape, structure):
    shapes = ([loc_shape[0]], loc_shape, structure.shape(*loc_shape))
    for name, value, shape in zip(
        MixtureParameters._fields, (probs, loc, covariance), shapes, strict=True
    ):
        if not value.shape.is_compatible_with(shape):
            raise ValueError(
                f"`{name}` must have shape {list(shape)} in this mixture of covariance type "
                f"{structure.name!r}, got {value.shape}."
            )
