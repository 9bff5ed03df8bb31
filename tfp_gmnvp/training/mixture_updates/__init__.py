"""Updates of the mixture during training: full-batch EM, stepwise EM, or gradient steps."""

from tfp_gmnvp.training.mixture_updates.base import GradientUpdate, MixtureUpdate
from tfp_gmnvp.training.mixture_updates.full_batch import FullBatchEM
from tfp_gmnvp.training.mixture_updates.stepwise import StepwiseEM

__all__ = ["FullBatchEM", "GradientUpdate", "MixtureUpdate", "StepwiseEM"]
