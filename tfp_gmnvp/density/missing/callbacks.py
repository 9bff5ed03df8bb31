"""What happens between two epochs of a flow on a table with missing entries."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_gmnvp.density.missing.chains import ImputationChains, Refresh
from tfp_gmnvp.density.missing.importance import WeightedRows
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidates

__all__ = ["CompletedTable", "ObservedLoss", "RefreshImputations"]

keras = tf.keras

_EPOCHS_OF_PROPOSAL = 10
_FEWEST_COMPONENTS = 8
_MOST_POINTS = 4000


class CompletedTable:
    """Rows of data for training: complete rows once, incomplete ones with each imputation.

    Attributes:
      x: rows in the data's units, `[n + C m, D]`; `refresh` overwrites it.
      sample_weight: 1 for each of n complete rows, 1 / C for each imputation of the m others.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, 1.0], [4.0, 5.0]], seed=0)
    >>> x = np.array([[1.0, 2.0], [3.0, np.nan]])
    >>> mixture = TableMixture(np.ones([1]), np.zeros([1, 2]), np.eye(2)[np.newaxis])
    >>> table = CompletedTable(x, StandardizedFlow(flow), mixture, 2, np.random.default_rng(0))
    >>> table.x.shape, table.sample_weight.tolist()
    ((3, 2), [1.0, 0.5, 0.5])
    """

    def __init__(
        self,
        x: np.ndarray,
        parts: StandardizedFlow,
        proposal: TableMixture,
        num_imputations: int,
        rng: np.random.Generator,
    ):
        """Draws the first imputations.

        Args:
          x: rows `[N, D]`, NaN where an entry is missing.
          parts: of the flow.
          proposal: a mixture of the flow's standardised columns.
          num_imputations: C.
          rng: a NumPy generator.
        """
        self._parts = parts
        missing = np.isnan(x)
        is_whole = ~missing.any(axis=1)
        self._whole, self._others = x[is_whole], x[~is_whole]
        self._whole_latents = parts.to_latent(self._whole)
        latents = parts.to_latent(self._others)
        self._chains = ImputationChains(latents, proposal, num_imputations, rng)
        of_others = np.full(num_imputations * len(self._others), 1.0 / num_imputations)
        self.sample_weight = np.concatenate([np.ones(len(self._whole)), of_others])
        self.x = np.concatenate([self._whole, self._imputed()])

    def refresh(self) -> Refresh:
        """Moves the imputations to the flow's current density, in `x` itself."""
        found = self._chains.refresh(self._parts.log_prob)
        self.x[len(self._whole) :] = self._imputed()
        return found

    def propose_from_state(self, candidate: MixtureCandidate, rng: np.random.Generator) -> None:
        """Fits the proposals to the rows as they are now completed."""
        y = np.concatenate([self._whole_latents, self._chains.state.reshape(-1, self.x.shape[1])])
        chosen = rng.choice(
            len(y),
            min(len(y), _MOST_POINTS),
            replace=False,
            p=self.sample_weight / self.sample_weight.sum(),
        )
        number = min(max(candidate.num_components, _FEWEST_COMPONENTS), max(1, len(chosen) // 20))
        (fit,) = fit_candidates(
            y[chosen],
            np.ones([1, len(chosen)]),
            [MixtureCandidate("full", number, shrinkage=0.1)],
            seeds=[(int(rng.integers(2**31)),)],
            num_iterations=20,
        )
        self._chains.propose_from(TableMixture(*fit[:3]).with_wide_parts())

    def _imputed(self):
        state = self._chains.state
        x = self._parts.from_latent(state.reshape(-1, state.shape[-1])).reshape(state.shape)
        return np.where(np.isnan(self._others), x, self._others).reshape(-1, state.shape[-1])


class RefreshImputations(keras.callbacks.Callback):
    """Refreshes a table's imputations after each epoch."""

    def __init__(self, table: CompletedTable, candidate: MixtureCandidate, rng):
        """Keeps the table, and the kind of mixture that it started from."""
        super().__init__()
        self._table, self._candidate, self._rng = table, candidate, rng
        #: What each refresh found.
        self.refreshes: list[Refresh] = []

    def on_epoch_end(self, epoch, logs=None):
        """Refreshes, and every ten epochs fits the proposals anew."""
        if epoch % _EPOCHS_OF_PROPOSAL == _EPOCHS_OF_PROPOSAL - 1:
            self._table.propose_from_state(self._candidate, self._rng)
        self.refreshes.append(self._table.refresh())


class ObservedLoss(keras.callbacks.Callback):
    """Adds `val_loss`, the negative log-density of what is observed of the validation rows.

    It is an importance sample of the same completions after each epoch, so that losses of two
    epochs differ by the flow alone. Callbacks that read it come later.
    """

    def __init__(
        self,
        parts: StandardizedFlow,
        y: np.ndarray,
        proposal: TableMixture,
        num_samples: int,
        rng: np.random.Generator,
    ):
        """Draws the completions.

        Args:
          parts: of the flow.
          y: standardised rows `[N, D]`, NaN where an entry is missing.
          proposal: a mixture of such columns.
          num_samples: completions of each row.
          rng: a NumPy generator.
        """
        super().__init__()
        self._parts = parts
        is_whole = ~np.isnan(y).any(axis=1)
        self._whole, self._is_whole = y[is_whole], is_whole
        imputations = proposal.imputations(y[~is_whole])
        self._completed = imputations.draw(num_samples, rng)
        self._log_proposal = imputations.log_prob(self._completed)

    def log_prob(self) -> np.ndarray:
        """The log-density of each row's observed entries, standardised, `[N]`."""
        size = self._whole.shape[1]
        rows = np.concatenate([self._whole, self._completed.reshape(-1, size)])
        log_p = self._parts.log_prob(rows)
        found = np.empty(len(self._is_whole))
        found[self._is_whole] = log_p[: len(self._whole)]
        log_p = log_p[len(self._whole) :].reshape(self._log_proposal.shape)
        log_weight = np.nan_to_num(log_p, nan=-np.inf) - self._log_proposal
        found[~self._is_whole] = WeightedRows(self._completed, log_weight).log_normalizer
        return found

    def on_epoch_end(self, epoch, logs=None):
        """Puts the loss into the epoch's logs."""
        if logs is not None:
            logs["val_loss"] = -float(self.log_prob().mean())
