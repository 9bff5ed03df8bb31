"""Questions to the density of a table with columns of all kinds, in the table's own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import as_tuple, check_whole_number
from tfp_gmnvp.density import conditional_density
from tfp_gmnvp.density.averaged_density import AveragedDensity
from tfp_gmnvp.density.columns import ColumnKinds
from tfp_gmnvp.density.condition_blocks import ConditionBlocks
from tfp_gmnvp.density.encoded_density import EncodedDensity
from tfp_gmnvp.density.known_cells import encoded_points, known_table, own_number
from tfp_gmnvp.density.missing.rows import warn_if_poor
from tfp_gmnvp.density.missing.standardized import StandardizedFlow
from tfp_gmnvp.density.table_density import TableDensity

__all__ = ["given", "marginal"]

tfd = tfp.distributions

#: Points within a known cell of one discrete column, and of several.
_POINTS_IF_EXACT, _POINTS_OF_FLOW = (16, 64), (8, 36)
_FEWEST_SAMPLES = 50
_CONDITIONS_AT_ONCE = 2048


def given(
    flow: tfd.TransformedDistribution,
    kinds: ColumnKinds | None,
    known: Mapping,
    *,
    num_samples: int,
    seed: int,
) -> TableDensity | EncodedDensity:
    """The density of all other columns given the values of some; see `FlowMixture.given`.

    A known discrete value is a cell, so its condition is an average over points of the cell,
    weighted by the density of each:

        p(x_u | x_o) = int g(z_o(u)) p(x_u | z_o(u)) dz/du du / int g(z_o(u)) dz/du du

    Args:
      flow: the density of encoded columns.
      kinds: of the columns, or `None` where all are real.
      known: values in the table's units, by the column's name or number.
      num_samples: see `conditional_density.given`.
      seed: integer seed.

    Raises:
      ValueError: if a value has no density under the flow.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> kinds = ColumnKinds.of_table([["a", 1.0], ["b", 2.0], ["b", 4.0]], {1: "positive"})
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> density = given(flow, kinds, {0: "a"}, num_samples=2, seed=0)
    >>> density
    EncodedDensity(columns=(1,), given column 0 = a, exact)
    >>> density.quantile(0.5).round(6).tolist()
    [1.0]
    """
    if kinds is None:
        return conditional_density.given(flow, known, num_samples=num_samples, seed=seed)
    check_whole_number("num_samples", num_samples, 2)
    parts = StandardizedFlow(flow)
    x, columns, is_batch = known_table(known, kinds)
    num_discrete = len(kinds.only(columns).discrete_columns)
    num_points = (_POINTS_OF_FLOW if parts.mixture is None else _POINTS_IF_EXACT)[num_discrete > 1]
    z, log_weight = encoded_points(kinds.only(columns).kinds, x, num_points)
    num_members = log_weight.shape[1]
    of_each = max(_FEWEST_SAMPLES, -(-num_samples // num_members))
    settings = {"num_samples": num_samples if num_members == 1 else of_each, "seed": seed}
    size = max(1, _CONDITIONS_AT_ONCE // num_members)
    density = ConditionBlocks(
        [
            _averaged(parts, columns, z[start : start + size], log_weight, start, settings)
            for start in range(0, len(x), size)
        ]
    )
    if density.way == "by samples":
        warn_if_poor(density.effective_sample_size, "num_samples", num_samples)
    others = [j for j in range(parts.size) if j not in columns]
    labels = _labels(kinds.only(columns), x)
    return EncodedDensity(density, kinds.only(others), is_batch=is_batch, labels=labels)


def marginal(
    flow: tfd.TransformedDistribution,
    kinds: ColumnKinds | None,
    columns: Sequence[int | str],
    *,
    num_samples: int,
    seed: int,
) -> TableDensity | EncodedDensity:
    """The density of some columns alone; see `FlowMixture.marginal`.

    Args:
      flow: the density of encoded columns.
      kinds: of the columns, or `None` where all are real.
      columns: names or numbers of columns.
      num_samples: see `conditional_density.marginal`.
      seed: integer seed.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> kinds = ColumnKinds.of_table([["a", 1.0], ["b", 2.0], ["b", 4.0]], {1: "positive"})
    >>> flow = standardized_mixture(2, standardize=[[-1.0] * 2, [1.0] * 2], seed=0)
    >>> density = marginal(flow, kinds, [0], num_samples=2, seed=0)
    >>> {value: round(p, 4) for value, p in density.probabilities().items()}
    {'b': 0.6667, 'a': 0.3333}
    """
    settings = {"num_samples": num_samples, "seed": seed}
    if kinds is None:
        return conditional_density.marginal(flow, columns, **settings)
    wanted = as_tuple("columns", columns, "names or numbers of columns")
    numbers = [own_number("columns", column, kinds) for column in wanted]
    names = conditional_density.known_columns(flow).points
    of_flow = [names[j] if names else j for j in numbers]
    density = conditional_density.marginal(flow, of_flow, **settings)
    density = ConditionBlocks([AveragedDensity(density, np.ones([1, 1]))])
    return EncodedDensity(density, kinds.only(numbers), is_batch=False)


def _averaged(parts, columns, z, log_weight, start, settings) -> AveragedDensity:
    """The density of a block of conditions, by their points z `[n, M, k]`."""
    rows = np.full([z.shape[0] * z.shape[1], parts.size], np.nan)
    rows[:, columns] = z.reshape(len(rows), -1)
    density, log_evidence = conditional_density.given_rows(parts, rows, columns, **settings)
    log_weight = log_weight[start : start + len(z)] + log_evidence.reshape(z.shape[:2])
    return AveragedDensity(density, _normalized(log_weight, start))


def _normalized(log_weight, start) -> np.ndarray:
    highest = log_weight.max(axis=1, keepdims=True)
    impossible = np.flatnonzero(~np.isfinite(highest[:, 0]))
    if len(impossible):
        raise ValueError(
            f"`known` must hold values that have a density, and those of condition "
            f"{start + impossible[0]} have none: they are too far from all rows of training."
        )
    weight = np.exp(log_weight - highest)
    return weight / weight.sum(axis=1, keepdims=True)


def _labels(kinds, x) -> list[str]:
    """Conditions in words, the first ten of them."""
    found = []
    for row in x[:10]:
        words = []
        for name, kind, number in zip(kinds.names, kinds.kinds, row, strict=True):
            (value,) = kind.values_of(np.array([number]))
            shown = value if isinstance(value, str | bool) else f"{value:.6g}"
            words.append(f"{name if isinstance(name, str) else f'column {name}'} = {shown}")
        found.append(", ".join(words[:3]) + (", ..." if len(words) > 3 else ""))
    return found
