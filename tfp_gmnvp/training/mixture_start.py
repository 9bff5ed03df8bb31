"""Initialises the normalisation and the mixture of a flow on data, before training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors, em, mixtures
from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.flows import conditional, precision
from tfp_gmnvp.training import freezing
from tfp_gmnvp.training.data import labels
from tfp_gmnvp.training.data.row_reader import rows_at_once
from tfp_gmnvp.training.devices import replicas
from tfp_gmnvp.training.mixture_updates import MixtureUpdate

__all__ = ["start_on_data"]

tfd = tfp.distributions

_MOST_IMAGES = 128  # for the initialisation of normalisation
_NUM_SEEDINGS = 4
_ENTRIES_OF_SEEDINGS = 2**21  # up to this N K D, several seedings take little time


def start_on_data(
    flow: tfd.TransformedDistribution,
    rows: tf.Tensor,
    y=None,
    sample_weight=None,
    *,
    update: MixtureUpdate | None = None,
    n_init: int = 1,
    seed=None,
) -> None:
    """Initialises each `ActNorm` of a flow, and its mixture by k-means++ on the latents.

    Frozen parts stay unchanged. With a `tf.distribute` strategy, call it in its scope.

    Args:
      flow: a flow over a Gaussian mixture.
      rows: points `[N, D]`, or `[N, D + C]` with their contexts, at least K of them.
      y: labels `[N]` in -1 .. K-1, whose components start on their points; or `None`.
      sample_weight: weights `[N]` or `None`.
      update: the update whose covariance floor and prior are used; `None` for the defaults.
      n_init: number of starts; the best one is kept.
      seed: stateless seed `[2]`.

    Raises:
      ValueError: if there are fewer points than components, or points outside the support.

    #### Examples

    >>> mixture = mixtures.gaussian_mixture(2, 1)
    >>> flow = tfd.TransformedDistribution(mixture, tfp.bijectors.Identity())
    >>> start_on_data(flow, tf.constant([[-5.0], [-5.1], [7.0], [7.1]]), seed=[0, 0])
    >>> means = flow.distribution.components_distribution.mean()
    >>> sorted(means.numpy().ravel().round(1).tolist())
    [-5.0, 7.0]
    """
    mixture = flow.distribution
    num_components = mixture.components_distribution.batch_shape[-1]
    array_checks.check_enough("x", rows, num_components)
    z = _latents(flow, rows).numpy()
    array_checks.check_rows("x", z, np.isfinite, "points within the support of the bijector")
    frozen = freezing.frozen_variables(flow)
    _start_normalization(flow, rows, sample_weight, frozen)
    if freezing.is_mixture_frozen(flow, frozen):
        return
    update, components = update or MixtureUpdate(), mixture.components_distribution
    parameters = em.initial_parameters(
        _latents(flow, rows),
        num_components,
        components.covariance_type,
        rank=getattr(components, "rank", None),
        seed=seed,
        n_init=n_init,
        num_seedings=_num_seedings(num_components, rows),
        covariance_floor=update.covariance_floor,
        prior=update.prior,
        sample_weight=sample_weight,
        labels=labels.as_labels(y),
    )
    parameters = mixtures.MixtureParameters(*replicas.from_first_replica(parameters))
    mixtures.assign_initial_parameters(mixture, parameters)


def _start_normalization(flow, rows, sample_weight, frozen):
    if flow.event_shape.rank == 3:  # activations of images take memory
        chosen = slice(None, None, max(1, len(rows) // _MOST_IMAGES))
        rows = rows[chosen][:_MOST_IMAGES]
        sample_weight = None if sample_weight is None else sample_weight[chosen][:_MOST_IMAGES]
    x, context = conditional.points_and_context(flow, rows)
    held = [(v, v.numpy()) for v in flow.bijector.variables if v.ref() in frozen]
    bijectors.initialize(flow.bijector, x, sample_weight, **context)
    for variable, value in held:
        variable.assign(value)


def _num_seedings(num_components, rows):
    """The number of k-means++ seedings: several if they are cheap and K > 1."""
    num_entries = num_components * int(tf.size(rows))
    is_cheap = num_components > 1 and num_entries <= _ENTRIES_OF_SEEDINGS
    return _NUM_SEEDINGS if is_cheap else 1


def _latents(flow, rows):
    """The latents of many points, computed in chunks, because activations take memory."""
    latents, size = [], rows_at_once(rows, 4096)
    for start in range(0, len(rows), size):
        x, context = conditional.points_and_context(flow, rows[start : start + size])
        latents.append(precision.latents_and_log_det(flow, x, **context)[0])
    return tf.concat(latents, axis=0)
