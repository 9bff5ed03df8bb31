"""The density of the latents: distributions, their parameters, and covariance structures."""

from tfp_gmnvp.mixtures.conditionals import (
    conditional_mixture,
    full_covariances,
    marginal_parameters,
)
from tfp_gmnvp.mixtures.covariances import (
    COVARIANCE_TYPES,
    CovarianceStructure,
    Diagonal,
    Full,
    LowRank,
    Spherical,
    Tied,
    covariance_structure,
    mixture_structure,
)
from tfp_gmnvp.mixtures.gate import (
    GatedMixture,
    assign_initial_parameters,
    at_context,
    gate_variables,
    gated_mixture,
)
from tfp_gmnvp.mixtures.gaussian_mixture import gaussian_mixture
from tfp_gmnvp.mixtures.parameters import (
    MixtureParameters,
    as_mixture,
    assign_parameters,
    component_log_joint,
    mixture_parameters,
)
from tfp_gmnvp.mixtures.posterior import clip_to_range, finite_log_joint, log_posterior
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
    "assign_initial_parameters",
    "assign_parameters",
    "at_context",
    "clip_to_range",
    "component_log_joint",
    "conditional_mixture",
    "covariance_structure",
    "finite_log_joint",
    "full_covariances",
    "gate_variables",
    "gated_mixture",
    "gaussian_mixture",
    "log_posterior",
    "marginal_parameters",
    "mixture_parameters",
    "mixture_structure",
]
