"""A density for a table of any size: a plain mixture, or a flow that is better than it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_gmnvp import checks, evaluate, mixtures
from tfp_gmnvp.argument_checks import check_number, check_whole_number
from tfp_gmnvp.bijectors import SinglePassChain
from tfp_gmnvp.flow import gaussian_mixture_flow, standardizing
from tfp_gmnvp.mixture_choice import (
    COVARIANCE_FLOOR,
    MixtureCandidate,
    choose_mixture,
    fit_candidate,
)
from tfp_gmnvp.mixture_updates.fit import fit_mixture
from tfp_gmnvp.summaries import MonteCarloEstimate, mean_estimate
from tfp_gmnvp.training import FlowModel
from tfp_gmnvp.training_plan import TrainingPlan, training_plan

__all__ = ["DensityFit", "fit_density"]

keras = tf.keras

_MOST_ROWS_TO_CHOOSE_BY = 4000
_ROWS_TO_SCORE = 600  # at least, over several divisions into folds where there are 300 or fewer
_MOST_ROWS_TO_START_FROM = 20_000
_MOST_ROWS_TO_VALIDATE_BY = 10_000
_MOST_ROWS_TO_END_WITH = 100_000


class DensityFit(NamedTuple):
    """What `fit_density` found.

    Attributes:
      model: the trained model; the density is `model.distribution`.
      mixture: the kind of mixture that was chosen.
      gain: of the trained flow over the mixture that it started from, on the validation rows, in
        nats per point, with its standard error.
      keeps_flow: whether the gain was beyond chance. If not, the bijector is the standardisation
        alone, and the density a plain mixture.
      history: the losses of each epoch, `loss` and `val_loss`.

    #### Examples

    >>> DensityFit._fields
    ('model', 'mixture', 'gain', 'keeps_flow', 'history')
    """

    model: FlowModel
    mixture: MixtureCandidate
    gain: MonteCarloEstimate
    keeps_flow: bool
    history: dict[str, list[float]]


def fit_density(
    x: np.ndarray,
    *,
    num_components: Iterable[int] = (1, 2, 3, 4, 6, 8, 10),
    covariance_types: Sequence[str] = ("full", "tied", "diag"),
    validation_fraction: float = 0.2,
    steps: int = 3000,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    seed: int,
    **flow_arguments,
) -> DensityFit:
    """Fits a density to a table of numbers, with settings that suit its size.

    1. A mixture is chosen by cross-validation, see `choose_mixture`, and fitted to the standardised
       rows but for those set aside for validation.
    2. A flow starts as the identity over it, and trains until the validation rows say stop. How, is
       a matter of the number of rows, see `training_plan`.
    3. The flow is kept if it is better on the validation rows by more than two standard errors of
       the difference, row by row. If not, the density is the mixture.
    4. The mixture is fitted again, to all rows, or 100,000 of them, with the bijector as it is.

    So rows that are held out from x lose nothing by the flow where it has too few rows to learn
    from.

    Args:
      x: data `[N, D]`, D >= 2 and N >= 20.
      num_components: numbers of components to try.
      covariance_types: what to try of 'full', 'tied', 'diag' and 'spherical'.
      validation_fraction: the share of the rows, in (0, 1), that say when to stop; 10,000 rows are
        enough.
      steps: the most training steps.
      learning_rate: at its highest, after a warm-up; it falls to zero as a cosine. `None` for the
        plan's.
      weight_decay: of AdamW. `None` for the plan's.
      seed: integer seed of everything: the split, the mixtures, the flow and the order of rows.
      **flow_arguments: of `gaussian_mixture_flow`, such as `coupling`, in place of the defaults.

    Returns:
      A `DensityFit`.

    Raises:
      ValueError: if x is not `[N, D]`, finite and large enough, or an argument is out of its range.
      TypeError: if the flow has no argument of a name.

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[80, 2])
    >>> fit = fit_density(x, num_components=[1, 2], covariance_types=["diag"], steps=4, seed=0)
    >>> fit.keeps_flow, fit.model.predict(x, verbose=0).shape
    (False, (80,))
    """
    x = _checked_rows(x, validation_fraction, steps)
    order = np.random.default_rng(seed).permutation(len(x))
    num_validation = round(validation_fraction * len(x))
    num_validation = min(max(1, num_validation), _MOST_ROWS_TO_VALIDATE_BY)
    train, validation = x[order[num_validation:]], x[order[:num_validation]]
    z = _standardized(x)[order]
    candidate, *_ = choose_mixture(
        z[-_MOST_ROWS_TO_CHOOSE_BY:],
        num_components,
        covariance_types=covariance_types,
        num_divisions=int(np.clip(_ROWS_TO_SCORE // len(x), 1, 4)),
        seed=seed,
    )
    plan = training_plan(len(train), steps, flow_arguments.get("coupling", "affine"))
    plan = plan.with_changes(learning_rate=learning_rate, weight_decay=weight_decay)
    flow = _make_flow(x, candidate, {**plan.flow_arguments, **flow_arguments}, seed)
    _start(flow, z[num_validation:], candidate, seed)
    start = evaluate.log_prob(flow, evaluate.as_points(flow, validation))
    prior = candidate.prior(x.shape[1]) if plan.has_prior else None
    em = {"prior": prior, "covariance_floor": COVARIANCE_FLOOR}
    model = FlowModel(flow, initialize=False, seed=seed)
    model.compile(plan.make_optimizer(), mixture_update=plan.mixture_update(**em))
    weights = model.get_weights()
    history = _train(model, train, validation, plan)
    gain = _gain(evaluate.log_prob(flow, evaluate.as_points(flow, validation)), start)
    keeps_flow = gain.estimate > 2 * gain.standard_error
    if not keeps_flow:
        model.set_weights(weights)
        _start(flow, z, candidate, seed)
    if keeps_flow or len(z) > _MOST_ROWS_TO_START_FROM:
        fit_mixture(flow, evaluate.as_points(flow, x[order[:_MOST_ROWS_TO_END_WITH]]), **em)
    return DensityFit(model, candidate, gain, keeps_flow, history)


def _make_flow(x, candidate, flow_arguments, seed):
    return gaussian_mixture_flow(
        x.shape[1],
        candidate.num_components,
        covariance_type=candidate.covariance_type,
        standardize=x,
        seed=seed,
        **flow_arguments,
    )


def _start(flow, z, candidate, seed) -> None:
    """Sets the mixture to its fit, the best of several starts, to standardised rows."""
    z = z[:_MOST_ROWS_TO_START_FROM]
    parameters = fit_candidate(z, candidate, seed=seed)
    mixtures.assign_parameters(flow.distribution, parameters)


def _train(model, train, validation, plan: TrainingPlan) -> dict:
    """Trains until the validation loss has not fallen for a while; keeps the best weights."""
    stop = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=plan.patience, restore_best_weights=True
    )
    history = model.fit(
        train,
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        validation_data=validation,
        validation_batch_size=10_000,
        callbacks=[stop, keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
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


def _checked_rows(x, validation_fraction, steps) -> np.ndarray:
    x = np.asarray(checks.as_array(x))
    checks.check_dtype("x", x)
    x = x.astype(np.float64)
    if x.ndim != 2 or x.shape[1] < 2 or len(x) < 20:
        raise ValueError(f"`x` must have shape [N, D], N >= 20 and D >= 2, got {list(x.shape)}.")
    checks.check_finite("x", x)
    within = "be in (0, 1)"
    check_number("validation_fraction", validation_fraction, lambda part: 0 < part < 1, within)
    check_whole_number("steps", steps)
    return x
