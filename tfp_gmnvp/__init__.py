"""Real NVP normalizing flows with a Gaussian mixture prior, trained by EM."""

from tfp_gmnvp import datasets, plotting
from tfp_gmnvp._shared.version import __version__
from tfp_gmnvp.analysis.calibration import calibration_error, reliability
from tfp_gmnvp.analysis.criteria import aic, bic, held_out_log_likelihood, icl, num_parameters
from tfp_gmnvp.analysis.outliers import OutlierDetector
from tfp_gmnvp.analysis.selection import ComponentScores, ComponentSelection, select_components
from tfp_gmnvp.bijectors import (
    MLP,
    ActNorm,
    Affine,
    Coupling,
    CouplingTransform,
    LULinear,
    RationalQuadratic,
    ResidualMLP,
    Sine,
    SinglePassBijector,
    SinglePassChain,
    real_nvp,
    standardization,
)
from tfp_gmnvp.bijectors.images import image_real_nvp
from tfp_gmnvp.density import columns as column_kinds
from tfp_gmnvp.density.conditional_density import given, marginal
from tfp_gmnvp.density.density_fit import DensityFit
from tfp_gmnvp.density.fit_density import fit_density
from tfp_gmnvp.density.flow_mixture import FlowMixture
from tfp_gmnvp.density.missing.fit import fit_with_missing
from tfp_gmnvp.density.missing.importance import PoorSamplesWarning
from tfp_gmnvp.density.missing.rows import impute, observed_log_prob
from tfp_gmnvp.density.table_density import TableDensity
from tfp_gmnvp.export.saved_model import export_flow, to_tflite
from tfp_gmnvp.flows import summaries
from tfp_gmnvp.flows.conditional import condition
from tfp_gmnvp.flows.copying import copy_flow
from tfp_gmnvp.flows.gaussian_mixture_flow import (
    gaussian_mixture_flow,
    posterior,
    predict_component,
    sample_component,
)
from tfp_gmnvp.flows.image_flow import image_flow
from tfp_gmnvp.flows.interpolation import interpolate
from tfp_gmnvp.flows.round_trip import round_trip_error
from tfp_gmnvp.mixtures import Prior, gaussian_mixture
from tfp_gmnvp.plotting.callback import FigureCallback
from tfp_gmnvp.training.data.degenerate_data import DegenerateDataWarning
from tfp_gmnvp.training.layer import FlowLayer
from tfp_gmnvp.training.mixture_updates import (
    FullBatchEM,
    GradientUpdate,
    MixtureUpdate,
    StepwiseEM,
)
from tfp_gmnvp.training.mixture_updates.fit_mixture import (
    ConvergenceWarning,
    MixtureFit,
    fit_mixture,
)
from tfp_gmnvp.training.mixture_updates.schedules import PowerSchedule
from tfp_gmnvp.training.model import FlowModel
from tfp_gmnvp.training.training_warnings import TrainingWarning

__all__ = [
    "MLP",
    "ActNorm",
    "Affine",
    "ComponentScores",
    "ComponentSelection",
    "ConvergenceWarning",
    "Coupling",
    "CouplingTransform",
    "DegenerateDataWarning",
    "DensityFit",
    "FigureCallback",
    "FlowLayer",
    "FlowMixture",
    "FlowModel",
    "FullBatchEM",
    "GradientUpdate",
    "LULinear",
    "MixtureFit",
    "MixtureUpdate",
    "OutlierDetector",
    "PoorSamplesWarning",
    "PowerSchedule",
    "Prior",
    "RationalQuadratic",
    "ResidualMLP",
    "Sine",
    "SinglePassBijector",
    "SinglePassChain",
    "StepwiseEM",
    "TableDensity",
    "TrainingWarning",
    "__version__",
    "aic",
    "bic",
    "calibration_error",
    "column_kinds",
    "condition",
    "copy_flow",
    "datasets",
    "export_flow",
    "fit_density",
    "fit_mixture",
    "fit_with_missing",
    "gaussian_mixture",
    "gaussian_mixture_flow",
    "given",
    "held_out_log_likelihood",
    "icl",
    "image_flow",
    "image_real_nvp",
    "impute",
    "interpolate",
    "marginal",
    "num_parameters",
    "observed_log_prob",
    "plotting",
    "posterior",
    "predict_component",
    "real_nvp",
    "reliability",
    "round_trip_error",
    "sample_component",
    "select_components",
    "standardization",
    "summaries",
    "to_tflite",
]
