"""Densities that are Gaussian mixtures: everything is exact."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["ByMixture"]

tfd = tfp.distributions

_NUM_NODES = 48
_NUM_BISECTIONS = 60
_NEGLIGIBLE = 1e-13  # of a component's weight


class ByMixture:
    """N Gaussian mixtures over d columns.

    #### Examples

    >>> from tfp_gmnvp.mixtures import MixtureParameters, conditional_mixture
    >>> parameters = MixtureParameters([1.0], [[0.0, 0.0]], [[[1.0, 0.6], [0.6, 1.0]]])
    >>> parameters = tf.nest.map_structure(lambda t: tf.constant(t, tf.float64), parameters)
    >>> density = ByMixture(conditional_mixture(parameters, "full", [0], [[1.0]]))
    >>> density.quantile(np.array([0.5])).round(3).tolist()
    [[[0.6]]]
    """

    #: Number of independent samples that each condition rests on; none here.
    effective_sample_size = None

    def __init__(self, mixture: tfd.MixtureSameFamily):
        """Keeps the mixture.

        Args:
          mixture: with batch shape `[N]`, in float64.
        """
        self._mixture = mixture
        self._shares = mixture.mixture_distribution.probs_parameter().numpy()  # [N, K]
        components = mixture.components_distribution
        shape = (*self._shares.shape, int(mixture.event_shape[-1]))
        self._loc = np.broadcast_to(components.mean(), shape)
        self._stddev = np.broadcast_to(components.stddev(), shape)

    @property
    def num_conditions(self) -> int:
        """N."""
        return len(self._shares)

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws, `[num_samples, N, d]`."""
        return self._mixture.sample(num_samples, seed=(seed, 0)).numpy()

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """The log-density of points `[S, N, d]`, `[S, N]`."""
        return self._mixture.log_prob(y).numpy()

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """The distribution function of each column alone at points `[S, N, d]`."""
        units = (y[:, :, np.newaxis] - self._loc) / self._stddev
        below = 0.5 * tf.math.erfc(-units / np.sqrt(2)).numpy()
        return np.einsum("nk,snkd->snd", self._shares, below)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Quantiles of each column alone at `[Q]`, `[Q, N, d]`, by bisection."""
        probability = probability[:, np.newaxis, np.newaxis]
        of_parts = self._loc + self._stddev * tf.math.ndtri(probability[..., np.newaxis]).numpy()
        counts = (self._shares > _NEGLIGIBLE)[:, :, np.newaxis]
        low = np.where(counts, of_parts, np.inf).min(axis=2)
        high = np.where(counts, of_parts, -np.inf).max(axis=2)
        for _ in range(_NUM_BISECTIONS):
            middle = 0.5 * (low + high)
            is_below = self.cdf(middle) < probability
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        return 0.5 * (low + high)

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Points `[P, N, d]` and weights `[P, N]` that give expectations in each column."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NUM_NODES)
        y = self._loc + self._stddev * nodes[:, np.newaxis, np.newaxis, np.newaxis]
        y = np.moveaxis(y, 2, 0).reshape(-1, *self._loc.shape[::2])
        weights = self._shares.T[:, np.newaxis] * (weights / weights.sum())[:, np.newaxis]
        return y, weights.reshape(len(y), -1)
