"""The density of the latents: distributions, their parameters, and covariance structures."""

from tfp_gmnvp.mixtures.covariances import (
    COVARIANCE_TYPES,
    CovarianceStructure,
    Diagonal,
    Full,
    LowRank,
    Spherical,
    Tied,
    covariance_structure,
    structure_of,
)
from tfp_gmnvp.mixtures.gate import (
    GatedMixture,
    at_context,
    gate_variables,
    gated_mixture,
    start_mixture,
)
from tfp_gmnvp.mixtures.gaussian_mixture import gaussian_mixture
from tfp_gmnvp.mixtures.parameters import (
    MixtureParameters,
    as_mixture,
    assign_parameters,
    component_log_joint,
    mixture_parameters,
)
from tfp_gmnvp.mixtures.posterior import log_posterior, ordered_log_joint, within_reach
from tfp_gmnvp.mixtures.priors import Prior

__all__ = [
    "COVARIANCE_TYPES",
    "CovarianceStructure",
    "Diagonal",
    "Full",
    "GatedMixture",
    "LowRank",
    "MixtureParameters",
    "Prior",
    "Spherical",
    "Tied",
    "as_mixture",
    "assign_parameters",
    "at_context",
    "component_log_joint",
    "covariance_structure",
    "gate_variables",
    "gated_mixture",
    "gaussian_mixture",
    "log_posterior",
    "mixture_parameters",
    "ordered_log_joint",
    "start_mixture",
    "structure_of",
    "within_reach",
]
