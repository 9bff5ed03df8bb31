"""Bijectors between latents z and data x, independent of mixtures, Keras and files."""

from tfp_gmnvp.bijectors.act_norm import ActNorm, initialize
from tfp_gmnvp.bijectors.affine import Affine
from tfp_gmnvp.bijectors.bounds import Above, Between
from tfp_gmnvp.bijectors.by_column import ByColumn
from tfp_gmnvp.bijectors.chain import SinglePassChain
from tfp_gmnvp.bijectors.context import Conditioned, context_size
from tfp_gmnvp.bijectors.coupling import Coupling
from tfp_gmnvp.bijectors.coupling_transform import CouplingTransform
from tfp_gmnvp.bijectors.frozen import Frozen
from tfp_gmnvp.bijectors.linear import LULinear
from tfp_gmnvp.bijectors.networks.activations import Sine
from tfp_gmnvp.bijectors.networks.mlp import MLP, penalty, uses_dropout
from tfp_gmnvp.bijectors.networks.residual import ResidualMLP
from tfp_gmnvp.bijectors.real_nvp import real_nvp
from tfp_gmnvp.bijectors.single_pass import SinglePassBijector
from tfp_gmnvp.bijectors.spline import RationalQuadratic
from tfp_gmnvp.bijectors.standardization import (
    Spread,
    column_spread,
    forward_in_float64,
    leading_standardization,
    standardization,
    standardization_from_spread,
)
from tfp_gmnvp.bijectors.tails import Tails, compress_tails

__all__ = [
    "MLP",
    "Above",
    "ActNorm",
    "Affine",
    "Between",
    "ByColumn",
    "Conditioned",
    "Coupling",
    "CouplingTransform",
    "Frozen",
    "LULinear",
    "RationalQuadratic",
    "ResidualMLP",
    "Sine",
    "SinglePassBijector",
    "SinglePassChain",
    "Spread",
    "Tails",
    "column_spread",
    "compress_tails",
    "context_size",
    "forward_in_float64",
    "initialize",
    "leading_standardization",
    "penalty",
    "real_nvp",
    "standardization",
    "standardization_from_spread",
    "uses_dropout",
]
