"""The Gaussian mixture over the latents: its construction, and its parameters in and out."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.argument_checks import check_choice, check_whole_number
from tfp_gmnvp.mixtures import factor_analysis
from tfp_gmnvp.mixtures.components import DiagComponents, TriLComponents
from tfp_gmnvp.mixtures.family import GaussianMixture, ReparameterizedMixture
from tfp_gmnvp.mixtures.low_rank import LowRankComponents
from tfp_gmnvp.mixtures.statistics import MixtureParameters
from tfp_gmnvp.mixtures.tensor_float import warn_of_tensor_float
from tfp_gmnvp.seeds import stateless_seed

__all__ = [
    "COVARIANCE_TYPES",
    "as_mixture",
    "assign_parameters",
    "component_log_joint",
    "gaussian_mixture",
    "mixture_parameters",
]

tfd = tfp.distributions
tfb = tfp.bijectors

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "low_rank")


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
    """A mixture of Gaussians whose components evaluate in one contraction.

        p(z) = sum_k pi_k N(z | mu_k, Sigma_k)

    Weights start equal, covariances as the identity, and the means as standard normal draws
    (at zero if there is one component). The parameters are unconstrained `tf.Variable`s, the
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
        covariances, as variational inference wants (see `mixtures.pathwise`).
      dtype: float32 or float64.
      seed: integer or stateless seed `[2]` of the means.
      name: prefix of the operations' and variables' names.

    Returns:
      A `tfd.MixtureSameFamily` with batch shape `[]` and event shape `[D]`.

    Raises:
      ValueError: if a number is out of range, or the covariance type or dtype another one.

    Warns:
      UserWarning: once, if float32 is multiplied in TensorFloat-32, on a GPU.

    #### Examples

    >>> mixture = gaussian_mixture(3, 2, seed=0)
    >>> mixture.log_prob([0.0, 0.0]).shape.as_list(), len(mixture.trainable_variables)
    ([], 3)
    """
    check_whole_number("num_components", num_components)
    check_whole_number("event_size", event_size)
    check_choice("covariance_type", covariance_type, COVARIANCE_TYPES)
    check_choice("dtype", tf.as_dtype(dtype).name, ["float32", "float64"])
    _check_rank(rank, covariance_type)
    warn_of_tensor_float(dtype)
    seed = stateless_seed(seed)
    with tf.name_scope(name):
        logits = tf.Variable(tf.zeros([num_components], dtype), name=f"{name}/logits")
        loc = tf.random.stateless_normal([num_components, event_size], seed, dtype=dtype)
        start = loc if num_components > 1 else tf.zeros_like(loc)
        loc = tf.Variable(start, name=f"{name}/loc")
        components = _unit_components(loc, covariance_type, rank, seed, name)
        components.untrained_loc = start  # by which to tell a mixture that nobody has set down
        family = ReparameterizedMixture if reparameterize else GaussianMixture
        return family(
            tfd.Categorical(logits=logits, dtype=tf.int32),
            components,
            reparameterize=reparameterize,
            name=name,
        )


def _unit_components(loc, covariance_type, rank, seed, name):
    num_components, event_size = loc.shape
    if covariance_type in ("full", "tied"):
        batch = num_components if covariance_type == "full" else 1
        scale = tfp.util.TransformedVariable(
            tf.eye(event_size, batch_shape=[batch], dtype=loc.dtype),
            tfb.FillScaleTriL(diag_bijector=tfb.Exp(), diag_shift=None),
            name=f"{name}/scale",
        )
        return TriLComponents(loc, scale, covariance_type=covariance_type)
    size = 1 if covariance_type == "spherical" else event_size
    scale = tfp.util.TransformedVariable(
        tf.ones([num_components, size], loc.dtype), tfb.Exp(), name=f"{name}/scale"
    )
    if covariance_type == "low_rank":
        (seed,) = tfp.random.split_seed(seed, n=1, salt="loadings")
        loadings = 0.01 * tf.random.stateless_normal([*loc.shape, rank], seed, dtype=loc.dtype)
        return LowRankComponents(loc, scale, tf.Variable(loadings, name=f"{name}/loadings"))
    return DiagComponents(loc, scale, covariance_type=covariance_type)


def as_mixture(parameters: MixtureParameters, covariance_type: str) -> tfd.MixtureSameFamily:
    """The mixture that has these parameters, as tensors rather than variables.

    Args:
      parameters: weights, means and positive definite covariances.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.

    Returns:
      A `tfd.MixtureSameFamily`.

    Raises:
      ValueError: if the covariance type is unknown, or the shapes do not go together.

    #### Examples

    >>> mixture = as_mixture(MixtureParameters([1.0], [[0.0, 0.0]], [1.0]), "spherical")
    >>> print(f"{mixture.log_prob([0.0, 0.0]):.4f}")
    -1.8379
    """
    check_choice("covariance_type", covariance_type, COVARIANCE_TYPES)
    probs, loc, covariance = _as_tensors(parameters, tf.float32)
    _check_shapes(probs, loc, covariance, loc.shape, covariance_type)
    families = {"full": TriLComponents, "tied": TriLComponents, "low_rank": LowRankComponents}
    family = families.get(covariance_type, DiagComponents)
    return GaussianMixture(
        tfd.Categorical(logits=tf.math.log(probs)),
        family(loc, *_scales(covariance, covariance_type), covariance_type=covariance_type),
    )


def _scales(covariance, covariance_type):
    """Cholesky factors `[K or 1, D, D]`, or standard deviations `[K, D or 1]` and loadings."""
    if covariance_type == "full":
        return [tf.linalg.cholesky(covariance)]
    if covariance_type == "tied":
        return [tf.linalg.cholesky(covariance)[tf.newaxis]]
    if covariance_type == "low_rank":
        variance, loadings = factor_analysis.unpack(covariance)
        return [tf.sqrt(variance), loadings]
    stddev = tf.sqrt(covariance)
    return [stddev if covariance_type == "diag" else stddev[:, tf.newaxis]]


def component_log_joint(mixture: tfd.MixtureSameFamily, z: tf.Tensor) -> tf.Tensor:
    """log pi_k + log N(z | mu_k, Sigma_k) of every component.

    Its log-sum-exp over k is `mixture.log_prob(z)`, its softmax the responsibilities.

    Args:
      mixture: a mixture with batch shape `[]`.
      z: points `[..., D]`.

    Returns:
      A tensor `[..., K]`, in nats.

    #### Examples

    >>> mixture = gaussian_mixture(3, 2, seed=0)
    >>> component_log_joint(mixture, tf.zeros([5, 2])).shape.as_list()
    [5, 3]
    """
    log_weights = tf.nn.log_softmax(mixture.mixture_distribution.logits_parameter())
    return log_weights + mixture.components_distribution.log_prob(z[..., tf.newaxis, :])


def mixture_parameters(mixture: tfd.MixtureSameFamily) -> MixtureParameters:
    """The mixture's present weights, means and covariances.

    Args:
      mixture: made by `gaussian_mixture`.

    Returns:
      `MixtureParameters`, with covariances in the shape of the mixture's covariance type.

    #### Examples

    >>> parameters = mixture_parameters(gaussian_mixture(4, 2, "spherical"))
    >>> parameters.covariance.numpy().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    components = mixture.components_distribution
    if components.covariance_type in ("full", "tied"):
        scale_tril = tf.convert_to_tensor(components.scale_tril)
        covariance = tf.matmul(scale_tril, scale_tril, transpose_b=True)
        covariance = covariance if components.covariance_type == "full" else covariance[0]
    elif components.covariance_type == "low_rank":
        variance = tf.square(components.scale_diag)
        covariance = factor_analysis.pack(variance, tf.convert_to_tensor(components.loadings))
    else:
        covariance = tf.square(components.scale_diag)
        covariance = covariance if components.covariance_type == "diag" else covariance[:, 0]
    probs = mixture.mixture_distribution.probs_parameter()
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

    >>> mixture = gaussian_mixture(2, 1, "diag")
    >>> assign_parameters(mixture, MixtureParameters([0.25, 0.75], [[0.0], [1.0]], [[4.0], [1.0]]))
    >>> print(f"{mixture.stddev()[0]:.3f}")
    1.392
    """
    components = mixture.components_distribution
    probs, loc, covariance = _as_tensors(parameters, components.dtype)
    rank = getattr(components, "rank", None)
    _check_shapes(probs, loc, covariance, components.loc.shape, components.covariance_type, rank)
    scales = {
        "full": lambda: [components.scale_tril],
        "tied": lambda: [components.scale_tril],
        "low_rank": lambda: [components.scale_diag, components.loadings],
    }.get(components.covariance_type, lambda: [components.scale_diag])()
    targets = (mixture.mixture_distribution.logits, components.loc, *scales)
    values = (tf.math.log(probs), loc, *_scales(covariance, components.covariance_type))
    for target, value in zip(targets, values, strict=True):
        target.assign(tf.cast(value, components.dtype))


def _as_tensors(parameters, dtype):
    return tuple(tf.convert_to_tensor(parameter, dtype_hint=dtype) for parameter in parameters)


def _check_shapes(probs, loc, covariance, loc_shape, covariance_type, rank=None):
    num_components, event_size = loc_shape
    expected = {
        "full": [num_components, event_size, event_size],
        "tied": [event_size, event_size],
        "diag": [num_components, event_size],
        "spherical": [num_components],
        "low_rank": [num_components, event_size, None if rank is None else 1 + rank],
    }
    shapes = ([num_components], loc_shape, expected[covariance_type])
    for name, value, shape in zip(
        MixtureParameters._fields, (probs, loc, covariance), shapes, strict=True
    ):
        if not value.shape.is_compatible_with(shape):
            raise ValueError(
                f"`{name}` must have shape {list(shape)} in this mixture of covariance type "
                f"{covariance_type!r}, got {value.shape}."
            )


def _check_rank(rank, covariance_type):
    if covariance_type == "low_rank":
        check_whole_number("rank", rank)
    elif rank is not None:
        raise ValueError(
            f"`rank` goes with covariances of type 'low_rank', got {rank!r} for "
            f"{covariance_type!r}."
        )
