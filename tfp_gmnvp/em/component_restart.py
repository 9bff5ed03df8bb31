"""Repair of collapsed components: they restart where the log-density is lowest."""

from __future__ import annotations

import tensorflow as tf

from tfp_gmnvp.mixtures import CovarianceStructure, MixtureParameters, covariance_structure

__all__ = ["repair"]


def repair(
    parameters: MixtureParameters,
    worst_explained: tf.Tensor,
    covariance_type: str | CovarianceStructure,
    *,
    min_share: float = 1e-3,
) -> MixtureParameters:
    """Moves collapsed components to the points of lowest log-density.

    A component is collapsed if its weight is below `min_share / K`. It gets a point as its
    mean, the average covariance (of type 'low_rank' that of the heaviest component, as loadings
    have no average), and the weight `1 / (2 K)`; the other weights shrink to make room.

    Args:
      parameters: of the mixture.
      worst_explained: points `[M, D]` of lowest log-density, the lowest first. If they are fewer
        than the collapsed components, the last one is used for the rest; without any, all
        components are unchanged.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      min_share: fraction of an equal share of the mass, below which a component is collapsed.

    Returns:
      The parameters, unchanged where no component is collapsed.

    #### Examples

    >>> parameters = MixtureParameters(
    ...     tf.constant([1.0, 0.0]), tf.constant([[0.0], [5.0]]), tf.constant([1.0, 1e-9]))
    >>> mended = repair(parameters, tf.constant([[9.0]]), "spherical")
    >>> mended.loc.numpy().tolist(), mended.probs.numpy().tolist()
    ([[0.0], [9.0]], [0.75, 0.25])
    """
    probs, loc, covariance = parameters
    num_components = loc.shape[0]
    num_places = tf.shape(worst_explained)[0]
    collapsed = (probs < min_share / num_components) & (num_places > 0)
    rank = tf.minimum(tf.cumsum(tf.cast(collapsed, tf.int32)) - 1, num_places - 1)
    places = tf.concat([tf.cast(worst_explained, loc.dtype), loc[:1]], axis=0)  # never empty
    places = tf.gather(places, tf.maximum(rank, 0))
    loc = tf.where(collapsed[:, tf.newaxis], places, loc)
    covariance = covariance_structure(covariance_type).replace(covariance, collapsed, probs)
    share = tf.cast(tf.where(collapsed, 0.5 / num_components, 0.0), probs.dtype)
    kept = tf.where(collapsed, tf.zeros_like(probs), probs)
    probs = share + kept * (1 - tf.reduce_sum(share)) / tf.reduce_sum(kept)
    return MixtureParameters(probs, loc, covariance)
