"""Points with missing entries, as many mixtures see them, and the E-step on them."""

from __future__ import annotations

import numpy as np

from tfp_gmnvp.density.many_mixtures.groups import Groups
from tfp_gmnvp.density.many_mixtures.points import outlier_proof_variance
from tfp_gmnvp.density.many_mixtures.structures import ManyCovariances
from tfp_gmnvp.density.missing.gaussians import Gaussians
from tfp_gmnvp.density.missing.patterns import Patterns

__all__ = ["IncompletePoints", "e_step"]

_ENTRIES_AT_ONCE = 2**20  # of deviations and factors: a few copies fit into memory
_LOWEST = -600.0  # of logarithms of responsibilities, as in `many_mixtures.em`
_TINY = np.finfo(np.float64).tiny


class IncompletePoints:
    """Points about the mean of each column's observed entries; as `many_mixtures.Points`.

    #### Examples

    >>> points = IncompletePoints(np.array([[1.0, np.nan], [3.0, 5.0]]), np.ones([1, 2]))
    >>> points.z.tolist(), points.variance.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0]])
    """

    def __init__(self, z: np.ndarray, weight: np.ndarray):
        """Keeps the points; missing entries become zeros.

        Args:
          z: points `[N, D]`, NaN where an entry is missing; each column has one that is not.
          weight: of each point in each mixture, `[B, N]`.
        """
        self.patterns = Patterns(z)
        self.is_observed = (~self.patterns.is_missing).astype(np.float64)
        self.center = np.nanmean(z, axis=0)
        self._incomplete = z - self.center
        self.z = np.nan_to_num(self._incomplete, nan=0.0)
        self.weight = weight

    @property
    def variance(self) -> np.ndarray:
        """The variance of each column's observed entries in each mixture, `[B, D]`."""
        total = np.maximum(self.weight @ self.is_observed, _TINY)
        mean = self.weight @ self.z / total
        return np.maximum(self.weight @ np.square(self.z) / total - np.square(mean), 0.0)

    @property
    def variance_without_outliers(self) -> np.ndarray:
        """The same, but no more than ten times that of the 95 % about the median, `[B, D]`."""
        return outlier_proof_variance(self._incomplete, self.variance, self.center)

    def of(self, mixtures: np.ndarray) -> IncompletePoints:
        """The same points with the weights of some mixtures.

        Args:
          mixtures: their numbers, or booleans `[B]`.
        """
        others = object.__new__(IncompletePoints)
        others.__dict__.update(self.__dict__, weight=self.weight[mixtures])
        return others


def e_step(points: IncompletePoints, parameters, groups: Groups, structure: ManyCovariances):
    """The expected sums of features given what is observed, and its log-densities.

        sum_n w_n r_nk E[phi(z_n) | z_n,o, k],    r_nk = p(k | z_n,o)

    Args:
      points: of all mixtures.
      parameters: weights `[M]`, means `[M, D]` and covariances of all components.
      groups: of the components.
      structure: of the covariances.

    Returns:
      The sums `[M, P]`, and the log-densities of the observed entries `[B, N]`, in nats; zero where
      a row has none.

    #### Examples

    >>> from tfp_gmnvp.density.many_mixtures import STRUCTURES
    >>> points = IncompletePoints(np.array([[1.0, np.nan], [3.0, 5.0]]), np.ones([1, 2]))
    >>> one = np.ones([1]), np.zeros([1, 2]), np.ones([1, 2])
    >>> e_step(points, one, Groups([1]), STRUCTURES["diag"])[0].tolist()
    [[2.0, 0.0, 0.0, 2.0, 1.0]]
    """
    if parameters[2].ndim == 2:
        return _of_diagonals(points, parameters, groups)
    return _of_matrices(points, parameters, groups, structure.is_shared)


def _of_diagonals(points, parameters, groups):
    """By products of matrices alone: entries are independent given the component."""
    probs, loc, variance = parameters
    observed, z = points.is_observed, points.z
    squares, precision = np.square(z), 1.0 / variance
    linear = precision * loc
    const = np.log(variance) + linear * loc + np.log(2 * np.pi)
    log_joint = linear @ z.T - 0.5 * (precision @ squares.T + const @ observed.T)
    joint, log_prob = _shares(log_joint, probs, groups)
    joint *= groups.of_components(points.weight)
    missing = joint @ (1.0 - observed)
    first = joint @ z + missing * loc
    second = joint @ squares + missing * (np.square(loc) + variance)
    return np.concatenate([joint.sum(axis=1, keepdims=True), first, second], axis=1), log_prob


def _of_matrices(points, parameters, groups, is_shared):
    probs, loc, covariance = parameters
    if is_shared:
        covariance = groups.of_components(covariance)
    gaussians = Gaussians.of(loc, covariance)
    num_components, size = loc.shape
    mass, first = np.zeros(num_components), np.zeros_like(loc)
    second = np.zeros([num_components, size, size])
    log_prob = np.empty(points.weight.shape)
    for block in points.patterns.blocks(_rows_at_once(num_components, size)):
        z = points.z[block.rows]
        found = gaussians.at(z, block)
        joint, log_prob[:, block.rows] = _shares(found.log_prob, probs, groups)
        joint *= groups.of_components(points.weight[:, block.rows])
        completed = _completed(z, found.mean, block)
        weighted = joint[:, :, np.newaxis] * completed
        mass += joint.sum(axis=1)
        first += weighted.sum(axis=1)
        second += weighted.swapaxes(1, 2) @ completed
        if block.num_missing:
            _add_covariances(second, block, block.sums_by_pattern(joint), found.covariance())
    i, j = np.triu_indices(size)
    return np.concatenate([mass[:, np.newaxis], first, second[:, i, j]], axis=1), log_prob


def _shares(log_joint, probs, groups):
    """Responsibilities `[M, n]`, and the mixtures' log-densities `[B, n]`."""
    log_joint = log_joint + np.log(probs)[:, np.newaxis]
    highest = groups.maxima(log_joint)
    joint = np.exp(np.maximum(log_joint - groups.of_components(highest), _LOWEST))
    total = groups.sums(joint)
    return joint / groups.of_components(total), highest + np.log(total)


def _completed(z, mean, block):
    """The points with each component's mean of what is missing, `[M, n, D]`."""
    completed = np.tile(z, [len(mean), 1, 1])
    columns = np.broadcast_to(block.missing[block.pattern], mean.shape)
    np.put_along_axis(completed, columns, mean, axis=2)
    return completed


def _add_covariances(second, block, mass, covariance):
    """Adds the weighted covariances `[M, P, u, u]` at the places of the missing entries."""
    num_components, size, _ = second.shape
    place = block.missing[:, :, np.newaxis] * size + block.missing[:, np.newaxis]  # [P, u, u]
    place = place + size**2 * np.arange(num_components)[:, np.newaxis, np.newaxis, np.newaxis]
    values = mass[:, :, np.newaxis, np.newaxis] * covariance
    total = np.bincount(place.ravel(), values.ravel(), minlength=second.size)
    second += total.reshape(second.shape)


def _rows_at_once(num_components, size):
    return max(1, _ENTRIES_AT_ONCE // (num_components * size * max(1, size // 2)))
