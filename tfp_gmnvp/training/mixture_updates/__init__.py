"""How the mixture is updated while the flow trains: full-batch EM, stepwise EM, or by gradient."""

from tfp_gmnvp.training.mixture_updates.base import GradientUpdate, MixtureUpdate
from tfp_gmnvp.training.mixture_updates.full_batch import FullBatchEM
from tfp_gmnvp.training.mixture_updates.stepwise import StepwiseEM

__all__ = ["FullBatchEM", "GradientUpdate", "MixtureUpdate", "StepwiseEM"]
