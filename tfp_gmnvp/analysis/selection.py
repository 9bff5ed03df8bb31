"""How many components: a flow for each number of them, and a criterion that chooses."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared import tables
from tfp_gmnvp.analysis import criteria
from tfp_gmnvp.analysis.selection_arguments import (
    check_choices,
    check_enough,
    check_options,
    check_settings,
    checked_numbers,
    checked_test,
)
from tfp_gmnvp.analysis.selection_scores import ComponentScores, ComponentSelection
from tfp_gmnvp.density.arguments import checked_table, checked_weights
from tfp_gmnvp.density.plan import training_plan
from tfp_gmnvp.density.rows import effective_weights
from tfp_gmnvp.flows import columns, on_arrays
from tfp_gmnvp.flows.gaussian_mixture_flow import gaussian_mixture_flow
from tfp_gmnvp.flows.summaries import mean_estimate
from tfp_gmnvp.training.data import degenerate_data, distinct_rows
from tfp_gmnvp.training.data.labels import no_labels
from tfp_gmnvp.training.model import FlowModel
from tfp_gmnvp.training.progress import EpochProgress, Progress, without_retracing_warnings

__all__ = ["ComponentScores", "ComponentSelection", "select_components"]


def select_components(
    x: np.ndarray,
    num_components: Iterable[int],
    *,
    sample_weight: np.ndarray | None = None,
    criterion: str = "bic",
    make_model: Callable[[int, np.ndarray, int], FlowModel] | None = None,
    x_test: np.ndarray | None = None,
    num_folds: int = 5,
    batch_size: int = 256,
    epochs: int = 50,
    verbose: int | str = 0,
    seed: int,
    **fit_options,
) -> ComponentSelection:
    """Trains a flow for each number of components, and chooses by a criterion.

    Every model is trained on all of x. Where held-out points are to choose and there is no
    `x_test`, K-fold cross-validation trains `num_folds` more models for each number, each scored on
    the fold that it has not seen, the folds being the same for all. All models get the same
    seed, and so start from the same bijector.

    A flow bends the components, so that fewer of them do than in a plain mixture; the
    stronger the bijector, the less the number says about clusters.

    Args:
      x: training data `[N, D]`.
      num_components: numbers of components to try, for example `range(1, 7)`.
      sample_weight: weights `[N]`, in the training, the criteria and the scores of folds; on the
        scale that `bic` says. `None` for ones.
      criterion: 'bic', 'aic', 'icl' or 'held_out'; see `bic`, `aic`, `icl` and
        `held_out_log_likelihood`.
      make_model: builds an untrained, compiled model, called as
        `make_model(num_components, x, seed)` with the data that it is about to be trained on;
        `None` for a `gaussian_mixture_flow` of a size that suits the number of rows, as
        `fit_density` has it, standardised by that data.
      x_test: held-out data `[M, D]`, scored whatever the criterion; `None` for folds of x.
      num_folds: number of folds, from 2 to N.
      batch_size: points of a training step.
      epochs: passes over the data.
      verbose: as in Keras: 1 or 'auto' for a bar that shows what is tried, 2 for lines, 0 for
        nothing.
      seed: integer seed of the models, of the order of the points in each epoch, and of the folds.
      **fit_options: what else `FlowModel.fit` takes, for example `callbacks`; no labels.

    Returns:
      A `ComponentSelection`.

    Raises:
      ValueError: if an argument is out of its range, x is not `[N, D]` and finite, or every
        model's criterion is NaN.
      TypeError: if `make_model` does not return a `FlowModel`, or there is no argument of a name.
        All arguments are checked before any work.

    Warns:
      DegenerateDataWarning: if columns of x are constant, discrete, or functions of others, or rows
        are copies.

    #### Examples

    >>> def make_model(num_components, x, seed):
    ...     flow = gaussian_mixture_flow(2, num_components, num_couplings=1, hidden_units=())
    ...     model = FlowModel(flow, seed=seed)
    ...     model.compile("adam")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=[200, 2]) + np.repeat([[-9], [9]], 100, axis=0)
    >>> selection = select_components(x, [1, 2], make_model=make_model, epochs=2, seed=0)
    >>> selection.num_components, sorted(selection.models)
    (2, [1, 2])
    """
    check_options(select_components, fit_options)
    names = tables.column_names(x)
    columns.check_names(x_test, names, "x_test")
    x = checked_table(x, fewest_rows=2)
    weight = checked_weights(sample_weight, len(x), 2)
    if weight is not None:
        x, weight = x[weight > 0], effective_weights(weight[weight > 0])
    x_test = None if x_test is None else checked_test(x_test, x.shape[1])
    numbers_ = checked_numbers(num_components)
    check_choices(criterion, num_folds, batch_size, epochs, len(x))
    check_settings(make_model, verbose, seed)
    num_folds = num_folds if x_test is None and criterion == "held_out" else 0
    check_enough(numbers_, len(x), num_folds)
    progress = Progress("trainings", len(numbers_) * (1 + num_folds), verbose)
    fit_options = {"epochs": epochs, **fit_options}
    make_model = make_model or _default_model
    fit = functools.partial(_fit, make_model, seed, batch_size, fit_options, progress)
    degenerate_data.warn_if_degenerate(x, names=names, sample_weight=weight)
    with degenerate_data.examined_already(), without_retracing_warnings():
        models = {k: fit(k, x, weight) for k in numbers_}
        held_out = {}
        if x_test is not None:
            held_out = {k: _log_prob(model, x_test) for k, model in models.items()}
        elif num_folds:
            folds = _folds(x, num_folds, seed)
            held_out = {
                k: _cross_validate(functools.partial(fit, k), x, weight, folds) for k in numbers_
            }
        for model in models.values():
            columns.remember(model.distribution, columns.Columns(names))
        of_held_out = None if x_test is not None else weight
        scores = _scores(models, x, weight, held_out, of_held_out)
    progress.close()
    if np.isnan([getattr(s, criterion) for s in scores]).all():
        raise ValueError(
            f"{criterion} is NaN for every number of components, as no training converged: a lower "
            "learning rate would do, or `global_clipnorm` in the optimizer."
        )
    return ComponentSelection(criterion, scores, models)


def _default_model(num_components, x, seed):
    size = training_plan(len(x), steps=1, event_size=x.shape[1]).flow_arguments
    flow = gaussian_mixture_flow(x.shape[1], num_components, standardize=x, seed=seed, **size)
    model = FlowModel(flow, seed=seed)
    model.compile()
    return model


def _fit(make_model, seed, batch_size, fit_options, progress, num_components, x, weight, fold=""):
    """A model trained on x, whose points come in an order that hangs on the seed alone."""
    what = f"K = {num_components}{fold}"
    progress.advance(what)
    model = make_model(num_components, x, seed)
    if not isinstance(model, FlowModel):
        raise TypeError(
            f"`make_model` must return a compiled `FlowModel`, got {type(model).__name__}."
        )
    points = on_arrays.as_points(model.distribution, x)
    callbacks = fit_options.get("callbacks")
    callbacks = getattr(callbacks, "callbacks", callbacks) or []  # of a `CallbackList`
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    options = {**fit_options, "callbacks": [*callbacks, EpochProgress(progress, what)]}
    try:
        model.fit(_shuffled_batches(points, weight, batch_size, seed), verbose=0, **options)
    except FloatingPointError as error:  # the others may yet do
        warnings.warn(f"With {num_components} components: {error}", stacklevel=4)
    return model


def _shuffled_batches(x, weight, batch_size, seed) -> tf.data.Dataset:
    """Batches, in a new order each time, whatever seed TensorFlow as a whole was given."""
    rng = np.random.default_rng(seed)
    starts = range(0, len(x), batch_size)
    arrays = [x] if weight is None else [x, no_labels(len(x)), weight.astype(x.dtype)]

    def batches():
        order = rng.permutation(len(x))
        for start in starts:
            rows = order[start : start + batch_size]
            batch = tuple(array[rows] for array in arrays)
            yield batch if len(batch) > 1 else batch[0]

    signature = tuple(tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in arrays)
    signature = signature if len(signature) > 1 else signature[0]
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(starts)))


def _cross_validate(fit, x, weight, folds):
    """log p(x_n) under the model that has not seen x_n, `[N]`."""
    log_prob = np.empty(len(x))
    for number, fold in enumerate(folds, 1):
        others = None if weight is None else np.delete(weight, fold)
        what = f", fold {number} of {len(folds)}"
        model = fit(np.delete(x, fold, axis=0), others, fold=what)
        log_prob[fold] = _log_prob(model, x[fold])
    return log_prob


def _folds(x, num_folds, seed):
    return distinct_rows.folds(x, np.random.default_rng(seed).permutation(len(x)), num_folds)


def _log_prob(model, x):
    flow = model.distribution
    return on_arrays.log_prob(flow, on_arrays.as_points(flow, x)).astype(np.float64)


def _scores(models, x, weight, held_out, of_held_out) -> tuple[ComponentScores, ...]:
    mean = functools.partial(_mean_or_lowest, weight=of_held_out)
    best = max(held_out.values(), key=mean, default=None)
    return tuple(
        ComponentScores(
            k,
            criteria.num_parameters(model.distribution),
            *criteria.penalised(model.distribution, x, weight),
            *(_held_out_scores(held_out[k], best, of_held_out) if held_out else ()),
        )
        for k, model in models.items()
    )


def _held_out_scores(log_prob, best, weight):
    gap = mean_estimate(best - log_prob, weight)
    return *mean_estimate(log_prob, weight), gap.standard_error


def _mean_or_lowest(values, weight):
    mean = np.average(values, weights=weight)
    return -np.inf if np.isnan(mean) else mean
