"""Expectation maximisation for Gaussian mixtures, as pure functions of tensors."""

from tfp_gmnvp.em.at_floor import components_at_floor
from tfp_gmnvp.em.component_restart import repair
from tfp_gmnvp.em.e_step import (
    EStep,
    e_step,
    expectation,
    expected_statistics,
    merge,
    worst_explained,
)
from tfp_gmnvp.em.initialization import initial_parameters, k_means_plus_plus
from tfp_gmnvp.em.labels import labelled_log_joint
from tfp_gmnvp.em.m_step import (
    m_step,
    maximization,
    points_variance,
    positive_variance,
    total_variance,
)
from tfp_gmnvp.em.statistics import (
    SufficientStatistics,
    add,
    as_statistics,
    scale,
    sufficient_statistics,
)

__all__ = [
    "EStep",
    "SufficientStatistics",
    "add",
    "as_statistics",
    "components_at_floor",
    "e_step",
    "expectation",
    "expected_statistics",
    "initial_parameters",
    "k_means_plus_plus",
    "labelled_log_joint",
    "m_step",
    "maximization",
    "merge",
    "points_variance",
    "positive_variance",
    "repair",
    "scale",
    "sufficient_statistics",
    "total_variance",
    "worst_explained",
]
