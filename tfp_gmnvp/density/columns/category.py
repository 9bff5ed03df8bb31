"""Columns of categories: text, bools, and numbers that are mere codes."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_gmnvp._shared.arguments import as_tuple, check_choice, check_number
from tfp_gmnvp._shared.tables import shown_names
from tfp_gmnvp.density.columns.base import NEAREST, ColumnKind

__all__ = ["Category"]

_ORDERS = ("auto", "columns", "frequency", "value", "given")
_SMALLEST = 1e-300
_MOST_OF_ROWS = 0.5
_SEPARATE = 5.0


@dataclasses.dataclass(frozen=True)
class Category(ColumnKind):
    """One of C values. Each has an interval of the real line as its cell.

    The cells follow one another, and that of category c has its frequency under the standard
    normal, with the distribution function Phi:

        z = Phi^-1(p_1 + ... + p_(c-1) + u p_c),    dz/du = p_c / phi(z)

    So z is standard normal over the whole table, and a model in which z is independent of the other
    columns gives each category exactly its frequency. The cells cover the line: no probability is
    lost. Where categories differ much in the other columns, each takes a component of its own, and
    u is drawn nearer to the middle of its cell, so that the component can stay within it. The
    probability of a cell is the integral over all of it either way.

    Args:
      categories: the values, text, bools or numbers; `None` for those in the table. Those that are
        not in the table get half an observation, and all others half of one more.
      order: of the cells. 'columns': by the other columns, along the direction in which the
        categories' means differ most. 'frequency': the most frequent first. 'value': ascending.
        'given': as in `categories`. 'auto': by value for numbers, by the other columns if there
        are some, else by frequency.
      probs: the frequencies, in the order of `categories`; `None` to count them.
      concentration: u is drawn from Beta(c, c); 1 is uniform. `None` for 5 if the categories
        explain at least half of the other columns' variance along the direction in which their
        means differ most, and else 1.

    #### Examples

    >>> kind = Category(("a", "b"), probs=(0.5, 0.5))
    >>> z, _ = kind.place(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    >>> z.round(3).tolist(), kind.values_of(kind.numbers_of(z)).tolist()
    ([-0.674, 0.674], ['a', 'b'])
    """

    categories: tuple | None = None
    order: str = "auto"
    probs: tuple[float, ...] | None = None
    concentration: float | None = None

    kind = "category"
    is_discrete = True

    def __post_init__(self):
        check_choice("order", self.order, _ORDERS)
        if self.categories is not None:
            categories = as_tuple("categories", self.categories, "values")
            if not categories or len(set(categories)) < len(categories):
                raise ValueError(
                    f"`categories` must hold different values, got {list(categories)!r}."
                )
            object.__setattr__(self, "categories", categories)
        elif self.order == "given":
            raise ValueError("`order` 'given' takes `categories`, got none.")
        if self.concentration is not None:
            check_number("concentration", self.concentration, lambda c: c > 0, "be above zero")
        if self.probs is not None:
            object.__setattr__(self, "probs", as_tuple("probs", self.probs, "numbers"))

    def fitted(self, column, others=None):
        if self.probs is not None:
            return self
        known = column.counts
        values = column.values[known]
        found = self.categories or _distinct(values)
        if self.categories is None and len(found) > max(2, _MOST_OF_ROWS * len(values)):
            raise ValueError(
                f"column {column.name!r} must have few categories, got {len(found)} in "
                f"{len(values)} rows: leave it out, or declare another kind."
            )
        kind = dataclasses.replace(self, categories=found)
        codes = kind.numbers(column.only(known))
        counts = np.bincount(codes[known].astype(int), column.weight[known], len(found))
        counts = counts if np.all(counts > 0) else counts + 0.5
        probs = counts / counts.sum()
        scores, explained = None, 0.0
        if others is not None and others.shape[1]:
            some = codes[known].astype(int), column.weight[known], others[known]
            scores, explained = _along_columns(*some, len(probs))
        order = np.asarray(kind._ordered(probs, scores))
        concentration = _SEPARATE if explained >= 0.5 else 1.0
        return dataclasses.replace(
            kind,
            categories=tuple(found[i] for i in order),
            probs=tuple(probs[order].tolist()),
            concentration=self.concentration or concentration,
        )

    def _ordered(self, probs, scores):
        order = self.order
        if order == "auto":
            is_numeric = not isinstance(self.categories[0], str)
            order = "value" if is_numeric else "columns"
        if order == "value":
            return sorted(range(len(probs)), key=lambda i: self.categories[i])
        if order == "columns" and scores is not None and len(probs) > 2:
            return np.argsort(scores, kind="stable")
        return range(len(probs)) if order == "given" else np.argsort(-probs, kind="stable")

    def noise(self, rng, size):
        concentration = self.concentration or 1.0
        return np.clip(rng.beta(concentration, concentration, size=size), NEAREST, 1 - NEAREST)

    def is_possible(self, column):
        known = set(self.categories)
        missing = column.is_missing
        return missing | np.array([value in known for value in column.values], bool)

    def numbers(self, column):
        if self.categories is None:
            raise ValueError(f"column {column.name!r} must be fitted before it is encoded.")
        positions = {value: i for i, value in enumerate(self.categories)}
        missing = column.is_missing
        codes = np.full(len(missing), np.nan)
        unknown = []
        for row in np.flatnonzero(~missing):
            position = positions.get(column.values[row])
            if position is None:
                unknown.append(row)
            else:
                codes[row] = position
        if unknown:
            raise ValueError(
                f"column {column.name!r} must hold known categories, "
                f"{shown_names(self.categories)}, and {len(unknown)} of its {len(codes)} entries "
                f"do not, the first of them {column.shown(unknown[0])}: list all that are "
                "possible, `Category([...])`, when the table is fitted."
            )
        return codes

    def place(self, x, u):
        code = np.asarray(x).astype(int)
        probs = np.asarray(self.probs)
        below = np.cumsum(probs) - probs
        above = np.cumsum(probs[::-1])[::-1] - probs
        probability = probs[code]
        lower = np.maximum(below[code] + u * probability, _SMALLEST)
        upper = np.maximum(above[code] + (1 - u) * probability, _SMALLEST)
        z = np.where(lower < 0.5, 1.0, -1.0) * _ndtri(np.minimum(lower, upper))
        return z, np.log(probability) + 0.5 * (np.square(z) + np.log(2 * np.pi))

    def numbers_of(self, z):
        edges = np.cumsum(self.probs)[:-1]
        return np.searchsorted(_ndtri(edges), z, side="right").astype(np.float64)

    def numbers_between(self, low, high):
        return np.arange(len(self.categories), dtype=np.float64)

    def values_of(self, x):
        values = np.empty(len(x), object)
        for row, code in enumerate(x):
            values[row] = None if np.isnan(code) else self.categories[int(code)]
        return values

    @property
    def description(self):
        if self.categories is None:
            return "category"
        many = "" if len(self.categories) == 1 else f" of {len(self.categories)}"
        return f"category{many}: {shown_names(self.categories)}"


def _distinct(values) -> tuple:
    """The different values, ascending within numbers, bools or text."""
    return tuple(sorted(set(values.tolist()), key=lambda value: (isinstance(value, str), value)))


def _along_columns(codes, weight, others, num_categories) -> tuple[np.ndarray, float]:
    """Scores of categories along the first principal direction of their means.

    Returns:
      The scores, and the share of the variance in that direction that the categories explain.
    """
    centered = _standardized(others, weight)
    size = np.bincount(codes, weight, num_categories)
    sums = np.stack([np.bincount(codes, weight * c, num_categories) for c in centered.T], axis=1)
    means = sums / np.where(size > 0, size, 1.0)[:, np.newaxis]
    direction = np.linalg.svd(np.sqrt(size)[:, np.newaxis] * means, full_matrices=False)[2][0]
    direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
    scores = means @ direction
    total = weight @ np.square(centered @ direction)
    return scores, float(size @ np.square(scores) / total) if total > 0 else 0.0


def _standardized(others, weight) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1; missing entries are 0."""
    present = ~np.isnan(others)
    filled = np.where(present, others, 0.0)
    total = np.maximum(weight @ present, np.finfo(np.float64).tiny)
    centered = np.where(present, others - weight @ filled / total, 0.0)
    std = np.sqrt(weight @ np.square(centered) / total)
    return centered / np.where(std > 0, std, 1.0)


def _ndtri(probability) -> np.ndarray:
    return tf.math.ndtri(tf.constant(probability, tf.float64)).numpy()
