"""Questions to a joint density: some columns given others, and some columns alone."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import mixtures
from tfp_gmnvp._shared.arguments import as_tuple, check_whole_number, did_you_mean
from tfp_gmnvp._shared.tables import shown_names
from tfp_gmnvp.density.conditionals import ByMixture, ByQuadrature, BySamples
from tfp_gmnvp.density.missing.importance import WeightedRows, weighted_rows
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.missing.rows import warn_if_poor
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.density.table_density import TableDensity
from tfp_gmnvp.flows.columns import known_columns

__all__ = ["column_number", "given", "given_rows", "marginal"]

tfd = tfp.distributions

_DEVIATIONS = 9.0  # standard deviations of a proposal's components that quadrature goes through


def given(
    flow: tfd.TransformedDistribution,
    known: Mapping[int | str, float | np.ndarray],
    *,
    num_samples: int = 2000,
    seed: int = 0,
) -> TableDensity:
    """The density of all other columns given the values of some.

        p(x_u | x_o) = p(x_o, x_u) / int p(x_o, x_u) dx_u

    It is exact where the flow is a mixture of standardised columns (`standardized_mixture`, or
    what `fit_density` returns if it keeps no flow). Of other flows one column is integrated by
    quadrature; more are sampled from the conditional of a Gaussian mixture, which is fitted to
    samples of the flow, and weighted.

    Args:
      flow: a flow over a Gaussian mixture, without a context.
      known: values by the column's name or number; each a number, or N numbers for a batch of N
        conditions.
      num_samples: weighted samples for each condition, where they are needed, at least 2.
      seed: integer seed of these.

    Returns:
      A `TableDensity` of the other columns, in the flow's order.

    Raises:
      TypeError: if `known` is no mapping, or `flow` no flow over a mixture.
      ValueError: if a column is unknown, all or none are known, or values are not finite or of
        different lengths.

    Warns:
      PoorSamplesWarning: if the samples of a condition are worth fewer than 20 independent ones.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, -1.0], [4.0, 1.0]], seed=0)
    >>> density = given(flow, {0: [1.0, 2.0, 3.0]})
    >>> density.mean().shape, density.sample(5, seed=0).shape
    ((3, 1), (5, 3, 1))
    """
    check_whole_number("num_samples", num_samples, 2)
    check_whole_number("seed", seed, 0)
    parts = StandardizedFlow(flow)
    x, columns, is_batch = _checked_known(flow, known, parts.size)
    labels = [_label(known, x[row, columns]) for row in range(min(len(x), 10))]
    settings = {"num_samples": num_samples, "seed": seed, "is_batch": is_batch, "labels": labels}
    density, _ = given_rows(parts, x, columns, names=known_columns(flow).points, **settings)
    if density.way == "by samples":
        warn_if_poor(np.atleast_1d(density.effective_sample_size), "num_samples", num_samples)
    return density


def given_rows(
    parts: StandardizedFlow,
    x: np.ndarray,
    columns: Sequence[int],
    *,
    num_samples: int,
    seed: int,
    names: Sequence[int | str] | None = None,
    is_batch: bool = True,
    labels: Sequence[str] = (),
) -> tuple[TableDensity, np.ndarray]:
    """The density of all other columns given the values of some, and that of the values.

    Args:
      parts: of the flow.
      x: rows `[N, D]`, NaN in the other columns.
      columns: numbers of the known columns.
      num_samples: see `given`.
      seed: see `given`.
      names: of all columns, or `None`.
      is_batch: whether shapes of the `TableDensity` have N; if not, N is one.
      labels: of the conditions, for plots.

    Returns:
      A `TableDensity`, and log p(x_o) of each row in nats, `[N]`, as far as it is known.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> parts = StandardizedFlow(flow)
    >>> x = np.array([[0.0, np.nan]])
    >>> given_rows(parts, x, [0], num_samples=2, seed=0)[1].round(4).tolist()
    [-0.9189]
    """
    columns = list(columns)
    others = [column for column in range(parts.size) if column not in columns]
    y = parts.to_latent(x)
    if (mixture := parts.mixture) is not None:
        density = _of_mixture(mixture, columns, y[:, columns])
        log_evidence = mixture.log_prob(y)
    elif len(others) == 1:
        density = _by_quadrature(parts, y, others[0], seed)
        log_evidence = density.log_normalizer
    else:
        density, log_evidence = _by_samples(parts, y, others, num_samples, seed)
    log_evidence = log_evidence + parts.log_slopes(x).sum(axis=1)
    density = TableDensity(parts, others, density, names=names, is_batch=is_batch, labels=labels)
    return density, log_evidence


def marginal(
    flow: tfd.TransformedDistribution,
    columns: Sequence[int | str],
    *,
    num_samples: int = 10_000,
    seed: int = 0,
) -> TableDensity:
    """The density of some columns alone.

    It is exact where the flow is a mixture of standardised columns. Of other flows `sample`,
    `mean` and `quantile` use samples, and `log_prob` an importance sample for each point.

    Args:
      flow: a flow over a Gaussian mixture, without a context.
      columns: names or numbers of columns.
      num_samples: of the flow, where they are needed, at least 2.
      seed: integer seed of these.

    Returns:
      A `TableDensity` of the columns, in this order.

    Raises:
      TypeError: if `columns` is no sequence, or `flow` no flow over a mixture.
      ValueError: if a column is unknown or named twice, or there is none.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, -1.0], [4.0, 1.0]], seed=0)
    >>> marginal(flow, [0]).quantile([0.5]).round(6).tolist()
    [[2.0]]
    """
    check_whole_number("num_samples", num_samples, 2)
    check_whole_number("seed", seed, 0)
    parts, names = StandardizedFlow(flow), known_columns(flow).points
    wanted = as_tuple("columns", columns, "names or numbers of columns")
    numbers_ = [column_number("columns", column, names, parts.size) for column in wanted]
    if not numbers_ or len(set(numbers_)) < len(numbers_):
        raise ValueError(f"`columns` must hold different columns, at least one, got {wanted!r}.")
    if (mixture := parts.mixture) is not None:
        density = _marginal_of_mixture(mixture, numbers_)
    else:
        density = _marginal_by_samples(parts, numbers_, num_samples, seed)
    return TableDensity(parts, numbers_, density, names=names, is_batch=False)


def _label(known, values) -> str:
    """A condition in words, the first columns of it."""
    named = [
        f"{column} = {value:.3g}" if isinstance(column, str) else f"column {column} = {value:.3g}"
        for column, value in zip(known, values, strict=True)
    ]
    more = ", ..." if len(named) > 3 else ""
    return (", ".join(named[:3]) + more).replace("$", r"\$")


def _of_mixture(mixture: TableMixture, columns, known) -> ByMixture:
    parameters = mixtures.MixtureParameters(*map(tf.constant, mixture))
    return ByMixture(mixtures.conditional_mixture(parameters, "full", columns, known))


def _marginal_of_mixture(mixture: TableMixture, columns) -> ByMixture:
    parameters = mixtures.MixtureParameters(*map(tf.constant, mixture))
    probs, loc, covariance = mixtures.marginal_parameters(parameters, "full", columns)
    components = tfd.MultivariateNormalTriL(loc, tf.linalg.cholesky(covariance))
    log_probs = tf.math.log(probs)[tf.newaxis]
    batch = tfd.BatchBroadcast(components, [1, len(mixture.probs)])
    return ByMixture(tfd.MixtureSameFamily(tfd.Categorical(logits=log_probs), batch))


def _by_quadrature(parts: StandardizedFlow, y, column, seed) -> ByQuadrature:
    known = [d for d in range(parts.size) if d != column]
    proposal = mixtures.MixtureParameters(*map(tf.constant, parts.proposal(seed)))
    near = mixtures.conditional_mixture(proposal, "full", known, y[:, known])
    center = near.components_distribution.mean().numpy()[..., 0]
    reach = _DEVIATIONS * near.components_distribution.stddev().numpy()[..., 0]
    counts = near.mixture_distribution.probs_parameter().numpy() > 1e-9
    low = np.where(counts, center - reach, np.inf).min(axis=1)
    high = np.where(counts, center + reach, -np.inf).max(axis=1)

    def log_density(values):
        rows = np.tile(y, [len(values), 1, 1])
        rows[:, :, column] = values
        return parts.log_prob(rows.reshape(-1, parts.size)).reshape(values.shape)

    return ByQuadrature(log_density, low, high)


def _by_samples(parts: StandardizedFlow, y, others, num_samples, seed) -> BySamples:
    rng = np.random.default_rng(seed)
    found = weighted_rows(parts.log_prob, parts.proposal(seed), y, num_samples, rng)

    def log_prob(values):
        rows = np.tile(y, [len(values), 1, 1])
        rows[:, :, others] = values
        joint = parts.log_prob(rows.reshape(-1, parts.size)).reshape(values.shape[:2])
        return joint - found.log_normalizer

    some = WeightedRows(found.completed[:, :, others], found.log_weight)
    return BySamples(some, log_prob), found.log_normalizer


def _marginal_by_samples(parts: StandardizedFlow, columns, num_samples, seed) -> BySamples:
    samples = parts.sample(num_samples, seed)[:, np.newaxis, columns]
    proposal = functools.cache(lambda: parts.proposal(seed))

    def log_prob(values):
        rows = np.full([values.shape[0], parts.size], np.nan)
        rows[:, columns] = values[:, 0]
        if len(columns) == parts.size:
            return parts.log_prob(rows)[:, np.newaxis]
        rng = np.random.default_rng(seed)
        found = weighted_rows(parts.log_prob, proposal(), rows, 500, rng)
        return found.log_normalizer[:, np.newaxis]

    return BySamples(WeightedRows(samples, np.zeros([num_samples, 1])), log_prob)


def _checked_known(flow, known, size):
    """Rows `[N, D]` with NaN for the other columns, the known columns, and if it is a batch."""
    if not isinstance(known, Mapping):
        raise TypeError(
            f"`known` must map columns to values, as in {{0: 1.5}}, got {type(known).__name__}."
        )
    names = known_columns(flow).points
    columns = [column_number("known", column, names, size) for column in known]
    if not 0 < len(columns) < size or len(set(columns)) < len(columns):
        raise ValueError(
            f"`known` must hold 1 to {size - 1} of the {size} columns, each once, got "
            f"{list(known)!r}."
        )
    values = [np.asarray(value, np.float64) for value in known.values()]
    lengths = {value.shape for value in values if value.ndim}
    if len(lengths) > 1 or any(value.ndim > 1 or not value.size for value in values):
        shapes = {column: list(v.shape) for column, v in zip(known, values, strict=True)}
        raise ValueError(f"`known` must hold numbers, or N numbers each, got shapes {shapes}.")
    for column, value in zip(known, values, strict=True):
        if not np.isfinite(value).all():
            raise ValueError(f"`known` must hold finite numbers, column {column!r} does not.")
    x = np.full([*(lengths.pop() if lengths else [1]), size], np.nan)
    for number, value in zip(columns, values, strict=True):
        x[:, number] = value
    return x, columns, any(value.ndim for value in values)


def column_number(
    argument: str, column: int | str, names: Sequence[int | str] | None, size: int
) -> int:
    """The number of a column, which is given by its name or number.

    Args:
      argument: what it is an argument of, for errors.
      column: the name or number.
      names: of all columns, or `None`.
      size: number of columns.

    Raises:
      ValueError: if there is no such column.

    #### Examples

    >>> column_number("known", "b", ("a", "b"), 2)
    1
    """
    if names is not None and column in names:
        return names.index(column)
    is_number = isinstance(column, numbers.Integral) and not isinstance(column, bool)
    if is_number and 0 <= column < size:
        return int(column)
    has = f"the names {shown_names(names)}" if names else f"the numbers 0 to {size - 1}"
    hint = did_you_mean(column, names or ())
    raise ValueError(
        f"`{argument}` must name columns that the flow has, {has}, got {column!r}.{hint}"
    )
