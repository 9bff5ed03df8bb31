"""Warns of data without a density: constant, discrete or dependent columns, repeated rows."""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfp_gmnvp._shared.row_samples import row_numbers
from tfp_gmnvp.training.data.degenerate_columns import Findings, examine

__all__ = [
    "DegenerateDataWarning",
    "examine_while_reading",
    "examined_already",
    "warn_if_degenerate",
    "warn_of",
]

_PACKAGE = str(pathlib.Path(__file__).parents[2])
_MOST_ROWS, _MOST_ENTRIES = 10_000, 2**21
_EXAMINED = contextvars.ContextVar("examined", default=False)


class DegenerateDataWarning(UserWarning):
    """Data has no density: a column is constant, discrete, or a function of others, or rows repeat.

    The likelihood of such data has no upper bound. Reported values depend on the lower bound of the
    covariances.

    #### Examples

    >>> issubclass(DegenerateDataWarning, UserWarning)
    True
    """


def warn_if_degenerate(
    x,
    *,
    names: Sequence | None = None,
    sample_weight=None,
    event_size: int | None = None,
    num_rows: int | None = None,
) -> bool:
    """Warns if data has no density, and says why.

    It examines at most 10,000 rows, drawn with a fixed seed.

    Args:
      x: points `[N, D]`, an array, memory map or tensor, or images `[N, H, W, C]`, whose entries
        are examined one by one. Anything else is ignored.
      names: names of the columns; `None` for their numbers.
      sample_weight: weights `[N]`, or `None`; rows of weight zero are ignored.
      event_size: number of columns that belong to the point; the others are its context. `None`
        for all.
      num_rows: the number of rows from which `x` was sampled; `None` if `x` holds all of them.

    Returns:
      Whether it warned. Within `examined_already` it examines nothing.

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[50, 2])
    >>> warn_if_degenerate(x)
    False
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = warn_if_degenerate(np.insert(x, 1, 7.0, axis=1))
    >>> print(str(caught[0].message).split(":")[0])
    `x` has no density
    """
    if _EXAMINED.get() or getattr(x, "ndim", 0) not in (2, 4) or not len(x):
        return False
    rows = _some_rows(x, sample_weight)
    if not len(rows):  # all weights are zero
        return False
    names = _names_of_images(x.shape[1:]) if x.ndim == 4 else names
    rows = rows.reshape(len(rows), -1)[:, :event_size]
    findings = examine(rows, relations=x.ndim == 2)
    if findings:
        num_rows = len(x) if num_rows is None else num_rows
        among = "" if len(rows) == num_rows else f", in {len(rows):,} of {num_rows:,} rows"
        warn_of(_message(findings, names, among))
    return bool(findings)


def warn_of(message: str) -> None:
    """Issues a `DegenerateDataWarning` at the user's line that called this package."""
    frame, stacklevel = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, DegenerateDataWarning, stacklevel=stacklevel)


@contextlib.contextmanager
def examined_already() -> Iterator[None]:
    """Turns `warn_if_degenerate` off, for a function whose caller has examined the data.

    #### Examples

    >>> with examined_already():
    ...     warn_if_degenerate(np.zeros([50, 2]))
    False
    """
    token = _EXAMINED.set(True)
    try:
        yield
    finally:
        _EXAMINED.reset(token)


def examine_while_reading(batches: Callable, event_size: int) -> Callable:
    """Calls `warn_if_degenerate` on the first rows of batches, after all batches were read.

    Args:
      batches: what `rereading.training_batches` returned.
      event_size: D.

    Returns:
      A function that reads the same batches.

    #### Examples

    >>> from tfp_gmnvp.training.data import rereading
    >>> batches = examine_while_reading(rereading.training_batches(np.eye(3)), 3)
    >>> [len(x) for x, _, _ in batches()]
    [3]
    """

    def read():
        seen, weights, count = [], [], 0
        for batch in batches():
            if count < _MOST_ROWS:
                x, _, weight = batch
                seen.append(np.asarray(x)[: _MOST_ROWS - count])
                weights.append(np.ones(len(x)) if weight is None else np.asarray(weight))
                weights[-1] = weights[-1][: _MOST_ROWS - count]
                count += len(x)
            yield batch
        if seen:
            weights = np.concatenate(weights)
            warn_if_degenerate(np.concatenate(seen), sample_weight=weights, event_size=event_size)

    return read


def _some_rows(x, sample_weight):
    """All rows, or a random sample in the order of the rows, which suits memory maps."""
    entries = int(np.prod(x.shape[1:])) or 1
    most = min(_MOST_ROWS, max(1000, _MOST_ENTRIES // entries))
    if sample_weight is not None and not np.any(sample_weight):
        return np.asarray(x[:0])
    chosen = row_numbers(len(x), size=most, seed=0, sample_weight=sample_weight)
    x = x if isinstance(x, np.ndarray) else np.asarray(x)
    return np.array(x if len(chosen) == len(x) else x[chosen])


def _names_of_images(shape):
    return [list(map(int, index)) for index in np.ndindex(*shape)]


def _message(findings: Findings, names, among) -> str:
    sentences, advice = [], []
    if findings.constant:
        sentences.append(f"{_list(findings.constant, names)} constant")
        advice.append("leave constant columns out")
    if findings.discrete:
        values = max(findings.discrete.values())
        sentences.append(
            f"{_list(findings.discrete, names)} discrete, with at most {values} distinct values"
        )
    if findings.rounded:
        steps = sorted({f"{step:.3g}" for step in findings.rounded.values()}, key=float)
        sentences.append(
            f"{_list(findings.rounded, names)} rounded, to steps of {', '.join(steps[:4])}"
            + ("" if len(steps) <= 4 else ", ...")
        )
    if findings.discrete or findings.rounded:
        advice.append(
            "`FlowMixture` models whole and rounded numbers and categories by their probabilities; "
            "elsewhere, add uniform noise as wide as the steps to rounded columns, and model "
            "categories as a context (`context_size`) or one by one"
        )
    if findings.repeated:
        value, share = next(iter(findings.repeated.values()))
        sentences.append(
            f"{_list(findings.repeated, names)} at a single value in many rows ({value:.6g} in "
            f"{share:.0%})"
        )
        advice.append("model the rows at the single value separately")
    for column, others in findings.dependent.items():
        if len(sentences) < 8:
            of = _list(others, names).rsplit(" ", 1)[0]
            sentences.append(f"{_list([column], names)} almost a linear function of {of}")
    if findings.dependent:
        advice.append("leave out columns that are functions of others")
    if findings.copies:
        sentences.append(f"{findings.copies:,} rows are copies of others")
        advice.append(
            "keep one of each, and give their number to `FlowModel.fit` as `sample_weight`"
        )
    advice = "; ".join(advice)
    return (
        f"`x` has no density: {'; '.join(sentences)}{among}. Log-densities and criteria then "
        "depend on the lower bound of the covariances, and mean little. "
        f"{advice[0].upper()}{advice[1:]}."
    )


def _list(columns, names) -> str:
    """Lists columns by name, with a verb: 'columns 1 and 2 are'."""
    shown = [j if names is None else names[j] for j in columns]
    shown = [repr(name) if isinstance(name, str) else str(name) for name in shown]
    if len(shown) > 8:
        shown = [*shown[:7], f"{len(shown) - 7} more"]
    if len(shown) == 1:
        return f"column {shown[0]} is"
    return f"columns {', '.join(shown[:-1])} and {shown[-1]} are"
