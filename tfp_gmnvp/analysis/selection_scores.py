"""What comes of trying several numbers of components: scores, models, and the choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.training.model import FlowModel

__all__ = ["ComponentScores", "ComponentSelection"]


class ComponentScores(NamedTuple):
    """What the criteria say of one number of components.

    `log_likelihood`, of the training data, and `held_out`, of held-out data, are in nats per point
    and the higher the better; `bic`, `aic` and `icl` are in nats and the lower the better.
    `held_out_error` is the standard error of `held_out`; `gap_error` is that of its difference from
    the highest `held_out`, point by point, by which numbers of components are to be compared.
    Without held-out data the last three are NaN.

    #### Examples

    >>> ComponentScores(num_components=1, num_parameters=5, log_likelihood=-2.8).held_out
    nan
    """

    num_components: int
    num_parameters: int
    log_likelihood: float
    bic: float = np.nan
    aic: float = np.nan
    icl: float = np.nan
    held_out: float = np.nan
    held_out_error: float = np.nan
    gap_error: float = np.nan


@dataclasses.dataclass(frozen=True, eq=False)
class ComponentSelection:
    """The outcome of `select_components`; its string is a table.

    BIC, AIC and ICL are printed as differences from the lowest, which the heading names.

    #### Examples

    >>> scores = [ComponentScores(k, 6 * k, -2.0, bic=b) for k, b in ((1, 30.5), (2, 20.5))]
    >>> ComponentSelection("bic", tuple(scores), {}).num_components
    2
    """

    #: Which criterion chooses: 'bic', 'aic', 'icl' or 'held_out'.
    criterion: str
    #: The scores by number of components, ascending.
    scores: tuple[ComponentScores, ...]
    #: The trained model of each number of components.
    models: Mapping[int, FlowModel]

    @property
    def num_components(self) -> int:
        """The number of components that the criterion chooses."""
        sign = -1.0 if self.criterion == "held_out" else 1.0
        values = [sign * getattr(scores, self.criterion) for scores in self.scores]
        return self.scores[int(np.nanargmin(values))].num_components

    @property
    def model(self) -> FlowModel:
        """The trained model that the criterion chooses."""
        return self.models[self.num_components]

    def __str__(self):
        names = ("bic", "aic", "icl")
        lowest = {name: _lowest(getattr(s, name) for s in self.scores) for name in names}
        titles = [f"{name.upper()}{-lowest[name]:+.2f}" for name in names]  # what is subtracted
        widths = [max(12, len(title) + 2) for title in titles]
        above = "".join(f"{t:>{width}}" for t, width in zip(titles, widths, strict=True))
        lines = [f"{'K':>4}{'nu':>9}{'log-lik.':>11}{above}  held-out"]
        for s in self.scores:
            held_out = (
                "" if np.isnan(s.held_out) else f"  {s.held_out:.4f} ± {s.held_out_error:.4f}"
            )
            mark = "*" if s.num_components == self.num_components else " "
            gaps = [getattr(s, name) - lowest[name] for name in names]
            above = "".join(f"{gap:>{width}.2f}" for gap, width in zip(gaps, widths, strict=True))
            lines.append(
                f"{mark}{s.num_components:>3}{s.num_parameters:>9,}{s.log_likelihood:>11.4f}"
                f"{above}{held_out}"
            )
        return "\n".join([*lines, f"* chosen by {self.criterion}"])


def _lowest(values):
    values = [value for value in values if not np.isnan(value)]
    return min(values, default=np.nan)
