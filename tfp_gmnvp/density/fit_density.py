"""Fits a density to a table: a plain mixture, or a flow if that is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared import tables
from tfp_gmnvp._shared.tables import Names
from tfp_gmnvp.density.arguments import (
    check_flow_arguments,
    check_settings,
    checked_component_labels,
    checked_num_validation,
    checked_table,
    checked_weights,
    numbers_for_labels,
)
from tfp_gmnvp.density.density_fit import DensityFit
from tfp_gmnvp.density.fit_settings import FitSettings
from tfp_gmnvp.density.flow_gain import may_pay_off
from tfp_gmnvp.density.flow_training import (
    gain_of_rows,
    make_flow,
    make_mixture,
    make_model,
    train_flow,
)
from tfp_gmnvp.density.missing.fit import fit_incomplete_table
from tfp_gmnvp.density.mixture_candidates import (
    COVARIANCE_FLOOR,
    MixtureCandidate,
    check_candidates,
    fit_candidate,
)
from tfp_gmnvp.density.mixture_choice import choose_mixture, most_trials
from tfp_gmnvp.density.plan import TrainingPlan, training_plan
from tfp_gmnvp.density.rows import DistinctRows, Rows
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.summaries import MonteCarloEstimate
from tfp_gmnvp.training.data import degenerate_data
from tfp_gmnvp.training.mixture_updates.fit_mixture import fit_mixture
from tfp_gmnvp.training.progress import Progress, without_retracing_warnings

__all__ = ["fit_density", "fit_table"]

_FEWEST_ROWS = 20
_MOST_ROWS_TO_CHOOSE_BY = 4000
_ROWS_TO_SCORE = 600  # at least, over several divisions into folds where there are 300 or fewer
_MOST_ROWS_TO_START_FROM = 20_000
_MOST_ROWS_TO_END_WITH = 100_000
_MOST_ROWS_TO_SHOW = 1000
_FLOOR = (
    "The density rests on the floor of the covariances in components {}: there `x` lies on a line "
    "or surface, or at a point, and the height of the density is the floor's. Look at the rows of "
    "these components, and leave out what follows from other columns; or try fewer components."
)


def fit_density(
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    sample_weight: np.ndarray | None = None,
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10),
    covariance_types: Sequence[str] = ("full", "tied", "diag"),
    validation_fraction: float = 0.2,
    steps: int = 3000,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    verbose: int | str = 0,
    seed: int,
    **flow_arguments,
) -> DensityFit:
    """Fits a density to a table of numbers, with settings that suit its size.

    1. A mixture is chosen by cross-validation, see `choose_mixture`, and fitted to the standardised
       rows but for those set aside for validation.
    2. A flow starts as the identity over it, and trains until the validation rows say stop. How, is
       a matter of the number of rows, see `training_plan`. Of up to 1,000 rows, a closed form says
       first what the first step of a flow could gain. Below a hundredth of a nat, or two standard
       errors, or with fewer than 150 rows to train on, none is trained, see `may_pay_off`.
    3. The flow is kept if it is better on the validation rows by more than two standard errors of
       the difference, row by row. If not, the density is the mixture.
    4. The mixture is fitted again, to all rows, or 100,000 of them, with the bijector as it is.

    So rows that are held out from x lose nothing by the flow where it has too few rows to learn
    from.

    Args:
      x: data `[N, D]`, an array or table, N >= 20. With D = 1 the flow is a spline.
      y: the numbers of the rows' components `[N]`, and -1 where that is not known; `None` if no
        row has one. The mixture is chosen without them; the start, the training and the last fit of
        the mixture use them as `FlowModel.fit` does.
      sample_weight: weights `[N]`, not negative, in all that follows: the choice of the mixture,
        the standardisation, the start, the training, the validation and the last fit. Whole
        numbers count rows: a row of weight two is the row twice. Other weights are scaled to the
        effective number of rows, (sum_n w_n)^2 / sum_n w_n^2. `None` for ones.
      num_components: numbers of components to try.
      covariance_types: what to try of 'full', 'tied', 'diag' and 'spherical'.
      validation_fraction: the share of the rows, in (0, 1), that say when to stop; 10,000 rows are
        enough.
      steps: the most training steps.
      learning_rate: at its highest, after a warm-up; it falls to zero as a cosine. `None` for the
        plan's.
      weight_decay: of AdamW. `None` for the plan's.
      verbose: as in Keras: 1 or 'auto' for bars that show what is tried, 2 for lines, 0 for
        nothing.
      seed: integer seed of everything: the split, the mixtures, the flow and the order of rows.
      **flow_arguments: of `gaussian_mixture_flow`, such as `coupling`, in place of the defaults.

    Returns:
      A `DensityFit`.

    Raises:
      ValueError: if x is not `[N, D]`, finite and large enough, a weight is negative, all are
        zero, a label is not the number of a component, or an argument is out of its range.
      TypeError: if there is no argument of a name. All arguments are checked before any work.

    Warns:
      DegenerateDataWarning: if columns of x are constant, discrete, or functions of others, or rows
        are copies; or if the density rests on the floor of the covariances for another reason.

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[80, 2])
    >>> fit = fit_density(x, num_components=[1, 2], covariance_types=["diag"], steps=4, seed=0)
    >>> fit.keeps_flow, fit.model.predict(x, verbose=0).shape
    (False, (80,))
    """
    names = tables.column_names(x)
    x = checked_table(x, fewest_rows=_FEWEST_ROWS)
    settings = FitSettings(
        seed=seed,
        num_components=num_components,
        covariance_types=covariance_types,
        validation_fraction=validation_fraction,
        steps=steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        verbose=verbose,
    )
    return fit_table(
        x, y, sample_weight, settings, flow_arguments, names=names, fewest_rows=_FEWEST_ROWS
    )


def fit_table(
    x: np.ndarray,
    y,
    sample_weight,
    settings: FitSettings,
    flow_arguments: dict,
    *,
    names: Names | None = None,
    fewest_rows: int = 2,
) -> DensityFit:
    """Fits a density to rows; see `fit_density`, of which this is the code.

    Args:
      x: rows `[N, D]`, finite numbers, or NaN where an entry is missing.
      y: see `fit_density`.
      sample_weight: see `fit_density`.
      settings: of the choice and the training.
      flow_arguments: of `gaussian_mixture_flow`, in place of the plan's.
      names: of the columns, or `None`.
      fewest_rows: how many rows must have a weight.

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[9, 1])
    >>> fit_table(x, None, None, FitSettings(seed=0), {}).mixture.num_components
    1
    """
    check_settings(settings)
    sample_weight = checked_weights(sample_weight, len(x), fewest_rows)
    y = checked_component_labels(y, len(x))
    if np.isnan(x).any():
        is_there = ~np.isnan(x).all(axis=1)
        x, sample_weight, y = (None if a is None else a[is_there] for a in (x, sample_weight, y))
    if np.isnan(x).any():
        rows = _repeated(x, sample_weight, y)
        return fit_incomplete_table(rows, settings, flow_arguments, names=names)
    table = DistinctRows.of_table(x, sample_weight, y)
    settings, plan, num_validation = _planned(table, settings, flow_arguments)
    is_degenerate = degenerate_data.warn_if_degenerate(x, names=names, sample_weight=sample_weight)
    with degenerate_data.examined_already(), without_retracing_warnings():
        rows = Rows.split(table, num_validation, seed=settings.seed)
        candidates = _choose(rows, settings)
        fit = _fit(rows, candidates, plan, settings)
    if fit.at_floor and not is_degenerate:
        degenerate_data.warn_of(_FLOOR.format(", ".join(map(str, fit.at_floor))))
    columns.remember(fit.model.distribution, columns.Columns(names))
    return fit


def _repeated(x, sample_weight, y):
    """Rows with missing entries, as often as their weights say."""
    if y is not None:
        raise ValueError("`y` must be `None` with missing entries: their rows take no labels.")
    if sample_weight is None:
        return x
    counts = np.round(sample_weight).astype(np.int64)
    if not np.array_equal(counts, sample_weight):
        raise ValueError(
            "`sample_weight` must hold whole numbers where entries are missing: a row counts as "
            "often as its weight says."
        )
    return np.repeat(x, counts, axis=0)


def _planned(table: DistinctRows, settings: FitSettings, flow_arguments):
    """Checks what is left to check; the settings and plan for these rows, and how they divide."""
    num_rows, event_size = table.x.shape
    most = min(num_rows, _MOST_ROWS_TO_CHOOSE_BY)
    numbers, types = check_candidates(
        settings.num_components, settings.covariance_types, most, settings.points_each
    )
    if event_size == 1 and "full" in types:  # which is what these are, too
        types = tuple(kind for kind in types if kind not in ("diag", "spherical"))
    numbers = numbers_for_labels(numbers, table.y)
    num_validation = checked_num_validation(num_rows, settings.validation_fraction, numbers[-1])
    coupling = flow_arguments.get("coupling", "affine")
    plan = training_plan(num_rows - num_validation, settings.steps, coupling, event_size)
    plan = plan.with_changes(
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    check_flow_arguments(fit_density, event_size, flow_arguments, plan.flow_arguments)
    plan = plan.with_flow_arguments(flow_arguments, event_size)
    settings = settings._replace(num_components=numbers, covariance_types=types)
    return settings, plan, num_validation


def _choose(rows: Rows, settings: FitSettings) -> tuple[MixtureCandidate, ...]:
    """All candidates that were tried, the best first."""
    numbers, types = settings.num_components, settings.covariance_types
    if len(rows.z) < 2:  # nothing to hold out
        return (MixtureCandidate(types[0], numbers[0]),)
    num_divisions = int(np.clip(_ROWS_TO_SCORE // len(rows.z), 1, 4))
    total = most_trials(numbers, types, num_divisions)
    progress = Progress("mixtures", total, settings.verbose)
    some = rows.part(slice(-_MOST_ROWS_TO_CHOOSE_BY, None))
    candidates = choose_mixture(
        some.z,
        numbers,
        covariance_types=types,
        num_divisions=num_divisions,
        points_each=settings.points_each,
        sample_weight=some.weight,
        seed=settings.seed,
        report=progress.advance,
    )
    progress.close()
    return candidates


def _fit(rows: Rows, candidates, plan: TrainingPlan, settings: FitSettings) -> DensityFit:
    """A flow over the mixture, or the mixture, whichever the validation rows prefer."""
    candidate, seed = candidates[0], settings.seed
    prior = candidate.prior(rows.x.shape[1]) if plan.has_prior else None
    em_settings = {"prior": prior, "covariance_floor": COVARIANCE_FLOOR}
    model, gain, history = None, MonteCarloEstimate(0.0, 0.0), {"loss": [], "val_loss": []}
    num_train = len(rows.z) - rows.num_validation
    if may_pay_off(rows.z, num_train, candidate, seed=seed, sample_weight=rows.weight):
        model, gain, history = _trained(rows, candidate, plan, em_settings, settings)
    keeps_flow = gain.estimate > 2 * gain.standard_error
    if not keeps_flow:
        flow = make_mixture(candidate, plan, rows.spread, rows.x.shape[1], seed=seed)
        _start(flow, rows, candidate, em_settings, seed)
        model = make_model(flow, plan, em_settings, seed=seed)
    flow = model.distribution
    if keeps_flow or len(rows.z) > _MOST_ROWS_TO_START_FROM:
        some = rows.part(slice(_MOST_ROWS_TO_END_WITH))
        points = on_arrays.as_points(flow, some.x)
        fit_mixture(flow, points, some.y, sample_weight=some.weight, **em_settings)
    at_floor = em.components_at_floor(flow.distribution, COVARIANCE_FLOOR)
    return DensityFit(
        model,
        candidate,
        gain,
        keeps_flow,
        history,
        at_floor,
        candidates,
        rows.to_show(_MOST_ROWS_TO_SHOW),
    )


def _trained(rows: Rows, candidate, plan: TrainingPlan, em_settings, settings: FitSettings):
    """A model of a flow that started over the mixture, its gain, and its history."""
    train, validation = rows.train, rows.validation
    flow = make_flow(candidate, plan, rows.spread, rows.x.shape[1], seed=settings.seed)
    _start(flow, train, candidate, em_settings, settings.seed)
    points = on_arrays.as_points(flow, validation.x)
    start = on_arrays.log_prob(flow, points)
    model = make_model(flow, plan, em_settings, seed=settings.seed)
    weight = validation.weight
    history = train_flow(
        model,
        plan,
        settings.verbose,
        x=train.x,
        y=train.y,
        sample_weight=train.weight,
        batch_size=plan.batch_size,
        validation_data=validation.x if weight is None else (validation.x, None, weight),
        validation_batch_size=10_000,
    )
    gain = gain_of_rows(on_arrays.log_prob(flow, points), start, weight)
    return model, gain, history


def _start(flow, rows: Rows, candidate, em_settings, seed) -> None:
    """Sets the mixture to its fit, the best of several starts."""
    rows = rows.part(slice(_MOST_ROWS_TO_START_FROM))
    if rows.y is None:
        parameters = fit_candidate(rows.z, candidate, seed=seed, sample_weight=rows.weight)
        mixtures.assign_parameters(flow.distribution, parameters)
        return
    points = on_arrays.as_points(flow, rows.x)
    fit_mixture(
        flow, points, rows.y, sample_weight=rows.weight, n_init=10, seed=seed, **em_settings
    )
