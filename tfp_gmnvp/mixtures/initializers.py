"""Where a mixture starts: k-means++ and the first fit."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp.mixtures import em, factor_analysis
from tfp_gmnvp.mixtures.gaussian_mixture import as_mixture, component_log_joint
from tfp_gmnvp.seeds import stateless_seed

__all__ = ["first_fit", "k_means_plus_plus"]


def k_means_plus_plus(
    points: tf.Tensor, num_clusters: int, *, seed, sample_weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Spreads centers over points: each is drawn by its squared distance to those before.

    Of `2 + log K` candidates for each center the one that leaves the smallest sum of squared
    distances is taken (Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful
    seeding", section 2.2, and the greedy variant of its conclusions).

    Args:
      points: `[N, D]`.
      num_clusters: K, at most N.
      seed: integer or stateless seed `[2]`.
      sample_weight: the points' weights `[N]`; `None` gives each the weight one.

    Returns:
      The centers `[K, D]`, points all.

    Raises:
      ValueError: if there are fewer points than clusters.

    #### Examples

    >>> points = tf.constant([[0.0], [0.1], [9.0], [9.1]])
    >>> sorted(k_means_plus_plus(points, 2, seed=0).numpy().round().ravel().tolist())
    [0.0, 9.0]
    """
    num_points = points.shape[0]
    if num_points < num_clusters:
        raise ValueError(
            f"k-means++ needs at least as many points as clusters, got {num_points} points "
            f"for {num_clusters} clusters."
        )
    weight = tf.ones(num_points, points.dtype) if sample_weight is None else sample_weight
    weight = tf.cast(weight, points.dtype)
    num_trials = 2 + int(math.log(num_clusters))
    first_seed, *seeds = tfp.random.split_seed(stateless_seed(seed), n=num_clusters)
    centers = tf.gather(points, _draw(weight, 1, first_seed))
    nearest = _squared_distances(points, centers)[0]
    for trial_seed in seeds:
        potential = weight * nearest
        potential = tf.where(tf.reduce_any(potential > 0), potential, weight)
        candidates = tf.gather(points, _draw(potential, num_trials, trial_seed))
        distances = tf.minimum(nearest, _squared_distances(points, candidates))
        best = tf.argmin(tf.linalg.matvec(distances, weight))
        centers = tf.concat([centers, candidates[best][tf.newaxis]], axis=0)
        nearest = distances[best]
    return centers


def first_fit(
    points: tf.Tensor,
    num_components: int,
    covariance_type: str,
    *,
    rank: int | None = None,
    seed,
    num_iterations: int = 10,
    covariance_floor: float = 1e-4,
    sample_weight: tf.Tensor | None = None,
) -> em.MixtureParameters:
    """The first mixture: k-means++ centers, nearest-center covariances, and some steps of EM.

    Args:
      points: `[N, D]`.
      num_components: K, at most N.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      rank: of covariances of type 'low_rank', whose loadings start at random.
      seed: integer or stateless seed `[2]`.
      num_iterations: EM iterations after the first M-step.
      covariance_floor: as in `maximization`.
      sample_weight: the points' weights `[N]`.

    Returns:
      `MixtureParameters`.

    #### Examples

    >>> points = tf.constant([[0.0], [0.2], [9.0], [9.2]])
    >>> parameters = first_fit(points, 2, "full", seed=0)
    >>> parameters.probs.numpy().tolist()
    [0.5, 0.5]
    """
    centers = k_means_plus_plus(points, num_components, seed=seed, sample_weight=sample_weight)
    nearest = tf.argmin(_squared_distances(points, centers), axis=0)
    responsibilities = tf.one_hot(nearest, num_components, dtype=points.dtype)
    reference = centers
    if covariance_type == "low_rank":
        spread = tf.math.reduce_variance(points, axis=0) + tf.zeros_like(centers)
        (loadings_seed,) = tfp.random.split_seed(stateless_seed(seed), n=1, salt="loadings")
        covariance = factor_analysis.initial_loadings(spread, rank, seed=loadings_seed)
        reference = factor_analysis.pack(centers, covariance)
    for _ in range(num_iterations):
        parameters = _maximize(
            points, responsibilities, reference, covariance_type, covariance_floor, sample_weight
        )
        mixture = as_mixture(parameters, covariance_type)
        responsibilities, _ = em.expectation(component_log_joint(mixture, points))
        reference = em.reference_point(parameters, covariance_type)
    return _maximize(
        points, responsibilities, reference, covariance_type, covariance_floor, sample_weight
    )


def _maximize(points, responsibilities, reference, covariance_type, floor, sample_weight):
    statistics = em.sufficient_statistics(
        points, responsibilities, reference, covariance_type, sample_weight=sample_weight
    )
    return em.maximization(statistics, covariance_type, covariance_floor=floor)


def _draw(weight, num_samples, seed):
    """Indices drawn with probabilities proportional to `weight`."""
    logits = tf.math.log(weight)[tf.newaxis]
    return tf.random.stateless_categorical(logits, num_samples, seed)[0]


def _squared_distances(points, centers):
    """Squared distances of all points from all centers, `[K, N]`."""
    return tf.reduce_sum(tf.math.squared_difference(points, centers[:, tf.newaxis]), axis=-1)
