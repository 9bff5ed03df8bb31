"""Gaussians at points with missing entries: what is observed, and the rest given that.

With the precision Lambda = Sigma^-1, and u the missing entries of a point, o the others,

    Cov[z_u | z_o] = Lambda_uu^-1
    E[z_u | z_o] = mu_u - Lambda_uu^-1 b,    b = Lambda_uo (z_o - mu_o)
    log det Sigma_oo = log det Sigma + log det Lambda_uu
    (z_o - mu_o)^T Sigma_oo^-1 (z_o - mu_o)
        = (z_o - mu_o)^T Lambda_oo (z_o - mu_o) - b^T Lambda_uu^-1 b

so that a pattern takes one factorisation for each component, of a matrix of size u.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tfp_gmnvp.density.many_mixtures.structures import inverse_factors
from tfp_gmnvp.density.missing.patterns import Block

__all__ = ["Conditionals", "Gaussians"]

_LOG_2_PI = math.log(2 * math.pi)


class Conditionals(NamedTuple):
    """M Gaussians at n points with u missing entries each.

    Attributes:
      log_prob: of the observed entries, `[M, n]`.
      mean: of the missing ones given those, `[M, n, u]`.
      whitening: matrices A, A^T A their covariance, of each pattern, `[M, P, u, u]`.

    #### Examples

    >>> Conditionals._fields
    ('log_prob', 'mean', 'whitening')
    """

    log_prob: np.ndarray
    mean: np.ndarray
    whitening: np.ndarray

    def covariance(self) -> np.ndarray:
        """Of the missing entries given the others, for each pattern, `[M, P, u, u]`."""
        return np.swapaxes(self.whitening, -1, -2) @ self.whitening


class Gaussians(NamedTuple):
    """Means, precisions, and the logarithms of the covariances' determinants.

    Attributes:
      loc: `[M, D]`.
      precision: `[M, D, D]`.
      log_det: `[M]`.

    #### Examples

    >>> from tfp_gmnvp.density.missing.patterns import Patterns
    >>> gaussians = Gaussians.of(np.zeros([1, 2]), np.array([[[1.0, 0.5], [0.5, 1.0]]]))
    >>> (block,) = Patterns(np.array([[2.0, np.nan]])).blocks(1)
    >>> found = gaussians.at(np.array([[2.0, 0.0]]), block)
    >>> found.mean.round(6).tolist(), found.covariance().round(6).tolist()
    ([[[1.0]]], [[[[0.75]]]])
    """

    loc: np.ndarray
    precision: np.ndarray
    log_det: np.ndarray

    @classmethod
    def of(cls, loc: np.ndarray, covariance: np.ndarray) -> Gaussians:
        """From means and covariances.

        Args:
          loc: `[M, D]`.
          covariance: positive definite, `[M, D, D]`.
        """
        factor, log_det = inverse_factors(covariance)
        return cls(loc, factor.swapaxes(1, 2) @ factor, log_det)

    def at(self, z: np.ndarray, block: Block) -> Conditionals:
        """The Gaussians at the points of a block.

        Args:
          z: the points `[n, D]`; missing entries may have any finite value.
          block: tells which entries are missing.
        """
        size = self.loc.shape[1]
        deviation = z - self.loc[:, np.newaxis]  # [M, n, D]
        np.put_along_axis(
            deviation,
            np.broadcast_to(
                block.missing[block.pattern], (*deviation.shape[:2], block.num_missing)
            ),
            0.0,
            axis=2,
        )
        weighted = deviation @ self.precision
        squared = np.einsum("mnd,mnd->mn", weighted, deviation)
        const = self.log_det[:, np.newaxis] + (size - block.num_missing) * _LOG_2_PI
        if not block.num_missing:
            nothing = np.empty([*deviation.shape[:2], 0])
            return Conditionals(-0.5 * (const + squared), nothing, np.empty([len(const), 1, 0, 0]))
        factor, log_det = _factors(block.of_matrices(self.precision))
        linear = block.of_rows(weighted)[..., np.newaxis]  # b
        of_rows = factor[:, block.pattern]
        whitened = of_rows @ linear
        step = (of_rows.swapaxes(-1, -2) @ whitened)[..., 0]
        squared = squared - np.square(whitened[..., 0]).sum(axis=-1)
        mean = self.loc[:, np.newaxis][:, np.zeros(len(z), np.int64)]
        mean = block.of_rows(mean) - step
        log_prob = -0.5 * (const + log_det[:, block.pattern] + np.maximum(squared, 0.0))
        return Conditionals(log_prob, mean, factor)


def _factors(matrices):
    """Matrices A with A^T A the inverse of each, and the logarithms of the determinants."""
    shape = matrices.shape
    factor, log_det = inverse_factors(matrices.reshape(-1, *shape[-2:]))
    return factor.reshape(shape), log_det.reshape(shape[:2])
