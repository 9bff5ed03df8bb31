"""Covariance structures of many mixtures at once, as those in `mixtures.covariances`.

Every structure is an exponential family: its log-densities are linear in features phi of a point,

    log pi_k + log N(z | mu_k, Sigma_k) = phi(z)^T theta_k,    phi(z) = (1, z, products of z)

and sum_n w_n r_nk phi(z_n) is all that the M-step needs. So both steps of EM are one product of
matrices each, for all components of all mixtures.
"""

from __future__ import annotations

import abc
import math

import numpy as np

from tfp_gmnvp.density.many_mixtures.groups import Groups
from tfp_gmnvp.mixtures import covariances

__all__ = ["STRUCTURES", "ManyCovariances", "inverse_factors"]

_LOG_2_PI = math.log(2 * math.pi)


class ManyCovariances(abc.ABC):
    """What EM asks of the covariances of all components, `[M, ...]`, or all mixtures, `[B, ...]`.

    #### Examples

    >>> STRUCTURES["diag"].features(np.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0, 4.0, 9.0]]
    """

    #: Whether a mixture has one covariance for all of its components.
    is_shared = False

    def of_one(self, covariance: np.ndarray) -> np.ndarray:
        """The covariances of one mixture in the shape that `mixtures.covariances` has them in."""
        return covariance

    @abc.abstractmethod
    def features(self, z: np.ndarray) -> np.ndarray:
        """phi of points `[N, D]`, `[N, P]`: one, the entries, and products of them."""

    @abc.abstractmethod
    def maximum(self, mass, loc, products, groups: Groups) -> np.ndarray:
        """The covariances of the highest likelihood.

        Args:
          mass: `[M]`.
          loc: means `[M, D]`.
          products: the mean of each component's products of entries, `[M, P - D - 1]`.
          groups: of the components.
        """

    @abc.abstractmethod
    def shrunk(self, covariance, mass, points, scatter) -> np.ndarray:
        """The covariances under a prior worth so many points.

        Args:
          covariance: the maximum without a prior.
          mass: of what each covariance is made of.
          points: of the prior, in the same shape as `mass`.
          scatter: of those points, a diagonal for each covariance, `[..., D]`.
        """

    @abc.abstractmethod
    def lift(self, covariance, floor) -> np.ndarray:
        """The most likely covariances that are not below `diag(floor)`, floor `[..., D]`."""

    @abc.abstractmethod
    def log_prior(self, covariance, points, scatter) -> np.ndarray:
        """The log-density of each covariance under the prior; see `shrunk`."""

    @abc.abstractmethod
    def coefficients(self, log_probs, loc, covariance, groups: Groups) -> np.ndarray:
        """theta of each component, `[M, P]`."""


class _Diagonals(ManyCovariances):
    """Variances `[M, D]`."""

    def features(self, z):
        return np.concatenate([np.ones([len(z), 1]), z, np.square(z)], axis=1)

    def maximum(self, mass, loc, products, groups):
        return products - np.square(loc)

    def shrunk(self, covariance, mass, points, scatter):
        mass, points = mass[:, np.newaxis], points[:, np.newaxis]
        return (mass * covariance + scatter) / (mass + points)

    def lift(self, covariance, floor):
        return np.maximum(covariance, floor)

    def log_prior(self, covariance, points, scatter):
        return -0.5 * (points * np.log(covariance).sum(-1) + (scatter / covariance).sum(-1))

    def coefficients(self, log_probs, loc, covariance, groups):
        precision = 1.0 / covariance
        linear = precision * loc
        const = log_probs - 0.5 * (
            np.log(covariance).sum(axis=1) + (linear * loc).sum(axis=1) + loc.shape[1] * _LOG_2_PI
        )
        return np.concatenate([const[:, np.newaxis], linear, -0.5 * precision], axis=1)


class _Spheres(_Diagonals):
    """One variance for all entries of a component, as often as there are entries."""

    def of_one(self, covariance):
        return covariance[:, 0]

    def maximum(self, mass, loc, products, groups):
        variance = super().maximum(mass, loc, products, groups).mean(axis=1, keepdims=True)
        return np.broadcast_to(variance, loc.shape)

    def shrunk(self, covariance, mass, points, scatter):
        return super().shrunk(covariance, mass, points, scatter.mean(axis=1, keepdims=True))

    def lift(self, covariance, floor):
        return super().lift(covariance, floor.mean(axis=1, keepdims=True))


class _Matrices(ManyCovariances):
    """Whole matrices `[M, D, D]`."""

    def features(self, z):
        first, second = np.triu_indices(z.shape[1])
        return np.concatenate([np.ones([len(z), 1]), z, z[:, first] * z[:, second]], axis=1)

    def maximum(self, mass, loc, products, groups):
        return _symmetric(products, loc.shape[1]) - _squares(loc)

    def shrunk(self, covariance, mass, points, scatter):
        mass, points = mass[:, np.newaxis, np.newaxis], points[:, np.newaxis, np.newaxis]
        diagonal = scatter[:, np.newaxis] * np.eye(scatter.shape[1])
        return (mass * covariance + diagonal) / (mass + points)

    def lift(self, covariance, floor):
        stddev = np.sqrt(floor)
        unit = stddev[:, :, np.newaxis] * stddev[:, np.newaxis]
        in_units = covariance / unit
        narrow = np.flatnonzero(~_are_above_one(in_units))
        if len(narrow):
            values, vectors = np.linalg.eigh(in_units[narrow])
            lifted = vectors * np.maximum(values, 1.0)[:, np.newaxis]
            covariance = covariance.copy()
            covariance[narrow] = lifted @ vectors.swapaxes(1, 2) * unit[narrow]
        return covariance

    def log_prior(self, covariance, points, scatter):
        whitening, log_det = inverse_factors(covariance)
        trace = np.einsum("kij,kj->k", np.square(whitening), scatter)
        return -0.5 * (points * log_det + trace)

    def coefficients(self, log_probs, loc, covariance, groups):
        whitening, log_det = inverse_factors(covariance)
        precision = whitening.swapaxes(1, 2) @ whitening
        if self.is_shared:
            precision, log_det = groups.of_components(precision), groups.of_components(log_det)
        linear = np.matmul(precision, loc[:, :, np.newaxis])[:, :, 0]
        const = log_probs - 0.5 * (log_det + (linear * loc).sum(axis=1) + loc.shape[1] * _LOG_2_PI)
        first, second = np.triu_indices(loc.shape[1])
        factor = np.where(first == second, -0.5, -1.0)
        quadratic = factor * precision[:, first, second]
        return np.concatenate([const[:, np.newaxis], linear, quadratic], axis=1)


class _SharedMatrices(_Matrices):
    """A matrix for each mixture, `[B, D, D]`."""

    is_shared = True

    def maximum(self, mass, loc, products, groups):
        share = (mass / groups.of_components(groups.sums(mass)))[:, np.newaxis]
        size = loc.shape[1]
        means = groups.sums(share[:, :, np.newaxis] * _squares(loc))
        return _symmetric(groups.sums(share * products), size) - means


#: By what users write as `covariance_type`.
STRUCTURES: dict[str, ManyCovariances] = {
    covariances.Full.name: _Matrices(),
    covariances.Tied.name: _SharedMatrices(),
    covariances.Diagonal.name: _Diagonals(),
    covariances.Spherical.name: _Spheres(),
}


def _symmetric(upper, size):
    """Matrices from their upper triangles, `[M, D (D + 1) / 2]`."""
    index = np.empty([size, size], np.int64)
    first, second = np.triu_indices(size)
    index[first, second] = index[second, first] = np.arange(len(first))
    return upper[:, index]


def _squares(loc):
    return loc[:, :, np.newaxis] * loc[:, np.newaxis]


def inverse_factors(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices A with A^T A = Sigma^-1, and log det Sigma.

    Args:
      covariance: positive definite matrices `[M, D, D]`.

    Returns:
      Arrays `[M, D, D]` and `[M]`.

    #### Examples

    >>> factors, log_det = inverse_factors(np.array([[[4.0]]]))
    >>> factors.tolist(), log_det.round(4).tolist()
    ([[[0.5]]], [1.3863])
    """
    scale_tril = np.linalg.cholesky(covariance)
    whitening = np.empty_like(scale_tril)
    for row in range(covariance.shape[1]):  # of all matrices at once: `inv` knows no triangles
        diagonal = scale_tril[:, row, row, np.newaxis]
        above = scale_tril[:, row, np.newaxis, :row] @ whitening[:, :row]
        whitening[:, row] = -above[:, 0] / diagonal
        whitening[:, row, row] = 1.0 / diagonal[:, 0]
    return whitening, -2 * np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1)


def _are_above_one(matrices):
    """Whether all eigenvalues surely are: lambda_min(S) >= 1 / tr(S^-1), far cheaper than they."""
    try:
        whitening, _ = inverse_factors(matrices)
    except np.linalg.LinAlgError:
        return np.linalg.eigvalsh(matrices)[:, 0] >= 1.0
    return np.square(whitening).sum(axis=(1, 2)) <= 1.0
