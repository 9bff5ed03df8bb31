"""Toy densities: mixtures with samples, log-density and entropy."""

import dataclasses
import functools
import operator
from collections.abc import Sequence

import numpy as np

from tfp_gmnvp.datasets.components import Component, log_sum_exp

__all__ = ["ToyDensity"]

_GRID_STEPS_PER_SCALE = 1.5


@dataclasses.dataclass(frozen=True, eq=False)
class ToyDensity:
    """An equally weighted mixture of components in the plane.

        p(x) = (1 / K) sum_k p_k(x)

    With samples x_n of it, a model q is scored by `KL(p || q) ~ mean(log p(x_n) - log q(x_n))`.

    Args:
      name: the name for `by_name`.
      components: the K components (arms, rings, squares, ...), which are also the labels.
      exact_entropy: entropy in nats where there is a closed form; else it is integrated.

    >>> from tfp_gmnvp.datasets import two_moons
    >>> moons = two_moons()
    >>> x = moons.sample(4, seed=0)
    >>> x.shape, moons.log_prob(x).shape
    ((4, 2), (4,))
    """

    name: str
    components: Sequence[Component]
    exact_entropy: float | None = None

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws independent points.

        Args:
          num_samples: how many, N.
          seed: integer seed; the same seed gives the same points.

        Returns:
          float64 array `[N, 2]`.

        >>> from tfp_gmnvp.datasets import checkerboard
        >>> checkerboard().sample(3, seed=0).shape
        (3, 2)
        """
        return self.sample_with_labels(num_samples, seed)[0]

    def sample_with_labels(self, num_samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws independent points and the components that they come from.

        Args:
          num_samples: how many, N.
          seed: integer seed; the same seed gives the same points.

        Returns:
          float64 points `[N, 2]` and int64 labels `[N]` in `0 .. K - 1`.

        >>> from tfp_gmnvp.datasets import circles
        >>> points, labels = circles().sample_with_labels(5, seed=1)
        >>> points.shape, labels.dtype
        ((5, 2), dtype('int64'))
        """
        if operator.index(num_samples) < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
        rng = np.random.default_rng(seed)
        labels = rng.integers(len(self.components), size=num_samples)
        points = np.empty((num_samples, 2))
        for k, component in enumerate(self.components):
            mine = labels == k
            points[mine] = component.sample(int(mine.sum()), rng)
        return points, labels

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """The log-density in nats.

        Args:
          points: array `[N, 2]`.

        Returns:
          float64 array `[N]`; `-inf` outside the support.

        >>> from tfp_gmnvp.datasets import checkerboard
        >>> checkerboard().log_prob([[0.5, 0.5], [0.5, -0.5]]).round(3).tolist()
        [-2.079, -inf]
        """
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points must have shape [N, 2], got {list(points.shape)}.")
        by_component = [component.log_prob(points) for component in self.components]
        return log_sum_exp(np.stack(by_component, axis=-1)) - np.log(len(self.components))

    def entropy(self) -> float:
        """The entropy `-int p log p` in nats, to about 1e-4: the lowest possible loss.

        Returns:
          A float: the closed form where there is one, else a sum over a grid, computed once.

        >>> from tfp_gmnvp.datasets import two_moons
        >>> round(two_moons().entropy(), 3)
        0.289
        """
        return self._integrated_entropy if self.exact_entropy is None else self.exact_entropy

    @functools.cached_property
    def _integrated_entropy(self) -> float:
        low = np.min([component.bounds[0] for component in self.components], axis=0)
        high = np.max([component.bounds[1] for component in self.components], axis=0)
        step = min(c.finest_scale for c in self.components) / _GRID_STEPS_PER_SCALE
        axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        log_p = self.log_prob(grid)
        return float(-np.sum(np.exp(log_p) * np.maximum(log_p, -1e3)) * step**2)
