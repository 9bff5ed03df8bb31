"""Components of toy densities, with samples and log-density in the plane."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np

__all__ = ["Component", "NoisyCurve", "Square", "SwirledGaussian", "log_sum_exp"]

_TAIL = 6.5  # standard deviations beyond which a Gaussian has a mass below 1e-10
_NODES_PER_PANEL = 16
_CHUNK_ELEMENTS = 2**21


class Component(Protocol):
    """The interface of a `ToyDensity`'s components."""

    @property
    def bounds(self) -> np.ndarray:
        """`[[x_min, y_min], [x_max, y_max]]`, a box that holds all but a negligible mass."""

    @property
    def finest_scale(self) -> float:
        """The length over which the density varies: sets the grid that integrates it."""

    def sample(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draws `[num_samples, 2]` points."""

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """Log-density in nats, `[N]`, of `points` `[N, 2]`."""


def log_sum_exp(values: np.ndarray) -> np.ndarray:
    """`log sum_j exp(values[..., j])`, without overflow; `-inf` where all values are `-inf`.

    Args:
      values: array `[..., J]`; may hold `-inf`.

    Returns:
      Array `[...]`.

    >>> round(float(log_sum_exp(np.log([0.5, 1.5]))), 6)  # log 2
    0.693147
    """
    largest = np.max(values, axis=-1, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(values - shift), axis=-1)) + shift[..., 0]


@dataclasses.dataclass(frozen=True)
class NoisyCurve:
    """A point of a curve plus isotropic noise.

        x = c(S) + noise * eps,   S ~ Beta(order, 1) on [0, 1],   eps ~ N(0, I)
        p(x) = int_0^1 order s^(order - 1) N(x | c(s), noise^2 I) ds

    The integral is a composite Gauss-Legendre rule on panels half a noise standard deviation long;
    its log is good to 1e-6 for points up to 60 standard deviations from the curve.

    Args:
      position: the curve, from `[M]` parameters in [0, 1] to `[M, 2]` points.
      noise: standard deviation of the noise.
      order: 1 for a uniform parameter; 2 for the square root of a uniform one.

    >>> segment = NoisyCurve(lambda s: np.stack([s, 0 * s], axis=-1), noise=0.1)
    >>> float(np.round(segment.log_prob(np.array([[0.5, 0.0]])), 6)[0])  # log N(0 | 0, 0.1^2)
    1.383646
    """

    position: Callable[[np.ndarray], np.ndarray]
    noise: float
    order: int = 1

    @functools.cached_property
    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes on the curve `[M, 2]` and their log-weights `[M]`; panels are equally long."""
        fine = np.linspace(0.0, 1.0, 4097)
        steps = np.linalg.norm(np.diff(self.position(fine), axis=0), axis=-1)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        num_panels = int(np.ceil(2.0 * length[-1] / self.noise))
        edges = np.interp(np.linspace(0.0, length[-1], num_panels + 1), length, fine)
        unit_nodes, unit_weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
        centres, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        s = (centres[:, None] + halves[:, None] * unit_nodes).ravel()
        weights = (halves[:, None] * unit_weights).ravel() * self.order * s ** (self.order - 1)
        return self.position(s), np.log(weights)

    @property
    def bounds(self) -> np.ndarray:
        nodes, _ = self._quadrature
        margin = _TAIL * self.noise
        return np.stack([nodes.min(axis=0) - margin, nodes.max(axis=0) + margin])

    @property
    def finest_scale(self) -> float:
        return self.noise

    def sample(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        s = rng.uniform(size=num_samples) ** (1.0 / self.order)
        return self.position(s) + self.noise * rng.standard_normal((num_samples, 2))

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        nodes, log_weights = self._quadrature
        chunk = max(1, _CHUNK_ELEMENTS // len(nodes))
        parts = [
            self._log_integral(points[start : start + chunk], nodes, log_weights)
            for start in range(0, len(points), chunk)
        ]
        return np.concatenate(parts) - np.log(2 * np.pi * self.noise**2)

    def _log_integral(self, points, nodes, log_weights):
        """`log sum_m w_m exp(-|x - c_m|^2 / (2 noise^2))`, `[N]`."""
        precision = self.noise**-2
        bias = log_weights - 0.5 * precision * np.sum(nodes**2, axis=-1)
        exponents = points @ (precision * nodes.T) + bias
        return log_sum_exp(exponents) - 0.5 * precision * np.sum(points**2, axis=-1)


@dataclasses.dataclass(frozen=True)
class SwirledGaussian:
    """A diagonal Gaussian rotated about the origin by an angle that grows with the radius.

        x = R(angle + rate * exp(|y|)) y,   y ~ N(loc, diag(scale_diag)^2)

    A rotation by an angle that depends on |y| alone keeps |y| and has a unit Jacobian, so
    `p(x) = N(R(-angle - rate * exp(|x|)) x | loc, diag(scale_diag)^2)` exactly.

    Args:
      loc: mean before the rotation, `(2,)`.
      scale_diag: standard deviations before the rotation, `(2,)`.
      angle: the rotation's constant part, radians.
      rate: the swirl; 0 leaves a Gaussian.

    >>> gaussian = SwirledGaussian(loc=(1.0, 0.0), scale_diag=(1.0, 1.0))
    >>> float(np.exp(gaussian.log_prob(np.array([[1.0, 0.0]])))[0] * 2 * np.pi)
    1.0
    """

    loc: tuple[float, float]
    scale_diag: tuple[float, float]
    angle: float = 0.0
    rate: float = 0.0

    @property
    def bounds(self) -> np.ndarray:
        reach = np.linalg.norm(self.loc) + _TAIL * max(self.scale_diag)
        return np.array([[-reach, -reach], [reach, reach]])

    @property
    def finest_scale(self) -> float:
        """The narrow axis, thinned by the shear `r d(angle)/dr` two standard deviations out."""
        radius = np.linalg.norm(self.loc) + 2 * max(self.scale_diag)
        return min(self.scale_diag) / (1.0 + abs(self.rate) * radius * np.exp(radius))

    def sample(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        y = np.asarray(self.loc) + rng.standard_normal((num_samples, 2)) * self.scale_diag
        return self._rotate(y, sign=1.0)

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        standard = (self._rotate(points, sign=-1.0) - self.loc) / self.scale_diag
        log_scale = np.sum(np.log(self.scale_diag))
        return -0.5 * np.sum(standard**2, axis=-1) - log_scale - np.log(2 * np.pi)

    def _rotate(self, points, *, sign):
        radius = np.linalg.norm(points, axis=-1)
        swirl = self.rate * np.exp(radius) if self.rate else 0.0
        angles = sign * (self.angle + swirl)
        cos, sin = np.cos(angles), np.sin(angles)
        x, y = points[:, 0], points[:, 1]
        return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


@dataclasses.dataclass(frozen=True)
class Square:
    """The uniform density on `[corner, corner + side)` in both coordinates.

    Args:
      corner: lower left corner, `(2,)`.
      side: length of the sides.

    >>> Square((0.0, 0.0), side=0.5).log_prob(np.array([[0.2, 0.2], [0.6, 0.2]])).round(4).tolist()
    [1.3863, -inf]
    """

    corner: tuple[float, float]
    side: float = 1.0

    @property
    def bounds(self) -> np.ndarray:
        return np.stack([self.corner, np.add(self.corner, self.side)])

    @property
    def finest_scale(self) -> float:
        return self.side

    def sample(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(self.corner) + self.side * rng.uniform(size=(num_samples, 2))

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        low, high = self.bounds
        inside = np.all((points >= low) & (points < high), axis=-1)
        return np.where(inside, -2.0 * np.log(self.side), -np.inf)
