"""The settings of a fit of a density."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tfp_gmnvp.density.mixture_candidates import POINTS_EACH

__all__ = ["FitSettings"]


class FitSettings(NamedTuple):
    """What `fit_density` and `FlowMixture` are told of a fit; see there.

    #### Examples

    >>> FitSettings(seed=0).num_components
    (1, 2, 3, 4, 6, 8, 10)
    """

    seed: int
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10)
    covariance_types: Sequence[str] = ("full", "tied", "diag")
    points_each: int = POINTS_EACH
    validation_fraction: float = 0.2
    steps: int = 3000
    learning_rate: float | None = None
    weight_decay: float | None = None
    verbose: int | str = 0
