"""The Gaussian mixture of the latents, as a distribution with trainable parameters."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_choice, check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.mixtures.covariances import covariance_structure
from tfp_gmnvp.mixtures.distribution import GaussianMixture, ReparameterizedMixture
from tfp_gmnvp.mixtures.tensor_float import warn_of_tensor_float

__all__ = ["gaussian_mixture"]

tfd = tfp.distributions


def gaussian_mixture(
    num_components: int,
    event_size: int,
    covariance_type: str = "full",
    *,
    rank: int | None = None,
    reparameterize: bool = False,
    dtype=tf.float32,
    seed=None,
    name: str = "gaussian_mixture",
) -> tfd.MixtureSameFamily:
    """Builds a mixture of Gaussians whose components are evaluated in one contraction.

        p(z) = sum_k pi_k N(z | mu_k, Sigma_k)

    Weights start equal, covariances as the identity, and means as standard normal draws
    (a single mean starts at zero). The parameters are unconstrained `tf.Variable`s, the
    scales behind `tfp.util.TransformedVariable`s with an exponential diagonal, so that any
    optimizer may train them.

    Args:
      num_components: the number K >= 1 of components.
      event_size: the size D >= 1 of the vectors.
      covariance_type: 'full' (each component its own), 'tied' (one for all), 'diag',
        'spherical', or 'low_rank' (of low rank plus a diagonal, where D is large: a mixture of
        factor analysers, Ghahramani and Hinton 1996; its loadings start as small random numbers).
      rank: R >= 1, of the first part of covariances of type 'low_rank'.
      reparameterize: whether samples carry gradients with respect to the weights, means and
        covariances, as variational inference needs (see `mixtures.pathwise`).
      dtype: float32 or float64.
      seed: integer or stateless seed `[2]` of the means.
      name: prefix of the operations' and variables' names.

    Returns:
      A `tfd.MixtureSameFamily` with batch shape `[]` and event shape `[D]`.

    Raises:
      ValueError: if a number is out of range, or the covariance type or dtype is unknown.

    Warns:
      UserWarning: once, if float32 is multiplied in TensorFloat-32, on a GPU.

    #### Examples

    >>> mixture = gaussian_mixture(3, 2, seed=0)
    >>> mixture.log_prob([0.0, 0.0]).shape.as_list(), len(mixture.trainable_variables)
    ([], 3)
    """
    check_whole_number("num_components", num_components)
    check_whole_number("event_size", event_size)
    check_choice("dtype", tf.as_dtype(dtype).name, ["float32", "float64"])
    structure = covariance_structure(covariance_type, rank)
    if structure.has_rank:
        check_whole_number("rank", structure.rank)
    warn_of_tensor_float(dtype)
    seed = stateless_seed(seed)
    with tf.name_scope(name):
        logits = tf.Variable(tf.zeros([num_components], dtype), name=f"{name}/logits")
        loc = tf.random.stateless_normal([num_components, event_size], seed, dtype=dtype)
        start = loc if num_components > 1 else tf.zeros_like(loc)
        loc = tf.Variable(start, name=f"{name}/loc")
        components = structure.unit_components(loc, seed=seed, name=name)
        components.untrained_loc = start  # identifies a mixture that is not initialised
        family = ReparameterizedMixture if reparameterize else GaussianMixture
        return family(
            tfd.Categorical(logits=logits, dtype=tf.int32),
            components,
            reparameterize=reparameterize,
            name=name,
        )
