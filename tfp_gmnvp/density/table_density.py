"""A density of some of a table's columns, in the table's units."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfp_gmnvp._shared.arguments import check_whole_number
from tfp_gmnvp.density.conditionals import ByMixture, ByQuadrature, BySamples
from tfp_gmnvp.density.missing.standardized import StandardizedFlow

__all__ = ["TableDensity"]

_MOST_CURVES = 10


class TableDensity:
    """The density of d columns, for one condition or a batch of N.

    `given` and `marginal` make it. Shapes have `[N]` in front of `[d]` for a batch alone.

    Attributes:
      columns: names of the columns, or their numbers where there are no names.
      effective_sample_size: number of independent samples that each condition rests on, `[N]` or a
        number; `None` where nothing was sampled.

    #### Examples

    >>> from tfp_gmnvp.density.conditional_density import given
    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, -1.0], [4.0, 1.0]], seed=0)
    >>> density = given(flow, {0: 1.0})
    >>> density
    TableDensity(columns=(1,), exact)
    >>> round(density.log_prob([0.0]).item(), 4), density.cdf([0.0]).round(4).tolist()
    (-0.9189, [0.5])
    """

    def __init__(
        self,
        parts: StandardizedFlow,
        numbers: Sequence[int],
        density: ByMixture | ByQuadrature | BySamples,
        *,
        names: Sequence[int | str] | None,
        is_batch: bool,
        labels: Sequence[str] = (),
    ):
        """Keeps what it is given.

        Args:
          parts: of the flow.
          numbers: of the columns.
          density: of the standardised columns.
          names: of all columns of the flow, or `None`.
          is_batch: whether there is a batch of conditions.
          labels: of the first conditions, for plots.
        """
        self._parts, self._numbers, self._density = parts, list(numbers), density
        self._is_batch, self._labels = is_batch, tuple(labels)
        self.columns = tuple(names[d] if names else d for d in numbers)

    def __repr__(self):
        return f"TableDensity(columns={self.columns!r}, {self.way})"

    @property
    def way(self) -> str:
        """How it is computed: 'exact', 'by quadrature' or 'by samples'."""
        ways = {ByMixture: "exact", ByQuadrature: "by quadrature", BySamples: "by samples"}
        return ways[type(self._density)]

    @property
    def num_conditions(self) -> int:
        """N; 1 if there is no batch."""
        return self._density.num_conditions

    @property
    def effective_sample_size(self) -> np.ndarray | float | None:
        """Number of independent samples that each condition rests on."""
        sizes = self._density.effective_sample_size
        return sizes if sizes is None or self._is_batch else float(sizes[0])

    def sample(self, num_samples: int, *, seed: int) -> np.ndarray:
        """Draws, `[num_samples, N, d]` or `[num_samples, d]`.

        Args:
          num_samples: for each condition.
          seed: integer seed.
        """
        check_whole_number("num_samples", num_samples)
        return self._shaped(self._from_latent(self._density.sample(num_samples, seed)))

    def log_prob(self, x) -> np.ndarray:
        """The log-density in nats.

        Args:
          x: points `[..., N, d]`, or `[..., d]` if there is no batch.

        Returns:
          An array `[..., N]`, or `[...]`.
        """
        x, shape = self._checked(x)
        wide = self._embedded(x)
        log_prob = self._density.log_prob(self._to_latent(x))
        slopes = self._parts.log_slopes(wide)[:, self._numbers].sum(axis=1)
        return (log_prob + slopes.reshape(log_prob.shape)).reshape(shape[:-1])

    def cdf(self, x) -> np.ndarray:
        """The distribution function of each column alone; the shape is that of x, as above."""
        x, shape = self._checked(x)
        return self._density.cdf(self._to_latent(x)).reshape(shape)

    def quantile(self, probability) -> np.ndarray:
        """Quantiles of each column alone.

        Args:
          probability: a number in (0, 1), or `[Q]` of them.

        Returns:
          An array `[Q, N, d]`, without Q for a number, and without N if there is no batch.

        Raises:
          ValueError: if one is not in (0, 1).
        """
        of_all = np.atleast_1d(np.asarray(probability, np.float64))
        if of_all.ndim != 1 or not ((of_all > 0) & (of_all < 1)).all():
            raise ValueError(f"`probability` must hold numbers in (0, 1), got {probability!r}.")
        found = self._shaped(self._from_latent(self._density.quantile(of_all)))
        return found if np.ndim(probability) else found[0]

    def mean(self) -> np.ndarray:
        """The mean, `[N, d]` or `[d]`; by quadrature or samples where it has no closed form."""
        return self.expectation(lambda x: x)

    def expectation(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """E[f(x_j)] of each column alone, `[N, d]` or `[d]`; exact as `mean` is, for smooth f.

        Args:
          function: f, takes points `[P, N, d]`, and returns as many numbers.
        """
        y, weight = self._density.nodes()
        found = np.einsum("pnd,pn->nd", function(self._from_latent(y)), weight)
        return found if self._is_batch else found[0]

    def plot(self, ax=None):
        """Draws the density of one column, a curve for each condition, or of two as an image.

        Args:
          ax: axes of matplotlib; the current ones if `None`.

        Returns:
          The axes.

        Raises:
          ValueError: if there are more than two columns, or two and a batch of conditions.
        """
        from matplotlib import pyplot

        size = len(self._numbers)
        if size > 2 or (size == 2 and self._is_batch):
            raise ValueError(
                f"`plot` draws one column, or two of one condition, got {size} columns"
                f"{' of a batch' if self._is_batch else ''}."
            )
        ax = pyplot.gca() if ax is None else ax
        edges = self._density_range()
        (self._draw_curves if size == 1 else self._draw_image)(ax, edges)
        return ax

    def _density_range(self):
        """Lowest and highest quantiles `[2, d]` over all conditions, with a margin."""
        low, high = self._from_latent(self._density.quantile(np.array([0.001, 0.999])))
        low, high = low.min(axis=0), high.max(axis=0)
        return np.stack([low - 0.1 * (high - low), high + 0.1 * (high - low)])

    def _draw_curves(self, ax, edges):
        from matplotlib import colormaps

        x = np.linspace(edges[0, 0], edges[1, 0], 300)
        points = np.tile(x[:, np.newaxis, np.newaxis], [1, self.num_conditions, 1])
        curves = np.exp(self.log_prob(points if self._is_batch else points[:, 0]))
        curves = curves.reshape(len(x), -1)[:, :_MOST_CURVES].T
        colours = colormaps["viridis"](np.linspace(0.0, 0.85, len(curves)))
        labels = self._labels[:_MOST_CURVES] or len(curves) * [None]
        for curve, colour, label in zip(curves, colours, labels, strict=True):
            ax.plot(x, curve, color=colour, label=label)
        if self._labels:
            ax.legend()
        ax.set_xlabel(_label(self.columns[0]))
        ax.set_ylabel("density")
        ax.set_ylim(bottom=0.0)

    def _draw_image(self, ax, edges):
        axes = [np.linspace(*edges[:, d], 120) for d in range(2)]
        grid = np.stack(np.meshgrid(*axes), axis=-1)
        density = np.exp(self.log_prob(grid.reshape(-1, 2))).reshape(grid.shape[:2])
        mesh = ax.pcolormesh(*axes, density, cmap="viridis", vmin=0.0, rasterized=True)
        ax.figure.colorbar(mesh, ax=ax, label="density")
        if self._labels:
            ax.set_title(self._labels[0])
        ax.set_xlabel(_label(self.columns[0]))
        ax.set_ylabel(_label(self.columns[1]))

    def _checked(self, x):
        """Points as `[S, N, d]`, and the shape that they had."""
        x = np.asarray(x, np.float64)
        size, num_conditions = len(self._numbers), self.num_conditions
        inner = (num_conditions, size) if self._is_batch else (size,)
        if x.shape[-len(inner) :] != inner or np.isnan(x).any():
            wanted = ", ".join(["...", *map(str, inner)])
            raise ValueError(
                f"`x` must have shape [{wanted}], without NaN, got shape {list(x.shape)}."
            )
        return x.reshape(-1, num_conditions, size), x.shape

    def _embedded(self, values):
        """Rows of all columns of the flow, `[S N, D]`, NaN in the others."""
        rows = np.full([values.size // values.shape[-1], self._parts.size], np.nan)
        rows[:, self._numbers] = values.reshape(len(rows), -1)
        return rows

    def _to_latent(self, x):
        return self._parts.to_latent(self._embedded(x))[:, self._numbers].reshape(x.shape)

    def _from_latent(self, y):
        return self._parts.from_latent(self._embedded(y))[:, self._numbers].reshape(y.shape)

    def _shaped(self, values):
        return values if self._is_batch else values[:, 0]


def _label(column):
    return str(column).replace("$", r"\$") if isinstance(column, str) else f"column {column}"
