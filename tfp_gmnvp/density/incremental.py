"""New rows for a mixture that has been fitted to others: one step of incremental EM."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import em, mixtures
from tfp_gmnvp.density.mixture_candidates import COVARIANCE_FLOOR
from tfp_gmnvp.flows import on_arrays

__all__ = ["add_rows"]

tfd = tfp.distributions


def add_rows(
    flow: tfd.TransformedDistribution,
    x: np.ndarray,
    *,
    sample_weight: np.ndarray | None = None,
    num_seen: float,
) -> float:
    """Updates the mixture as if the new rows had been there, too; the bijector stays.

    The statistics of the rows seen before are those whose M-step gives the mixture as it is: so
    their responsibilities stay, and those of the new rows are computed once (Neal and Hinton 1998,
    "A view of the EM algorithm that justifies incremental, sparse, and other variants"). With one
    component the result is that of all rows together.

    Args:
      flow: a fitted flow over a mixture.
      x: new rows `[N, D]`.
      sample_weight: weights `[N]`, or `None` for ones.
      num_seen: the total weight of the rows seen before.

    Returns:
      The total weight of all rows.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(1, standardize=[[-1.0], [1.0]], dtype=tf.float64)
    >>> add_rows(flow, np.array([[4.0]]), num_seen=3.0)
    4.0
    >>> flow.distribution.components_distribution.mean().numpy().round(6).tolist()
    [[1.0]]
    """
    structure = mixtures.mixture_structure(flow.distribution)
    parameters = mixtures.mixture_parameters(flow.distribution)
    z = tf.constant(on_arrays.inverse(flow, on_arrays.as_points(flow, x)))
    responsibilities, _ = em.expectation(mixtures.component_log_joint(flow.distribution, z))
    before = em.scale(em.as_statistics(parameters, structure), tf.cast(num_seen, z.dtype))
    weight = np.ones(len(x)) if sample_weight is None else sample_weight
    new = em.sufficient_statistics(
        z, responsibilities, before.reference, structure, sample_weight=tf.cast(weight, z.dtype)
    )
    together = em.maximization(
        em.add(before, new), structure, covariance_floor=COVARIANCE_FLOOR, dtype=z.dtype
    )
    mixtures.assign_parameters(flow.distribution, together)
    return float(num_seen + weight.sum())
