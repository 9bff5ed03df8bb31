"""Two-dimensional toy densities with known log-density and entropy, to score models by KL."""

import difflib
import functools
import operator
import types
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfp_gmnvp.datasets.components import NoisyCurve, Square, SwirledGaussian
from tfp_gmnvp.datasets.density import ToyDensity

__all__ = [
    "TOY_DENSITIES",
    "by_name",
    "checkerboard",
    "circles",
    "eight_gaussians",
    "pinwheel",
    "spirals",
    "two_moons",
]


def two_moons(noise: float = 0.05) -> ToyDensity:
    """Two interleaved half circles of radius 1 with noise, as in scikit-learn's `make_moons`.

    The arcs are `(cos t, sin t)` and `(1 - cos t, 1/2 - sin t)`, t uniform on [0, pi].

    Args:
      noise: standard deviation of the isotropic noise.

    Returns:
      A `ToyDensity` with labels 0 (upper) and 1 (lower).

    >>> two_moons().sample(2, seed=0).shape
    (2, 2)
    """
    _check_positive(noise=noise)
    return ToyDensity("two_moons", (NoisyCurve(_upper, noise), NoisyCurve(_lower, noise)))


def circles(radii: Sequence[float] = (1.0, 0.4), noise: float = 0.05) -> ToyDensity:
    """Concentric circles about the origin with noise.

    Args:
      radii: the circles' radii; each circle has the same mass.
      noise: standard deviation of the isotropic noise.

    Returns:
      A `ToyDensity` with one label a circle, in the order of `radii`.

    >>> len(circles(radii=(1.0, 0.7, 0.4)).components)
    3
    """
    _check_positive(noise=noise)
    if not len(radii):
        raise ValueError("radii must hold at least one radius, got none.")
    for radius in radii:
        _check_positive(radii=radius)
    rings = [functools.partial(_ring, radius=radius) for radius in radii]
    return ToyDensity("circles", tuple(NoisyCurve(ring, noise) for ring in rings))


def spirals(noise: float = 0.08) -> ToyDensity:
    """Two spiral arms of one and a half turns, each the other's negative.

    An arm is `(t / 3) (cos t, sin t)` with `t = 3 pi sqrt(u)`, u uniform on [0, 1], and noise.

    Args:
      noise: standard deviation of the isotropic noise.

    Returns:
      A `ToyDensity` with labels 0 and 1.

    >>> spirals().sample(2, seed=0).shape
    (2, 2)
    """
    _check_positive(noise=noise)
    arms = [functools.partial(_arm, sign=sign) for sign in (1.0, -1.0)]
    return ToyDensity("spirals", tuple(NoisyCurve(arm, noise, order=2) for arm in arms))


def eight_gaussians(radius: float = 2.0, noise: float = 0.2) -> ToyDensity:
    """Eight isotropic Gaussians evenly around a circle.

    Args:
      radius: distance of the means from the origin.
      noise: standard deviation of each Gaussian.

    Returns:
      A `ToyDensity` with labels 0 to 7, counterclockwise from `(radius, 0)`.

    >>> round(eight_gaussians().entropy(), 3)
    1.698
    """
    _check_positive(radius=radius, noise=noise)
    angles = 2 * np.pi * np.arange(8) / 8
    gaussians = [SwirledGaussian((radius, 0.0), (noise, noise), angle) for angle in angles]
    return ToyDensity("eight_gaussians", tuple(gaussians))


def checkerboard() -> ToyDensity:
    """The uniform density on the eight unit squares of one colour of a 4 x 4 board on [-2, 2]^2.

    Returns:
      A `ToyDensity` with labels 0 to 7, one a square, column by column; entropy log 8 exactly.

    >>> round(checkerboard().entropy(), 3)
    2.079
    """
    corners = [(float(i), float(j)) for i in range(-2, 2) for j in range(-2, 2) if (i + j) % 2 == 0]
    squares = tuple(Square(corner) for corner in corners)
    return ToyDensity("checkerboard", squares, exact_entropy=float(np.log(8.0)))


def pinwheel(
    num_arms: int = 5, radial_std: float = 0.3, tangential_std: float = 0.1, rate: float = 0.25
) -> ToyDensity:
    """Gaussian arms around the origin, bent into a pinwheel.

    Arm k is `y ~ N((1, 0), diag(radial_std, tangential_std)^2)` turned by
    `2 pi k / num_arms + rate * exp(|y|)`. The usual definition (Johnson et al. 2016,
    https://arxiv.org/abs/1603.06277) has y's first coordinate for |y|; with the radius the map's
    Jacobian is one and the density closed.

    Args:
      num_arms: how many arms.
      radial_std: an arm's length, as a standard deviation.
      tangential_std: an arm's width, as a standard deviation.
      rate: how strongly the arms bend.

    Returns:
      A `ToyDensity` with one label an arm.

    >>> pinwheel().sample(2, seed=0).shape
    (2, 2)
    """
    _check_positive(num_arms=num_arms, radial_std=radial_std, tangential_std=tangential_std)
    angles = 2 * np.pi * np.arange(operator.index(num_arms)) / num_arms
    scales = (radial_std, tangential_std)
    arms = tuple(SwirledGaussian((1.0, 0.0), scales, angle, rate) for angle in angles)
    return ToyDensity("pinwheel", arms)


TOY_DENSITIES: Mapping[str, Callable[..., ToyDensity]] = types.MappingProxyType(
    {
        factory.__name__: factory
        for factory in (checkerboard, circles, eight_gaussians, pinwheel, spirals, two_moons)
    }
)


def by_name(name: str, **parameters) -> ToyDensity:
    """Builds the toy density of a name.

    Args:
      name: a key of `TOY_DENSITIES`.
      **parameters: what its function takes, for example `noise`.

    Returns:
      The `ToyDensity`.

    Raises:
      ValueError: if the name is unknown; the error suggests the nearest name.

    >>> by_name("two_moons", noise=0.1).name
    'two_moons'
    """
    if name not in TOY_DENSITIES:
        near = difflib.get_close_matches(str(name), TOY_DENSITIES, n=1, cutoff=0.0)[0]
        known = ", ".join(TOY_DENSITIES)
        raise ValueError(f"name: no toy density {name!r}; did you mean {near!r}? Known: {known}.")
    return TOY_DENSITIES[name](**parameters)


def _upper(s):
    return np.stack([np.cos(np.pi * s), np.sin(np.pi * s)], axis=-1)


def _lower(s):
    return np.stack([1.0 - np.cos(np.pi * s), 0.5 - np.sin(np.pi * s)], axis=-1)


def _ring(s, radius):
    return radius * np.stack([np.cos(2 * np.pi * s), np.sin(2 * np.pi * s)], axis=-1)


def _arm(s, sign):
    t = 3 * np.pi * s
    return (sign * t / 3)[:, None] * np.stack([np.cos(t), np.sin(t)], axis=-1)


def _check_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and positive, got {value}.")
