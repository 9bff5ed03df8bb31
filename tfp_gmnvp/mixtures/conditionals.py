"""Marginals and conditionals of Gaussian mixtures, which are Gaussian mixtures again.

With o the known entries of z and u the others, each component has Gaussian parts, and

    p(z_o) = sum_k pi_k N(z_o | mu_k,o, Sigma_k,oo)
    p(z_u | z_o) = sum_k p(k | z_o) N(z_u | mu_k,u|o, Sigma_k,u|o)
    mu_k,u|o = mu_k,u + Sigma_k,uo Sigma_k,oo^-1 (z_o - mu_k,o)
    Sigma_k,u|o = Sigma_k,uu - Sigma_k,uo Sigma_k,oo^-1 Sigma_k,ou

#### References

Bishop 2006, "Pattern recognition and machine learning", sections 2.3.1 and 2.3.2.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures.covariances import Tied, covariance_structure
from tfp_gmnvp.mixtures.parameters import MixtureParameters, as_mixture
from tfp_gmnvp.mixtures.posterior import log_posterior

__all__ = ["conditional_mixture", "full_covariances", "marginal_parameters"]

tfd = tfp.distributions

_OF_MATRICES = ("full", "tied")
_OF_ROWS = ("diag", "low_rank")  # of each component, one row for each column
_OF_ROWS_OF_ALL = ("tied_low_rank",)


def marginal_parameters(
    parameters: MixtureParameters, covariance_type: str, columns: Sequence[int]
) -> MixtureParameters:
    """The mixture's density of some columns, a mixture of the same covariance type.

    Args:
      parameters: of the mixture, over D columns.
      covariance_type: 'full', 'tied', 'diag', 'spherical', or one with factors.
      columns: numbers of d columns, each at most once, in the order wanted.

    Returns:
      `MixtureParameters` over d columns.

    Raises:
      ValueError: if there is no column, one is named twice, or is none of the D.

    #### Examples

    >>> parameters = MixtureParameters([1.0], [[1.0, 2.0]], [[[4.0, 1.0], [1.0, 9.0]]])
    >>> marginal_parameters(parameters, "full", [1]).covariance.numpy().tolist()
    [[[9.0]]]
    """
    structure = covariance_structure(covariance_type)
    probs, loc, covariance = map(tf.convert_to_tensor, parameters)
    columns = _checked(columns, loc.shape[1], "columns")
    if structure.name in _OF_MATRICES:
        covariance = tf.gather(tf.gather(covariance, columns, axis=-1), columns, axis=-2)
    elif structure.name in _OF_ROWS:
        covariance = tf.gather(covariance, columns, axis=1)
    elif structure.name in _OF_ROWS_OF_ALL:
        covariance = tf.gather(covariance, columns, axis=0)
    return MixtureParameters(probs, tf.gather(loc, columns, axis=1), covariance)


def full_covariances(parameters: MixtureParameters, covariance_type: str) -> tf.Tensor:
    """The covariances of all components as matrices, `[K, D, D]`, whatever their type.

    Args:
      parameters: of the mixture.
      covariance_type: of the mixture.

    #### Examples

    >>> full_covariances(MixtureParameters([1.0], [[0.0]], [4.0]), "spherical").numpy().tolist()
    [[[4.0]]]
    """
    structure = covariance_structure(covariance_type)
    loc, covariance = map(tf.convert_to_tensor, parameters[1:])
    if isinstance(structure, Tied):
        return tf.tile(covariance[tf.newaxis], [loc.shape[0], 1, 1])
    return structure.components(loc, covariance).covariance()


def conditional_mixture(
    parameters: MixtureParameters,
    covariance_type: str,
    known_columns: Sequence[int],
    known: tf.Tensor,
) -> tfd.MixtureSameFamily:
    """The density of all other columns given the values of some, for a batch of conditions.

    The weights p(k | z_o) are computed by differences of logarithms, see `log_posterior`, so that
    they are right also where every density underflows to zero.

    Args:
      parameters: of the mixture, over D columns.
      covariance_type: of the mixture.
      known_columns: numbers of the d known columns, 1 <= d < D.
      known: their values, `[N, d]`, or `[d]` of one condition.

    Returns:
      A `tfd.MixtureSameFamily` with batch shape `[N]`, or `[]`, over the D - d other columns in
      ascending order.

    Raises:
      ValueError: if no column is known or none is left, or `known` has another shape.

    #### Examples

    >>> parameters = MixtureParameters([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]])
    >>> given = conditional_mixture(parameters, "full", [0], [[0.0], [2.0]])
    >>> given.mean().numpy().tolist(), given.variance().numpy().tolist()
    ([[0.0], [1.0]], [[0.75], [0.75]])
    """
    loc = tf.convert_to_tensor(parameters.loc)
    columns = _checked(known_columns, loc.shape[1], "known_columns")
    others = [column for column in range(loc.shape[1]) if column not in columns]
    if not others:
        raise ValueError(
            f"`known_columns` must leave a column out of {loc.shape[1]}, got {columns}."
        )
    known = tf.convert_to_tensor(known, dtype=loc.dtype)
    if known.shape.rank not in (1, 2) or known.shape[-1] != len(columns):
        raise ValueError(
            f"`known` must have shape [N, {len(columns)}] or [{len(columns)}], one entry for each "
            f"of `known_columns`, got {known.shape}."
        )
    order, size = [*columns, *others], len(columns)
    matrices = full_covariances(parameters, covariance_type)
    matrices = tf.gather(tf.gather(matrices, order, axis=1), order, axis=2)
    # The factor of the reordered matrix holds that of the known part, the regression on it, and
    # that of what is left: no matrix is subtracted from another.
    scale_tril = tf.linalg.cholesky(matrices)
    of_known, slope, of_others = (
        scale_tril[:, :size, :size],
        scale_tril[:, size:, :size],
        scale_tril[:, size:, size:],
    )
    deviation = known[..., tf.newaxis, :] - tf.gather(loc, columns, axis=1)  # [..., K, d]
    whitened = tf.linalg.triangular_solve(of_known, deviation[..., tf.newaxis])
    means = tf.gather(loc, others, axis=1) + tf.matmul(slope, whitened)[..., 0]
    marginal = as_mixture(
        marginal_parameters(parameters, covariance_type, columns), covariance_type
    )
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=log_posterior(marginal, known)),
        tfd.MultivariateNormalTriL(means, of_others),
    )


def _checked(columns, event_size, name) -> list[int]:
    found = list(columns)
    are_whole = all(isinstance(c, numbers.Integral) and not isinstance(c, bool) for c in found)
    if (
        not found
        or not are_whole
        or len(set(found)) < len(found)
        or not all(0 <= c < event_size for c in found)
    ):
        raise ValueError(
            f"`{name}` must hold different numbers of columns, from 0 to {event_size - 1}, got "
            f"{found!r}."
        )
    return [int(c) for c in found]
