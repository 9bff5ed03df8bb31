"""Covariance structures of a mixture: one file for each, and a registry."""

from tfp_gmnvp.mixtures.covariances.base import CovarianceStructure
from tfp_gmnvp.mixtures.covariances.diagonal import Diagonal
from tfp_gmnvp.mixtures.covariances.full import Full
from tfp_gmnvp.mixtures.covariances.low_rank import LowRank
from tfp_gmnvp.mixtures.covariances.registry import (
    COVARIANCE_TYPES,
    covariance_structure,
    mixture_structure,
)
from tfp_gmnvp.mixtures.covariances.spherical import Spherical
from tfp_gmnvp.mixtures.covariances.tied import Tied

__all__ = [
    "COVARIANCE_TYPES",
    "CovarianceStructure",
    "Diagonal",
    "Full",
    "LowRank",
    "Spherical",
    "Tied",
    "covariance_structure",
    "mixture_structure",
]
