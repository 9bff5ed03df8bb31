"""Training curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tfp_gmnvp.plotting.axes import BESIDE, LEGEND_STYLE, current_axes
from tfp_gmnvp.plotting.colours import INK, component_colours

__all__ = ["plot_history"]

#: The result of `fit`, its `history`, or the result of `fit_density`, which has a `history`.
History = Mapping[str, Sequence[float]] | Any


def plot_history(
    histories: History | Mapping[str, History],
    *,
    ax: Axes | None = None,
    entropy: float | None = None,
) -> Axes:
    """Plots negative log-likelihood by epoch: training solid, validation dashed.

    Args:
      histories: one Keras history, or several by label. A history is what `fit` returned, or its
        dict `history`, with `loss` and, if there was validation, `val_loss`, in nats, one value an
        epoch.
      ax: axes to draw in; the current ones of pyplot if None.
      entropy: entropy of the data in nats, below which no expected loss can be; a line if given.

    Returns:
      The axes.

    Raises:
      ValueError: if there is no history, or one has no `loss`.

    >>> from matplotlib import pyplot
    >>> ax = plot_history({"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]}, entropy=1.5)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training', 'validation', 'entropy of the data']
    >>> pyplot.close()
    """
    by_label = _by_label(histories)
    ax = ax or current_axes((6.0, 3.6))
    colours = component_colours(len(by_label))
    for (label, history), colour in zip(by_label.items(), colours, strict=True):
        for key, linestyle in (("loss", "-"), ("val_loss", "--")):
            if key in history:
                losses = np.asarray(history[key], dtype=float)
                epochs = np.arange(1, len(losses) + 1)
                line = f"{label} {key}".strip()
                marker = "o" if len(losses) == 1 else ""
                ax.plot(epochs, losses, linestyle, marker=marker, color=colour, label=line)
    if entropy is not None:
        ax.axhline(entropy, color=INK, linestyle=":", linewidth=1.2, label="entropy")
    _keep_spikes_from_the_view(ax)
    ax.set_xlabel("epoch")
    ax.set_ylabel("negative log-likelihood (nats)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(handles=_handles(by_label, colours, entropy), **LEGEND_STYLE, **BESIDE)
    return ax


def _keep_spikes_from_the_view(ax: Axes) -> None:
    """Cuts the view above almost all values, and annotates the number of outliers."""
    curves = [line.get_ydata() for line in ax.get_lines() if len(line.get_ydata()) > 2]
    values = np.concatenate([np.zeros(0), *curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, most = values.min(), np.quantile(values, 0.97)
    top = most + 0.5 * (most - low)
    beyond = int((values > top).sum())
    if beyond and values.max() > low + 3 * (top - low):
        ax.set_ylim(low - 0.05 * (top - low), top)
        note = f"{beyond} value{'s' if beyond > 1 else ''} up to {values.max():.3g} beyond the view"
        ax.annotate(note, (0.99, 0.98), xycoords="axes fraction", ha="right", va="top", fontsize=8)


def _losses(history):
    """Returns the dict of a Keras `History`, or of the history that a model holds."""
    while not isinstance(history, Mapping) and hasattr(history, "history"):
        history = history.history
    return history


def _by_label(histories) -> dict[str, Mapping[str, Sequence[float]]]:
    """Returns dicts of losses by label; the label of a single history is empty."""
    is_mapping = isinstance(histories, Mapping)
    is_one = "loss" in histories if is_mapping else hasattr(histories, "history")
    if not is_mapping and not is_one:
        raise TypeError(
            "`histories` must be what `fit` returned, its `history`, or a dict of several by "
            f"label, got {type(histories).__name__}."
        )
    by_label = {"": histories} if is_one else histories
    if not by_label:
        raise ValueError("`histories` must hold at least one history, got none.")
    by_label = {label: _losses(history) for label, history in by_label.items()}
    for label, history in by_label.items():
        if not isinstance(history, Mapping) or "loss" not in history:
            keys = list(history) if isinstance(history, Mapping) else type(history).__name__
            name = f"histories[{label!r}]" if label else "histories"
            raise ValueError(f"`{name}` must be a history with 'loss', got {keys}.")
    return by_label


def _handles(by_label, colours, entropy) -> list[Line2D]:
    """Draws a legend with a colour per label and a line style per kind of loss."""
    single = "" in by_label
    styled = colours[0] if single else INK
    handles = (
        []
        if single
        else [
            Line2D([], [], color=colour, linewidth=2.5, label=label)
            for label, colour in zip(by_label, colours, strict=True)
        ]
    )
    handles.append(Line2D([], [], color=styled, linestyle="-", label="training"))
    if any("val_loss" in history for history in by_label.values()):
        handles.append(Line2D([], [], color=styled, linestyle="--", label="validation"))
    if entropy is not None:
        handles.append(Line2D([], [], color=INK, linestyle=":", label="entropy of the data"))
    return handles
