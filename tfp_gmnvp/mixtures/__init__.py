"""The density of the latents and its EM; they know nothing of bijectors, Keras or files."""

from tfp_gmnvp.mixtures.em import (
    MixtureParameters,
    SufficientStatistics,
    add,
    as_statistics,
    expectation,
    maximization,
    reference_point,
    scale,
    sufficient_statistics,
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
from tfp_gmnvp.mixtures.repair import repair

__all__ = [
    "COVARIANCE_TYPES",
    "MixtureParameters",
    "SufficientStatistics",
    "add",
    "as_mixture",
    "as_statistics",
    "assign_parameters",
    "component_log_joint",
    "expectation",
    "first_fit",
    "gaussian_mixture",
    "k_means_plus_plus",
    "maximization",
    "mixture_parameters",
    "reference_point",
    "repair",
    "scale",
    "sufficient_statistics",
]
