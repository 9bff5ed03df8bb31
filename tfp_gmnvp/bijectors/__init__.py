"""Maps between latents z and data x; they know nothing of mixtures, Keras or files."""

from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.conditioners import MLP
from tfp_gmnvp.bijectors.coupling import Coupling, affine
from tfp_gmnvp.bijectors.real_nvp import real_nvp
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector
from tfp_gmnvp.bijectors.standardization import standardization

__all__ = [
    "MLP",
    "Coupling",
    "SinglePassBijector",
    "SinglePassChain",
    "affine",
    "real_nvp",
    "standardization",
]
