"""What `fit_density` found: a density, and why it is this one."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp.density import fit_files
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.summaries import MonteCarloEstimate
from tfp_gmnvp.training.model import FlowModel

__all__ = ["DensityFit"]

tfd = tfp.distributions

_KIND = "DensityFit"
_MOST_CHARACTERS = 60  # of the names of columns


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DensityFit:
    """What `fit_density` found.

    Attributes:
      model: the trained model; the density is `model.flow`.
      mixture: the kind of mixture that was chosen.
      gain: of the trained flow over the mixture that it started from, on the validation rows, in
        nats per point, with its standard error; zero, both, where no flow was trained.
      keeps_flow: whether the gain was beyond chance. If not, the bijector is the standardisation
        alone, and the density a plain mixture.
      history: the losses of each epoch, `loss` and `val_loss`; of none, where no flow was trained.
      at_floor: the numbers of the components that are as narrow in some direction as the floor of
        the covariances allows, a thousandth of the latents' standard deviation, or twice that at
        most. The height of the density there is the floor's, not the data's. Empty if there are
        none.
      candidates: the kinds of mixtures that were tried, with their held-out scores, the best first.
      rows: up to 1,000 rows of the data for `plot`; files do not hold them.
      refreshes: how well the imputations of missing entries moved after each epoch, see `Refresh`;
        files do not hold them.

    #### Examples

    >>> import tfp_gmnvp
    >>> x = np.random.default_rng(0).normal(size=[80, 2])
    >>> few = {"num_components": [1], "covariance_types": ["diag"]}
    >>> fit = tfp_gmnvp.fit_density(x, seed=0, **few)
    >>> print(fit)
    Density of 2 columns: a Gaussian mixture, K = 1, diag
      mixture: the best of 1, -2.875 nats per row on rows that it had not seen
      flow: none was trained, there was nothing to be gained
    >>> fit.log_prob(x).shape, fit.sample(3, seed=0).shape
    ((80,), (3, 2))
    """

    model: FlowModel
    mixture: MixtureCandidate
    gain: MonteCarloEstimate
    keeps_flow: bool
    history: dict[str, list[float]]
    at_floor: tuple[int, ...] = ()
    candidates: tuple[MixtureCandidate, ...] = ()
    rows: np.ndarray | None = None
    refreshes: tuple = ()

    @property
    def flow(self) -> tfd.TransformedDistribution:
        """The density, as a TFP distribution."""
        return self.model.flow

    def log_prob(self, x) -> np.ndarray:
        """Computes log p(x).

        Args:
          x: rows `[N, D]`, an array or a table with the columns of training.

        Returns:
          An array `[N]` in nats.

        Raises:
          ValueError: if x is not `[N, D]` and finite, or has other columns.
        """
        return on_arrays.log_prob(self.flow, on_arrays.as_points(self.flow, x))

    def sample(self, num_samples: int, *, seed: int) -> np.ndarray:
        """Draws rows.

        Args:
          num_samples: how many.
          seed: integer seed.

        Returns:
          An array `[num_samples, D]`.
        """
        return on_arrays.draw(self.flow, num_samples, seed)

    def save(self, path: str | os.PathLike) -> None:
        """Writes one file, which `DensityFit.load` reads; it is there whole or not at all.

        The file holds the model with its optimizer, but no rows of the data.

        Args:
          path: of the file.

        Raises:
          ValueError: if the flow's configuration cannot be saved.
        """
        fit_files.write(path, _KIND, {"fit": self.get_state()}, self.model)

    @classmethod
    def load(cls, path: str | os.PathLike) -> DensityFit:
        """Reads what `save` wrote, in another process, too.

        Args:
          path: of the file.

        Raises:
          OSError: if the file cannot be read.
          ValueError: if it is no such file, or one of a later version.
        """
        state, model = fit_files.read(path, _KIND)
        return cls.from_state(state["fit"], model)

    def get_state(self) -> dict:
        """What a file holds beside the model, as JSON takes it."""
        return {
            "mixture": list(self.mixture),
            "gain": [float(number) for number in self.gain],
            "keeps_flow": bool(self.keeps_flow),
            "history": {k: [float(v) for v in values] for k, values in self.history.items()},
            "at_floor": [int(number) for number in self.at_floor],
            "candidates": [list(candidate) for candidate in self.candidates],
        }

    @classmethod
    def from_state(cls, state: dict, model: FlowModel) -> DensityFit:
        """The fit of this `get_state`.

        Args:
          state: what `get_state` returned.
          model: the model.
        """
        return cls(
            model,
            MixtureCandidate(*state["mixture"]),
            MonteCarloEstimate(*state["gain"]),
            state["keeps_flow"],
            state["history"],
            tuple(state["at_floor"]),
            tuple(MixtureCandidate(*candidate) for candidate in state["candidates"]),
        )

    def export(self, path: str | os.PathLike, **kwargs) -> None:
        """Exports the density as a SavedModel; see `export_flow`.

        Args:
          path: of the directory.
          **kwargs: further arguments of `export_flow`.
        """
        from tfp_gmnvp.export.saved_model import export_flow  # a room above this one

        export_flow(self.flow, path, **kwargs)

    def plot(self, x=None, *, seed: int = 0, figure=None):
        """Draws one page: data and samples, weights, latents, loss, and what was chosen; see
        `plotting.plot_fit`.

        Args:
          x: rows `[N, D]`; `None` for up to 1,000 of those that the density was fitted to.
          seed: integer seed of the samples.
          figure: figure to draw in; a new one, pyplot's current, if `None`.

        Returns:
          The figure.

        Raises:
          ValueError: if there is no `x`, and the fit was read from a file.
        """
        from tfp_gmnvp.plotting.fit_page import plot_fit  # a room above this one, and matplotlib

        return plot_fit(self, x, seed=seed, figure=figure)

    def explanation(self) -> list[str]:
        """Says in sentences what was chosen, and why."""
        if self.mixture is None:
            return []
        lines = [f"mixture: {self.mixture.description}"]
        if np.isfinite(self.mixture.held_out):
            lines = [
                f"mixture: the best of {max(1, len(self.candidates))}, "
                f"{self.mixture.held_out:.3f} nats per row on rows that it had not seen"
            ]
        lines.append(f"flow: {self._of_flow()}")
        if self.at_floor:
            lines.append(
                f"components {', '.join(map(str, self.at_floor))} are as narrow as the floor of "
                "the covariances allows"
            )
        return lines

    def _of_flow(self):
        if not self.history.get("loss"):
            return "none was trained, there was nothing to be gained"
        estimate, error = self.gain
        verdict = "kept" if self.keeps_flow else "left out, as that is within two standard errors"
        return (
            f"{estimate:+.3f} +- {error:.3f} nats per row over the mixture on validation rows, "
            f"after {len(self.history['loss'])} epochs; {verdict}"
        )

    @property
    def title(self) -> str:
        """One line that says what kind of density it is."""
        size = self.flow.event_shape[-1]
        names = columns.known_columns(self.flow).points
        kind = "a flow over a Gaussian mixture" if self.keeps_flow else "a Gaussian mixture"
        of = "1 column" if size == 1 else f"{size} columns"
        listed = ", ".join(map(str, names or ()))
        of += f" ({listed})" if 0 < len(listed) <= _MOST_CHARACTERS else ""
        what = f", {_kind(self.mixture)}" if self.mixture is not None else ""
        return f"Density of {of}: {kind}{what}"

    def __repr__(self):
        return "\n  ".join([self.title, *self.explanation()])


def _kind(mixture: MixtureCandidate) -> str:
    shrinkage = f", shrinkage {mixture.shrinkage:g}" if mixture.shrinkage else ""
    return f"K = {mixture.num_components}, {mixture.covariance_type}{shrinkage}"
