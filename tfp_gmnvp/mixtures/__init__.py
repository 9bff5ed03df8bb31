"""The density of the latents and its EM; they know nothing of bijectors, Keras or files."""

from tfp_gmnvp.mixtures.em import expectation, maximization, points_variance, total_variance
from tfp_gmnvp.mixtures.gate import (
    GatedMixture,
    at_context,
    gate_variables,
    gated_mixture,
    start_mixture,
)
from tfp_gmnvp.mixtures.gaussian_mixture import (
    COVARIANCE_TYPES,
    as_mixture,
    assign_parameters,
    component_log_joint,
    gaussian_mixture,
    mixture_parameters,
)
from tfp_gmnvp.mixtures.initializers import first_fit, k_means_plus_plus
from tfp_gmnvp.mixtures.labels import known_log_joint
from tfp_gmnvp.mixtures.posterior import log_posterior, ordered_log_joint, within_reach
from tfp_gmnvp.mixtures.priors import Prior
from tfp_gmnvp.mixtures.repair import repair
from tfp_gmnvp.mixtures.statistics import (
    MixtureParameters,
    SufficientStatistics,
    add,
    as_statistics,
    reference_point,
    scale,
    sufficient_statistics,
)

__all__ = [
    "COVARIANCE_TYPES",
    "GatedMixture",
    "MixtureParameters",
    "Prior",
    "SufficientStatistics",
    "add",
    "as_mixture",
    "as_statistics",
    "assign_parameters",
    "at_context",
    "component_log_joint",
    "expectation",
    "first_fit",
    "gate_variables",
    "gated_mixture",
    "gaussian_mixture",
    "k_means_plus_plus",
    "known_log_joint",
    "log_posterior",
    "maximization",
    "mixture_parameters",
    "ordered_log_joint",
    "points_variance",
    "reference_point",
    "repair",
    "scale",
    "start_mixture",
    "sufficient_statistics",
    "total_variance",
    "within_reach",
]
