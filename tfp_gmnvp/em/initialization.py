"""Initialisation of a mixture: k-means++ and a few steps of EM."""

from __future__ import annotations

import functools
import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.em.e_step import expectation
from tfp_gmnvp.em.labels import labelled_log_joint
from tfp_gmnvp.em.m_step import maximization, positive_variance
from tfp_gmnvp.em.statistics import sufficient_statistics
from tfp_gmnvp.mixtures import (
    MixtureParameters,
    Prior,
    as_mixture,
    component_log_joint,
    covariance_structure,
)

__all__ = ["initial_parameters", "k_means_plus_plus"]

_MAX_ANCHORS = 50


def k_means_plus_plus(
    points: tf.Tensor,
    num_clusters: int,
    *,
    seed,
    sample_weight: tf.Tensor | None = None,
    given: tf.Tensor | None = None,
) -> tf.Tensor:
    """Draws cluster centers by k-means++, each by its squared distance to the previous ones.

    Of `2 + log K` candidates for each center it takes the one with the smallest sum of squared
    distances (Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful
    seeding", section 2.2, and the greedy variant of its conclusions).

    Args:
      points: `[N, D]`.
      num_clusters: K, at most N.
      seed: integer or stateless seed `[2]`.
      sample_weight: the points' weights `[N]`; `None` gives each the weight one.
      given: existing centers `[M, D]`, which count as previous ones; or `None`.

    Returns:
      The new centers `[K, D]`, each one of the points.

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
    seeds = tfp.random.split_seed(stateless_seed(seed), n=num_clusters)
    if given is None:
        centers = tf.gather(points, _draw(weight, 1, seeds[0]))
        nearest, seeds = _squared_distances(points, centers)[0], seeds[1:]
    else:
        centers = points[:0]
        nearest = tf.reduce_min(_squared_distances(points, given), axis=0)
    for trial_seed in seeds:
        potential = weight * nearest
        potential = tf.where(tf.reduce_any(potential > 0), potential, weight)
        candidates = tf.gather(points, _draw(potential, num_trials, trial_seed))
        distances = tf.minimum(nearest, _squared_distances(points, candidates))
        best = tf.argmin(tf.linalg.matvec(distances, weight))
        centers = tf.concat([centers, candidates[best][tf.newaxis]], axis=0)
        nearest = distances[best]
    return centers


def initial_parameters(
    points: tf.Tensor,
    num_components: int,
    covariance_type: str,
    *,
    rank: int | None = None,
    seed,
    num_iterations: int = 10,
    n_init: int = 1,
    num_seedings: int = 1,
    covariance_floor: float = 1e-4,
    prior: Prior | None = None,
    sample_weight: tf.Tensor | None = None,
    labels: tf.Tensor | None = None,
    dtype: tf.DType | None = None,
) -> MixtureParameters:
    """Estimates initial parameters: k-means++, an M-step of the clusters, and some steps of EM.

    Distances are in units of each column's standard deviation, so the result does not depend on
    units.

    Components with labelled points start from these: every other point belongs to the component of
    the nearest labelled point or center. No steps of EM follow, as without training the bijector
    they would fit clusters instead of classes.

    Args:
      points: `[N, D]`.
      num_components: K, at most N.
      covariance_type: 'full', 'tied', 'diag', 'spherical' or 'low_rank'.
      rank: number of factors of covariances of type 'low_rank', whose loadings start at random.
      seed: integer or stateless seed `[2]`.
      num_iterations: EM iterations after the first M-step; none if there are labels.
      n_init: number of starts, of which the one with the highest likelihood, or posterior
        density under a prior, is kept.
      num_seedings: number of draws of centers for each start, of which the one with the highest
        likelihood after the first M-step is used; much cheaper than as many starts.
      covariance_floor: as in `maximization`.
      prior: as in `maximization`.
      sample_weight: the points' weights `[N]`.
      labels: integers `[N]`, the component of each point, or -1 where it is not known.
      dtype: as in `maximization`.

    Returns:
      `MixtureParameters`.

    Raises:
      ValueError: if `n_init` or `num_seedings` is not a whole number >= 1, or there are too few
        points.

    #### Examples

    >>> points = tf.constant([[0.0], [0.2], [9.0], [9.2]])
    >>> parameters = initial_parameters(points, 2, "full", seed=0)
    >>> parameters.probs.numpy().tolist()
    [0.5, 0.5]
    >>> labels = tf.constant([1, -1, 0, -1])
    >>> parameters = initial_parameters(points, 2, "full", seed=0, labels=labels)
    >>> parameters.loc.numpy().round().ravel().tolist()
    [9.0, 0.0]
    """
    check_whole_number("n_init", n_init)
    check_whole_number("num_seedings", num_seedings)
    structure = covariance_structure(covariance_type, rank)
    m_step = functools.partial(
        maximization,
        covariance_type=structure,
        covariance_floor=covariance_floor,
        prior=prior,
        dtype=dtype,
    )
    if labels is not None and bool(tf.reduce_any(labels >= 0)):
        num_iterations = 0
    run = functools.partial(
        _run,
        points,
        structure=structure,
        m_step=m_step,
        sample_weight=sample_weight,
        labels=labels,
    )
    stddev = _stddev(points, sample_weight)

    def height(parameters):
        return _objective(points, parameters, structure, prior, sample_weight, labels)

    def seeded(start_seed):
        start = _start(points, num_components, start_seed, sample_weight, labels, stddev)
        responsibilities, centers = start
        variance = tf.square(stddev)
        return responsibilities, structure.first_reference(variance, centers, seed=start_seed)

    def fit(start_seed):
        starts = [seeded(s) for s in _several(start_seed, num_seedings)]
        best = _highest(starts, lambda start: height(run(start, 0)))
        return run(best, num_iterations)

    return _highest([fit(s) for s in _several(seed, n_init)], height)


def _several(seed, number):
    return [seed] if number == 1 else tfp.random.split_seed(stateless_seed(seed), n=number)


def _highest(candidates, height):
    """Returns the first candidate with the highest objective that is not NaN."""
    if len(candidates) == 1:
        return candidates[0]
    heights = [height(candidate) for candidate in candidates]
    return candidates[
        max(range(len(heights)), key=lambda i: (heights[i] == heights[i], heights[i]))
    ]


def _stddev(points, sample_weight):
    """The weighted standard deviation of each column, `[D]`, always positive."""
    mean, variance = _moments(points, sample_weight)
    return tf.sqrt(positive_variance(variance, mean))


def _moments(points, sample_weight):
    weight = tf.ones_like(points[:, 0]) if sample_weight is None else sample_weight
    weight = tf.cast(weight, points.dtype)[:, tf.newaxis]
    return tf.nn.weighted_moments(points, axes=[0], frequency_weights=weight)


def _start(points, num_components, seed, sample_weight, labels, stddev):
    """Responsibilities `[N, K]` by the nearest center, or labelled point, and references.

    Distances are in units of each column's standard deviation.
    """
    points = points / stddev
    k_means = functools.partial(k_means_plus_plus, points, sample_weight=sample_weight, seed=seed)
    owned = [] if labels is None else _labelled_points(points, labels, num_components)
    places = [len(points_of) for points_of in owned]
    free = [k for k in range(num_components) if not (places and places[k])]
    given = tf.concat(owned, axis=0) if len(free) < num_components else None
    if free:
        centers = k_means(len(free), given=given)
    if given is None:
        anchors, owners = centers, tf.range(num_components)
    else:
        anchors = tf.concat([given, centers], axis=0) if free else given
        owners = tf.concat([tf.repeat(tf.range(num_components), places), free], axis=0)
    nearest = tf.gather(owners, tf.argmin(_squared_distances(points, anchors), axis=0))
    if labels is not None:
        nearest = tf.where(labels >= 0, tf.cast(labels, nearest.dtype), nearest)
    is_owner = tf.equal(owners[:, tf.newaxis], tf.range(num_components))
    reference = tf.gather(anchors, tf.argmax(tf.cast(is_owner, tf.int32), axis=0))
    return tf.one_hot(nearest, num_components, dtype=points.dtype), reference * stddev


def _labelled_points(points, labels, num_components):
    """The points of each label, at most `_MAX_ANCHORS`."""
    return [tf.boolean_mask(points, labels == k)[:_MAX_ANCHORS] for k in range(num_components)]


def _run(points, start, num_iterations, *, structure, m_step, sample_weight, labels):
    responsibilities, reference = start
    for iteration in range(num_iterations + 1):
        statistics = sufficient_statistics(
            points, responsibilities, reference, structure, sample_weight=sample_weight
        )
        parameters = m_step(statistics)
        if iteration < num_iterations:
            log_joint = component_log_joint(as_mixture(parameters, structure), points)
            responsibilities, _ = expectation(labelled_log_joint(log_joint, labels))
            reference = structure.reference(parameters.loc, parameters.covariance)
    return parameters


def _objective(points, parameters, structure, prior, sample_weight, labels):
    """The log-likelihood, or the log of the posterior density up to a constant; a float."""
    log_joint = component_log_joint(as_mixture(parameters, structure), points)
    log_prob = tf.reduce_logsumexp(labelled_log_joint(log_joint, labels), axis=-1)
    if sample_weight is not None:
        log_prob = log_prob * tf.cast(sample_weight, log_prob.dtype)
    objective = tf.reduce_sum(log_prob)
    if prior is not None:
        _, variance = _moments(points, sample_weight)
        objective += prior.log_density(parameters, variance, structure)
    return float(objective)


def _draw(weight, num_samples, seed):
    """Indices drawn with probabilities proportional to `weight`."""
    is_any = weight > 0
    # No logarithm of zero, which `tf.debugging.enable_check_numerics` reports as an error.
    logits = tf.where(is_any, tf.math.log(tf.where(is_any, weight, 1.0)), weight.dtype.min / 2)
    return tf.random.stateless_categorical(logits[tf.newaxis], num_samples, seed)[0]


def _squared_distances(points, centers):
    """Squared distances of all points from all centers, `[K, N]`."""
    return tf.reduce_sum(tf.math.squared_difference(points, centers[:, tf.newaxis]), axis=-1)
