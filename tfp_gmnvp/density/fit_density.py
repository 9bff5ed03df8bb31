"""Fits a density to a table: a plain mixture, or a flow if that is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import em, mixtures
from tfp_gmnvp._shared import tables
from tfp_gmnvp.bijectors import SinglePassChain
from tfp_gmnvp.density.arguments import (
    check_flow_arguments,
    check_settings,
    checked_num_validation,
    checked_table,
)
from tfp_gmnvp.density.flow_gain import may_pay_off
from tfp_gmnvp.density.mixture_candidates import (
    COVARIANCE_FLOOR,
    MixtureCandidate,
    check_candidates,
    fit_candidate,
)
from tfp_gmnvp.density.mixture_choice import choose_mixture, most_trials
from tfp_gmnvp.density.plan import TrainingPlan, training_plan
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow, standardizing
from tfp_gmnvp.flows.mixture_flow import standardized_mixture
from tfp_gmnvp.flows.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training.data import degenerate_data, distinct_rows
from tfp_gmnvp.training.mixture_updates.fit_mixture import fit_mixture
from tfp_gmnvp.training.model import FlowModel
from tfp_gmnvp.training.progress import (
    EpochProgress,
    Progress,
    without_retracing_warnings,
)

__all__ = ["DensityFit", "fit_density"]

keras = tf.keras

_MOST_ROWS_TO_CHOOSE_BY = 4000
_ROWS_TO_SCORE = 600  # at least, over several divisions into folds where there are 300 or fewer
_MOST_ROWS_TO_START_FROM = 20_000
_MOST_ROWS_TO_END_WITH = 100_000
_OF_MIXTURE = ("dtype", "name", "reparameterize")
_FLOOR = (
    "The density rests on the floor of the covariances in components {}: there `x` lies on a line "
    "or surface, or at a point, and the height of the density is the floor's. Look at the rows of "
    "these components, and leave out what follows from other columns; or try fewer components."
)


class DensityFit(NamedTuple):
    """What `fit_density` found.

    Attributes:
      model: the trained model; the density is `model.distribution`.
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

    #### Examples

    >>> DensityFit._fields
    ('model', 'mixture', 'gain', 'keeps_flow', 'history', 'at_floor')
    """

    model: FlowModel
    mixture: MixtureCandidate
    gain: MonteCarloEstimate
    keeps_flow: bool
    history: dict[str, list[float]]
    at_floor: tuple[int, ...] = ()


def fit_density(
    x: np.ndarray,
    *,
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
       first what the first step of a flow could gain, and below a hundredth of a nat, or with
       fewer than 150 rows to train on, none is trained, see `may_pay_off`.
    3. The flow is kept if it is better on the validation rows by more than two standard errors of
       the difference, row by row. If not, the density is the mixture.
    4. The mixture is fitted again, to all rows, or 100,000 of them, with the bijector as it is.

    So rows that are held out from x lose nothing by the flow where it has too few rows to learn
    from.

    Args:
      x: data `[N, D]`, an array or table, D >= 2 and N >= 20.
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
      ValueError: if x is not `[N, D]`, finite and large enough, or an argument is out of its range.
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
    x = checked_table(x, fewest_rows=20, fewest_columns=2)
    rates = {"learning_rate": learning_rate, "weight_decay": weight_decay}
    check_settings(steps=steps, seed=seed, verbose=verbose, **rates)
    kinds = check_candidates(num_components, covariance_types, min(len(x), _MOST_ROWS_TO_CHOOSE_BY))
    num_validation = checked_num_validation(len(x), validation_fraction, kinds[0][-1])
    coupling = flow_arguments.get("coupling", "affine")
    plan = training_plan(len(x) - num_validation, steps, coupling).with_changes(**rates)
    check_flow_arguments(fit_density, x.shape[1], flow_arguments, plan.flow_arguments)
    plan = plan._replace(flow_arguments={**plan.flow_arguments, **flow_arguments})
    is_degenerate = degenerate_data.warn_if_degenerate(x, names=names)
    with degenerate_data.examined_already(), without_retracing_warnings():
        rows = _Rows.split(x.astype(np.float64), num_validation, seed)
        candidate = _choose(rows.z, *kinds, seed=seed, verbose=verbose)
        fit = _fit(rows, candidate, plan, seed=seed, verbose=verbose)
    if fit.at_floor and not is_degenerate:
        degenerate_data.warn_of(_FLOOR.format(", ".join(map(str, fit.at_floor))))
    columns.remember(fit.model.distribution, columns.Columns(names))
    return fit


class _Rows(NamedTuple):
    """The rows in a random order, those to validate by first; and standardised."""

    x: np.ndarray
    z: np.ndarray
    num_validation: int

    @classmethod
    def split(cls, x, num_validation, seed):
        order = np.random.default_rng(seed).permutation(len(x))
        order, num_validation = distinct_rows.together(x, order, num_validation)
        return cls(x[order], _standardized(x)[order], num_validation)


def _choose(z, num_components, covariance_types, *, seed, verbose) -> MixtureCandidate:
    num_divisions = int(np.clip(_ROWS_TO_SCORE // len(z), 1, 4))
    total = most_trials(num_components, covariance_types, num_divisions)
    progress = Progress("mixtures", total, verbose)
    best, *_ = choose_mixture(
        z[-_MOST_ROWS_TO_CHOOSE_BY:],
        num_components,
        covariance_types=covariance_types,
        num_divisions=num_divisions,
        seed=seed,
        report=progress.advance,
    )
    progress.close()
    return best


def _fit(rows: _Rows, candidate, plan: TrainingPlan, *, seed, verbose) -> DensityFit:
    """A flow over the mixture, or the mixture, whichever the validation rows prefer."""
    x, z, _ = rows
    prior = candidate.prior(x.shape[1]) if plan.has_prior else None
    settings = {"prior": prior, "covariance_floor": COVARIANCE_FLOOR}
    model, gain, history = None, MonteCarloEstimate(0.0, 0.0), {"loss": [], "val_loss": []}
    if may_pay_off(z, len(z) - rows.num_validation, candidate, seed=seed):
        model, gain, history = _trained(rows, candidate, plan, settings, seed, verbose)
    keeps_flow = gain.estimate > 2 * gain.standard_error
    if not keeps_flow:
        of_mixture = {k: a for k, a in plan.flow_arguments.items() if k in _OF_MIXTURE}
        flow = _make_flow(standardized_mixture, x, candidate, of_mixture, seed)
        _start(flow, z, candidate, seed)
        model = _make_model(flow, plan, settings, seed)
    flow = model.distribution
    if keeps_flow or len(z) > _MOST_ROWS_TO_START_FROM:
        fit_mixture(flow, on_arrays.as_points(flow, x[:_MOST_ROWS_TO_END_WITH]), **settings)
    at_floor = em.components_at_floor(flow.distribution, COVARIANCE_FLOOR)
    return DensityFit(model, candidate, gain, keeps_flow, history, at_floor)


def _trained(rows: _Rows, candidate, plan: TrainingPlan, settings, seed, verbose):
    """A model of a flow that started over the mixture, its gain, and its history."""
    x, z, num_validation = rows
    train, validation = x[num_validation:], x[:num_validation]
    flow = _make_flow(gaussian_mixture_flow, x, candidate, plan.flow_arguments, seed)
    _start(flow, z[num_validation:], candidate, seed)
    start = on_arrays.log_prob(flow, on_arrays.as_points(flow, validation))
    model = _make_model(flow, plan, settings, seed)
    history = _train(model, train, validation, plan, verbose)
    gain = _gain(on_arrays.log_prob(flow, on_arrays.as_points(flow, validation)), start)
    return model, gain, history


def _make_flow(make, x, candidate, flow_arguments, seed):
    return make(
        x.shape[1],
        candidate.num_components,
        covariance_type=candidate.covariance_type,
        standardize=x,
        seed=seed,
        **flow_arguments,
    )


def _make_model(flow, plan, settings, seed) -> FlowModel:
    model = FlowModel(flow, initialize=False, seed=seed)
    model.compile(plan.make_optimizer(), mixture_update=plan.mixture_update(**settings))
    return model


def _start(flow, z, candidate, seed) -> None:
    """Sets the mixture to its fit, the best of several starts, to standardised rows."""
    z = z[:_MOST_ROWS_TO_START_FROM]
    parameters = fit_candidate(z, candidate, seed=seed)
    mixtures.assign_parameters(flow.distribution, parameters)


def _train(model, train, validation, plan: TrainingPlan, verbose) -> dict:
    """Trains until the validation loss has not fallen for a while; keeps the best weights."""
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=plan.patience, restore_best_weights=True
    )
    progress = Progress("epochs of the flow", plan.epochs, verbose)
    history = model.fit(
        train,
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        validation_data=validation,
        validation_batch_size=10_000,
        callbacks=[stop, keras.callbacks.TerminateOnNaN(), EpochProgress(progress, counts=True)],
        verbose=0,
    )
    progress.close()
    return history.history


def _gain(log_prob, start) -> MonteCarloEstimate:
    """Row by row; minus infinity where training diverged."""
    difference = log_prob.astype(np.float64) - start
    if not np.isfinite(difference).all():
        return MonteCarloEstimate(-np.inf, 0.0)
    return mean_estimate(difference)


def _standardized(x):
    """The rows as the flow's network gets to see them, in float64."""
    parts = standardizing(x, x.shape[1], dtype=tf.float64)
    return SinglePassChain(parts).inverse(x).numpy()
