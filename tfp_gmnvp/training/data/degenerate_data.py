"""Data whose density has no upper bound: constant, discrete, dependent columns, repeated rows."""

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
    "examined_already",
    "examined_as_read",
    "warn_if_degenerate",
    "warn_of",
]

_PACKAGE = str(pathlib.Path(__file__).parents[2])
_MOST_ROWS, _MOST_ENTRIES = 10_000, 2**21
_EXAMINED = contextvars.ContextVar("examined", default=False)


class DegenerateDataWarning(UserWarning):
    """Data has no density: a column is constant, discrete, or a function of others, or rows repeat.

    The likelihood of such data has no upper bound. What is reported of it rests on the floor that
    the covariances are kept above.

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
    """Warns, in one sentence for each thing that is wrong, of data that has no density.

    Of many rows 10,000 are looked at, drawn by a seed.

    Args:
      x: points `[N, D]`, an array, memory map or tensor, or images `[N, H, W, C]`, of which only
        what is true of each entry is looked at; anything else is passed over.
      names: of the columns; `None` for their numbers.
      sample_weight: weights `[N]`, or `None`; rows of weight zero do not count.
      event_size: how many of the columns are the point's, the others being a context's; `None` for
        all.
      num_rows: of how many rows `x` is a sample; `None` if these are all.

    Returns:
      Whether there was something to warn of. Within `examined_already` nothing is looked at.

    #### Examples

    >>> x = np.random.default_rng(0).normal(size=[50, 2])
    >>> warn_if_degenerate(x)
    False
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = warn_if_degenerate(np.insert(x, 1, 7.0, axis=1))
    >>> print(str(caught[0].message).split(":")[0])
    `x` has no density as it is
    """
    if _EXAMINED.get() or getattr(x, "ndim", 0) not in (2, 4) or not len(x):
        return False
    rows = _some_rows(x, sample_weight)
    if not len(rows):  # of a weight above zero
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
    """Warns by `DegenerateDataWarning`, at the line of the user's that called this package."""
    frame, stacklevel = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, DegenerateDataWarning, stacklevel=stacklevel)


@contextlib.contextmanager
def examined_already() -> Iterator[None]:
    """Has the same data be looked at once, where one function calls another.

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


def examined_as_read(batches: Callable, event_size: int) -> Callable:
    """Batches as they are; `warn_if_degenerate` sees the first rows once they were read.

    Args:
      batches: what `rereading.training_batches` returned.
      event_size: D.

    Returns:
      The like.

    #### Examples

    >>> from tfp_gmnvp.training.data import rereading
    >>> batches = examined_as_read(rereading.training_batches(np.eye(3)), 3)
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
    """All rows, or some that a seed draws, in their order, as a memory map is best read."""
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
            "add uniform noise as wide as the steps to rounded columns, and model categories as a "
            "context (`context_size`) or one by one"
        )
    if findings.repeated:
        value, share = next(iter(findings.repeated.values()))
        sentences.append(
            f"{_list(findings.repeated, names)} at a single value in many rows ({value:.6g} in "
            f"{share:.0%})"
        )
        advice.append("model rows at the single value apart from the others")
    for column, others in findings.dependent.items():
        if len(sentences) < 8:
            of = _list(others, names).rsplit(" ", 1)[0]
            sentences.append(f"{_list([column], names)} all but a linear function of {of}")
    if findings.dependent:
        advice.append("leave out columns that follow from others")
    if findings.copies:
        sentences.append(f"{findings.copies:,} rows are copies of others")
        advice.append("keep one of each, for `FlowModel.fit` with their number as `sample_weight`")
    advice = "; ".join(advice)
    return (
        f"`x` has no density as it is: {'; '.join(sentences)}{among}. Log-densities and criteria "
        "rest on the floor of the covariances then, and mean little. "
        f"{advice[0].upper()}{advice[1:]}."
    )


def _list(columns, names) -> str:
    """Some columns by name, with their verb: 'columns 1 and 2 are'."""
    shown = [j if names is None else names[j] for j in columns]
    shown = [repr(name) if isinstance(name, str) else str(name) for name in shown]
    if len(shown) > 8:
        shown = [*shown[:7], f"{len(shown) - 7} more"]
    if len(shown) == 1:
        return f"column {shown[0]} is"
    return f"columns {', '.join(shown[:-1])} and {shown[-1]} are"
