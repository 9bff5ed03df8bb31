"""Fits a density to a table with missing entries: a mixture, or a flow if that is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp._shared.tables import Names
from tfp_gmnvp.bijectors import SinglePassChain
from tfp_gmnvp.density.arguments import (
    check_flow_arguments,
    check_settings,
    checked_num_validation,
)
from tfp_gmnvp.density.density_fit import DensityFit
from tfp_gmnvp.density.fit_settings import FitSettings
from tfp_gmnvp.density.flow_training import (
    gain_of_rows,
    make_flow,
    make_mixture,
    make_model,
    train_flow,
)
from tfp_gmnvp.density.missing.callbacks import CompletedTable, ObservedLoss, RefreshImputations
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.missing.rows import observed_log_prob
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.density.missing.tables import checked_incomplete
from tfp_gmnvp.density.mixture_candidates import (
    COVARIANCE_FLOOR,
    MixtureCandidate,
    check_candidates,
    fit_candidate,
)
from tfp_gmnvp.density.mixture_choice import choose_mixture
from tfp_gmnvp.density.plan import TrainingPlan, training_plan
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.gaussian_mixture_flow import standardizing
from tfp_gmnvp.flows.summaries import MonteCarloEstimate
from tfp_gmnvp.training.data import degenerate_data
from tfp_gmnvp.training.mixture_updates.fit_mixture import fit_mixture
from tfp_gmnvp.training.progress import Progress, without_retracing_warnings

__all__ = ["fit_incomplete_table", "fit_with_missing"]

keras = tf.keras

_FEWEST_ROWS_FOR_A_FLOW = 150
_MOST_ROWS_TO_SHOW = 1000
_MOST_ROWS_TO_CHOOSE_BY = 2000
_NUM_FOLDS, _NUM_STARTS = 3, 4
# Where columns all but follow from others, few rows have all of them, so that the observed entries
# of held-out rows do not tell whether a covariance is too narrow: each has a prior.
_SHRINKAGES = (0.1, 0.3, 1.0)
_SAMPLES_OF_LOSS, _SAMPLES_OF_GAIN = 50, 500


def fit_with_missing(
    x,
    *,
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10),
    covariance_types: Sequence[str] = ("full", "tied", "diag"),
    validation_fraction: float = 0.2,
    steps: int = 3000,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    num_imputations: int = 4,
    verbose: int | str = 0,
    seed: int,
    **flow_arguments,
) -> DensityFit:
    """Fits a density to a table in which NaN means missing, at random.

    1. A mixture is chosen by the held-out likelihood of what is observed, and fitted by exact EM to
       the standardised rows but for those set aside for validation. Full covariances have a prior:
       in directions that several columns share, few rows are observed whole.
    2. A flow starts as the identity over it, and trains on completed rows. The gradient of
       log p(x_o) is the mean over p(x_u | x_o) of that of log p(x_o, x_u) (Fisher's identity), so
       each incomplete row has several imputations, which follow the flow by a Markov chain.
    3. The flow is kept if the observed entries of the validation rows are more likely under it, by
       more than two standard errors of the difference, row by row. If not, the density is the
       mixture, fitted to all rows.

    Args:
      x: data `[N, D]`, an array or table, D >= 2; at least 20 rows have an entry, and each column
        has two different ones.
      num_components: as of `fit_density`.
      covariance_types: as of `fit_density`.
      validation_fraction: as of `fit_density`.
      steps: the most training steps; zero for the mixture alone.
      learning_rate: as of `fit_density`.
      weight_decay: as of `fit_density`.
      num_imputations: of each incomplete row, at least 1.
      verbose: as of `fit_density`.
      seed: integer seed of everything.
      **flow_arguments: as of `fit_density`.

    Returns:
      A `DensityFit`; its gain is in the log-density of what is observed of the validation rows.

    Raises:
      ValueError: if x is not `[N, D]` or too small, a column has no two different entries, or an
        argument is out of its range.
      TypeError: if there is no argument of a name, or x does not hold numbers.

    #### References

    Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach".
    Richardson et al. 2020, "MCFlow: Monte Carlo flow models for data imputation".

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[60, 2])
    >>> x[:20, 1] = np.nan
    >>> fit = fit_with_missing(x, num_components=[1], covariance_types=["diag"], steps=0, seed=0)
    >>> fit.keeps_flow, fit.mixture.num_components
    (False, 1)
    """
    names = tables.column_names(x)
    check_whole_number("steps", steps, 0)
    check_whole_number("num_imputations", num_imputations)
    settings = FitSettings(
        seed=seed,
        num_components=num_components,
        covariance_types=covariance_types,
        validation_fraction=validation_fraction,
        steps=max(1, steps),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        verbose=verbose,
    )
    options = {"num_imputations": num_imputations, "trains": steps > 0}
    return fit_incomplete_table(x, settings, flow_arguments, names=names, **options)


def fit_incomplete_table(
    x: np.ndarray,
    settings: FitSettings,
    flow_arguments: dict,
    *,
    names: Names | None = None,
    num_imputations: int = 4,
    trains: bool = True,
) -> DensityFit:
    """Fits a density to rows with missing entries; see `fit_with_missing`, whose code this is.

    Args:
      x: rows `[N, D]`, NaN where an entry is missing.
      settings: of the choice and the training.
      flow_arguments: of `gaussian_mixture_flow`, in place of the plan's.
      names: of the columns, or `None`.
      num_imputations: of each incomplete row.
      trains: whether a flow may be trained.
    """
    x = _checked(x, names)
    check_settings(settings)
    kinds = check_candidates(
        settings.num_components,
        settings.covariance_types,
        min(len(x), _MOST_ROWS_TO_CHOOSE_BY),
        settings.points_each,
    )
    num_validation = checked_num_validation(len(x), settings.validation_fraction, kinds[0][-1])
    coupling, event_size = flow_arguments.get("coupling", "affine"), x.shape[1]
    plan = training_plan(len(x) - num_validation, settings.steps, coupling, event_size)
    plan = plan.with_changes(
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    check_flow_arguments(fit_with_missing, event_size, flow_arguments, plan.flow_arguments)
    plan = plan.with_flow_arguments(flow_arguments, event_size)
    rng = np.random.default_rng(settings.seed)
    x = x[rng.permutation(len(x))]
    filled = _filled_by_column(x, rng)
    degenerate_data.warn_if_degenerate(filled, names=names)
    with degenerate_data.examined_already(), without_retracing_warnings():
        z = _standardized(x, filled)
        run = _Run(
            x, z, filled, num_validation, plan, num_imputations, settings.seed, settings.verbose
        )
        candidates = _choose(run, *kinds)
        fit = _fit(run, candidates, trains=trains)
    columns.remember(fit.model.distribution, columns.Columns(names))
    return fit


class _Run(NamedTuple):
    """Rows in a random order, those to validate by first, and how to train."""

    x: np.ndarray
    z: np.ndarray  # standardised
    filled: np.ndarray  # with other rows' entries in the place of missing ones: for the units
    num_validation: int
    plan: TrainingPlan
    num_imputations: int
    seed: int
    verbose: int | str

    @property
    def size(self) -> int:
        """The number of columns."""
        return self.x.shape[1]


def _standardized(x, filled):
    """The rows standardised, in float64, NaN where an entry is missing."""
    parts = standardizing(filled, x.shape[1], dtype=tf.float64)
    return np.where(np.isnan(x), np.nan, SinglePassChain(parts).inverse(filled).numpy())


def _checked(x, names):
    """The rows that have an entry, in float64."""
    x = checked_incomplete(x)
    x = x[~np.isnan(x).all(axis=1)]
    if len(x) < 20 or x.shape[1] < 2:
        raise ValueError(
            "`x` must have shape [N, D], D >= 2, with an entry that is not NaN in at least 20 "
            f"rows, got {len(x)} such rows of {x.shape[1]} columns."
        )
    for number, column in enumerate(x.T):
        if len(np.unique(column[~np.isnan(column)])) < 2:
            name = repr(names[number]) if names else number
            raise ValueError(
                f"`x` must have two different entries in each column, and column {name} has not: "
                "leave it out."
            )
    return x


def _filled_by_column(x, rng):
    """The rows with entries of other rows in the place of missing ones, column by column."""
    filled = x.copy()
    for column in filled.T:
        missing = np.isnan(column)
        column[missing] = rng.choice(column[~missing], missing.sum())
    return filled


def _choose(run: _Run, num_components, covariance_types) -> tuple[MixtureCandidate, ...]:
    """All candidates that were tried, the best first."""
    z = run.z[-_MOST_ROWS_TO_CHOOSE_BY:]
    progress = Progress("mixtures", 3 * len(num_components) * len(covariance_types), run.verbose)
    with_prior = {"shrinkages": _SHRINKAGES} if np.isnan(z).any() else {}
    candidates = choose_mixture(
        z,
        num_components,
        covariance_types=covariance_types,
        **with_prior,
        num_folds=_NUM_FOLDS,
        seed=run.seed,
        report=progress.advance,
    )
    progress.close()
    return candidates


def _fit(run: _Run, candidates, *, trains: bool) -> DensityFit:
    """A flow over the mixture, or the mixture, whichever the validation rows prefer."""
    candidate = candidates[0]
    prior = candidate.prior(run.x.shape[1]) if run.plan.has_prior else None
    settings = {"prior": prior, "covariance_floor": COVARIANCE_FLOOR}
    nothing = (None, MonteCarloEstimate(0.0, 0.0), {"loss": [], "val_loss": []}, ())
    is_enough = len(run.x) - run.num_validation >= _FEWEST_ROWS_FOR_A_FLOW
    model, gain, history, refreshes = (
        _trained(run, candidate, settings) if trains and is_enough else nothing
    )
    keeps_flow = gain.estimate > 2 * gain.standard_error
    if not keeps_flow:
        flow = make_mixture(candidate, run.plan, run.filled, run.size, seed=run.seed)
        mixtures.assign_parameters(
            flow.distribution, fit_candidate(run.z, candidate, seed=run.seed)
        )
        model = make_model(flow, run.plan, settings, seed=run.seed)
    at_floor = em.components_at_floor(model.distribution.distribution, COVARIANCE_FLOOR)
    complete = run.x[~np.isnan(run.x).any(axis=1)][:_MOST_ROWS_TO_SHOW].copy()
    return DensityFit(
        model,
        candidate,
        gain,
        keeps_flow,
        history,
        at_floor,
        candidates,
        rows=complete if len(complete) else None,
        refreshes=refreshes,
    )


def _trained(run: _Run, candidate, settings):
    """A model of a flow that started over the mixture, its gain, its history, and refreshes."""
    z, rng = run.z, np.random.default_rng([run.seed, 1])
    flow = make_flow(candidate, run.plan, run.filled, run.size, seed=run.seed)
    start = fit_candidate(z[run.num_validation :], candidate, seed=run.seed, n_init=_NUM_STARTS)
    mixtures.assign_parameters(flow.distribution, start)
    parts, mixture = StandardizedFlow(flow), TableMixture.of(start, candidate.covariance_type)
    proposal, held_out = mixture.with_wide_parts(), run.x[: run.num_validation]
    train = run.x[run.num_validation :]
    table = CompletedTable(train, parts, proposal, run.num_imputations, rng)
    loss = ObservedLoss(parts, z[: run.num_validation], proposal, _SAMPLES_OF_LOSS, rng)
    refresh = RefreshImputations(table, candidate, rng)
    before = mixture.log_prob(parts.to_latent(held_out)) + parts.log_slopes(held_out).sum(axis=1)
    model = make_model(flow, run.plan, settings, seed=run.seed)
    batch_size = max(1, -(-len(table.x) // max(1, len(run.x) // run.plan.batch_size)))
    history = train_flow(
        model,
        _by_passes(run.plan, -(-len(table.x) // batch_size)),
        run.verbose,
        callbacks=[refresh, loss],
        x=table.x,
        sample_weight=table.sample_weight,
        batch_size=batch_size,
    )
    after = observed_log_prob(flow, held_out, num_samples=_SAMPLES_OF_GAIN, seed=run.seed)
    gain = gain_of_rows(after.estimate, before, None)
    if gain.estimate > 2 * gain.standard_error:
        _fit_to_all(run, parts, table, settings, rng)
    return model, gain, history, tuple(refresh.refreshes)


def _by_passes(plan: TrainingPlan, num_steps: int) -> TrainingPlan:
    """The plan with as many steps, in epochs that are passes over the table of so many steps.

    A pass ends where the imputations change: rows of the next one are not read before.
    """
    epochs = max(1, round(plan.epochs * plan.steps_per_epoch / num_steps))
    return plan._replace(epochs=epochs, steps_per_epoch=None)


def _fit_to_all(run: _Run, parts: StandardizedFlow, table: CompletedTable, settings, rng) -> None:
    """Fits the mixture again, to all rows as the flow completes them; the bijector stays."""
    table.refresh()
    held_out = run.x[: run.num_validation]
    of_held_out = CompletedTable(
        held_out, parts, parts.proposal(run.seed), run.num_imputations, rng
    )
    for _ in range(5):
        of_held_out.refresh()
    x = np.concatenate([table.x, of_held_out.x])
    weight = np.concatenate([table.sample_weight, of_held_out.sample_weight])
    points = on_arrays.as_points(parts.flow, x)
    fit_mixture(parts.flow, points, sample_weight=weight, **settings)
