"""The registry of covariance structures, by the names that users write."""

from __future__ import annotations

from tfp_gmnvp._shared.arguments import check_choice
from tfp_gmnvp.mixtures.covariances.base import CovarianceStructure
from tfp_gmnvp.mixtures.covariances.diagonal import Diagonal
from tfp_gmnvp.mixtures.covariances.full import Full
from tfp_gmnvp.mixtures.covariances.low_rank import LowRank
from tfp_gmnvp.mixtures.covariances.spherical import Spherical
from tfp_gmnvp.mixtures.covariances.tied import Tied
from tfp_gmnvp.mixtures.covariances.tied_low_rank import TiedLowRank

__all__ = ["COVARIANCE_TYPES", "covariance_structure", "mixture_structure"]

_STRUCTURES = (Full, Tied, Diagonal, Spherical, LowRank, TiedLowRank)

#: The names, as `covariance_type` takes them.
COVARIANCE_TYPES = tuple(structure.name for structure in _STRUCTURES)


def covariance_structure(
    covariance_type: str | CovarianceStructure, rank: int | None = None
) -> CovarianceStructure:
    """Returns the structure of a `covariance_type`.

    Args:
      covariance_type: one of `COVARIANCE_TYPES`, or a structure.
      rank: the number of factors, of structures that have some; `None` where it follows from
        tensors.

    Returns:
      A `CovarianceStructure`.

    Raises:
      ValueError: if the structure is unknown, or takes no rank.

    #### Examples

    >>> covariance_structure("tied").name, covariance_structure("low_rank", rank=2).rank
    ('tied', 2)
    """
    if isinstance(covariance_type, CovarianceStructure):
        return covariance_type
    check_choice("covariance_type", covariance_type, COVARIANCE_TYPES)
    structure = _STRUCTURES[COVARIANCE_TYPES.index(covariance_type)]
    if structure.has_rank:
        return structure(rank)
    if rank is not None:
        of_rank = " or ".join(repr(each.name) for each in _STRUCTURES if each.has_rank)
        raise ValueError(
            f"`rank` requires covariances of type {of_rank}, got {rank!r} for {covariance_type!r}."
        )
    return structure()


def mixture_structure(mixture) -> CovarianceStructure:
    """Returns the covariance structure of a mixture.

    Args:
      mixture: made by `gaussian_mixture`.

    Returns:
      A `CovarianceStructure`, with its rank if it has one.

    #### Examples

    >>> from tfp_gmnvp.mixtures import gaussian_mixture
    >>> mixture_structure(gaussian_mixture(3, 2, "diag")).name
    'diag'
    """
    components = mixture.components_distribution
    return covariance_structure(components.covariance_type, getattr(components, "rank", None))
