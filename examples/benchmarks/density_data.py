"""The data of `density.py`: targets with known density, and tables, split with a seed."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfp_gmnvp import datasets

__all__ = ["KNOWN", "REAL", "Problem", "is_known", "load"]

NUM_TRAIN = 3000 * 512  # no point is read twice, so flows cannot overfit points
NUM_VALIDATION, NUM_TEST = 10_000, 20_000
DIGITS_ROWS = 1500
OLD_FAITHFUL = pathlib.Path(__file__).parents[1] / "data" / "old_faithful.csv"


class RotatedPairs:
    """Independent densities of two columns each, in coordinates that mix all columns.

    x = [x_1, ..., x_m] R,    log p(x) = sum_i log p_i(x_i),    R a rotation
    """

    def __init__(self, *densities: datasets.ToyDensity):
        """Draws the rotation, with a fixed seed."""
        self._densities = densities
        size = 2 * len(densities)
        self._rotation = np.linalg.qr(np.random.default_rng(5).normal(size=[size, size]))[0]

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Independent points `[N, D]`."""
        seeds = np.random.SeedSequence(seed).generate_state(len(self._densities))
        pairs = zip(self._densities, seeds, strict=True)
        parts = [density.sample(num_samples, seed=int(seed)) for density, seed in pairs]
        return np.concatenate(parts, axis=1) @ self._rotation

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log-densities `[N]` of points `[N, D]`, in nats."""
        parts = np.split(x @ self._rotation.T, len(self._densities), axis=1)
        return sum(p.log_prob(part) for p, part in zip(self._densities, parts, strict=True))


KNOWN: dict[str, Callable[[], datasets.ToyDensity | RotatedPairs]] = {
    "moons_0.05": lambda: datasets.two_moons(noise=0.05),
    "moons_0.1": lambda: datasets.two_moons(noise=0.1),
    "circles": lambda: datasets.circles(radii=(1.0, 0.4), noise=0.05),
    "spirals": datasets.spirals,
    "eight_gaussians": datasets.eight_gaussians,
    "checkerboard": datasets.checkerboard,
    "pinwheel": datasets.pinwheel,
    "rotated_pairs": lambda: RotatedPairs(
        datasets.circles(radii=(1.0, 0.4), noise=0.05),
        datasets.checkerboard(),
        datasets.spirals(),
        datasets.eight_gaussians(),
    ),
}
REAL = ("old_faithful", "iris", "wine", "breast_cancer", "digits")


class Problem(NamedTuple):
    """Training, validation and test rows, and log p of the test rows, if known.

    Methods may use `train` and `validation`; a method that does not need validation trains on
    both, `seen`.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    log_truth: np.ndarray | None

    @property
    def seen(self) -> np.ndarray:
        """All rows but the held-out ones."""
        return np.concatenate([self.train, self.validation])


def is_known(target: str) -> bool:
    """Whether the density of a target is known."""
    return target in KNOWN


def load(target: str, seed: int, num_train: int = NUM_TRAIN) -> Problem:
    """A target's rows.

    For a known density all seeds have the same validation and test points. A table is split
    differently by each seed: a fifth is held out (all but 1,500 rows of the digits), and a fifth of
    the rest is for validation. Its columns are standardised by the rows that are not held out.

    Args:
      target: a key of `KNOWN`, one of `REAL`, or the path of a CSV file.
      seed: integer seed of the training points, or of the split.
      num_train: number of training points of a known density.
    """
    if is_known(target):
        density = KNOWN[target]()
        test = density.sample(NUM_TEST, seed=999)
        return Problem(
            density.sample(num_train, seed=seed),
            density.sample(NUM_VALIDATION, seed=998),
            test,
            density.log_prob(test),
        )
    x = table(target)
    num_test = len(x) - DIGITS_ROWS if target == "digits" else round(0.2 * len(x))
    order = np.random.default_rng(seed).permutation(len(x))
    seen, test = x[order[num_test:]], x[order[:num_test]]
    mean, std = seen.mean(axis=0), seen.std(axis=0)
    seen, test = (seen - mean) / std, (test - mean) / std
    num_validation = round(0.2 * len(seen))
    return Problem(seen[num_validation:], seen[:num_validation], test, None)


def table(name: str) -> np.ndarray:
    """A table of numbers `[N, D]`; the digits' integers get uniform noise of one unit."""
    if name not in REAL:
        return datasets.load_csv(name, min_rows=50).values
    if name == "old_faithful":
        return datasets.load_csv(OLD_FAITHFUL).values
    import sklearn.datasets

    x = getattr(sklearn.datasets, f"load_{name}")().data
    if name == "digits":
        x = x + np.random.default_rng(0).uniform(size=x.shape)
    return x
