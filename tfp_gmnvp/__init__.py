"""Real NVP normalizing flows with a Gaussian mixture prior, trained by EM."""

from tfp_gmnvp import datasets, plotting, summaries
from tfp_gmnvp._version import __version__
from tfp_gmnvp.bijectors import (
    MLP,
    Coupling,
    SinglePassBijector,
    SinglePassChain,
    affine,
    real_nvp,
    standardization,
)
from tfp_gmnvp.bijectors.images import image_real_nvp
from tfp_gmnvp.callbacks import FigureCallback
from tfp_gmnvp.export import export_flow, to_tflite
from tfp_gmnvp.flow import (
    gaussian_mixture_flow,
    posterior,
    predict_component,
    sample_component,
)
from tfp_gmnvp.image_flow import image_flow
from tfp_gmnvp.layers import FlowLayer
from tfp_gmnvp.mixture_updates import FullBatchEM, GradientUpdate, MixtureUpdate, StepwiseEM
from tfp_gmnvp.mixtures import gaussian_mixture
from tfp_gmnvp.training import FlowModel

__all__ = [
    "MLP",
    "Coupling",
    "FigureCallback",
    "FlowLayer",
    "FlowModel",
    "FullBatchEM",
    "GradientUpdate",
    "MixtureUpdate",
    "SinglePassBijector",
    "SinglePassChain",
    "StepwiseEM",
    "__version__",
    "affine",
    "datasets",
    "export_flow",
    "gaussian_mixture",
    "gaussian_mixture_flow",
    "image_flow",
    "image_real_nvp",
    "plotting",
    "posterior",
    "predict_component",
    "real_nvp",
    "sample_component",
    "standardization",
    "summaries",
    "to_tflite",
]
