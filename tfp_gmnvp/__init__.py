"""Real NVP normalizing flows with a Gaussian mixture prior, trained by EM."""

from tfp_gmnvp.bijectors import (
    MLP,
    Coupling,
    SinglePassBijector,
    SinglePassChain,
    affine,
    real_nvp,
    standardization,
)
from tfp_gmnvp.export import export_flow, to_tflite
from tfp_gmnvp.flow import (
    gaussian_mixture_flow,
    posterior,
    predict_component,
    sample_component,
)
from tfp_gmnvp.mixture_updates import FullBatchEM, GradientUpdate, MixtureUpdate, StepwiseEM
from tfp_gmnvp.mixtures import gaussian_mixture
from tfp_gmnvp.training import FlowModel

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Coupling",
    "FlowModel",
    "FullBatchEM",
    "GradientUpdate",
    "MixtureUpdate",
    "SinglePassBijector",
    "SinglePassChain",
    "StepwiseEM",
    "affine",
    "export_flow",
    "gaussian_mixture",
    "gaussian_mixture_flow",
    "posterior",
    "predict_component",
    "real_nvp",
    "sample_component",
    "standardization",
    "to_tflite",
]
