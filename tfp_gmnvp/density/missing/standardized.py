"""A flow in two parts: what acts on each column alone, and the density of the columns inside.

    x = g(y), x_d = g_d(y_d) increasing,    log p(x_o) = log p_y(y_o) + sum_{d in o} log dy_d/dx_d

for any set o of columns. So marginals and conditionals of y give those of x: standardisation, the
compression of tails and the like take nothing away from what is exact.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors, mixtures
from tfp_gmnvp.bijectors import SinglePassChain, Tails
from tfp_gmnvp.bijectors.single_pass import inverse_and_log_det
from tfp_gmnvp.bijectors.standardization import Standardization
from tfp_gmnvp.density.missing.mixtures import TableMixture
from tfp_gmnvp.density.mixture_candidates import MixtureCandidate, fit_candidates
from tfp_gmnvp.flows import precision
from tfp_gmnvp.flows.checks import check_has_mixture
from tfp_gmnvp.flows.distribution import Flow
from tfp_gmnvp.mixtures.components import GaussianComponents

__all__ = ["StandardizedFlow"]

tfd = tfp.distributions

_BATCH = 20_000
_POINTS_OF_PROPOSAL, _COMPONENTS_OF_PROPOSAL = 3000, 12


class StandardizedFlow:
    """A flow's density of columns y, and the maps between them and the data's columns x.

    #### Examples

    >>> from tfp_gmnvp.flows.mixture_flow import standardized_mixture
    >>> flow = standardized_mixture(2, standardize=[[0.0, 1.0], [4.0, 5.0]], seed=0)
    >>> parts = StandardizedFlow(flow)
    >>> parts.to_latent(np.array([[6.0, np.nan]])).tolist(), parts.mixture is not None
    ([[2.0, nan]], True)
    """

    def __init__(self, flow: tfd.TransformedDistribution):
        """Splits the flow.

        Args:
          flow: a flow over a Gaussian mixture, without a context.

        Raises:
          TypeError: if it is none.
          ValueError: if it takes a context.
        """
        check_has_mixture(flow)
        if bijectors.context_size(flow.bijector):
            raise ValueError(
                "`flow` must not take a context: fix one by `condition(flow, context)`, or fit a "
                "flow to all columns, contexts among them."
            )
        self.flow = flow
        self.size = int(flow.event_shape[-1])
        whole = flow.bijector
        parts = list(whole.bijectors) if isinstance(whole, SinglePassChain) else [whole]
        number = next((n for n, part in enumerate(parts) if not _is_by_column(part)), len(parts))
        self._outer = SinglePassChain(parts[:number]) if number else None
        inner = parts[number:]
        self._inner = Flow(flow.distribution, SinglePassChain(inner)) if inner else None

    @property
    def mixture(self) -> TableMixture | None:
        """The density of y if it is a Gaussian mixture, and else `None`."""
        mixture = self.flow.distribution
        if self._inner is not None:
            return None
        if not isinstance(mixture.components_distribution, GaussianComponents):
            return None
        parameters = mixtures.mixture_parameters(mixture)
        structure = mixtures.mixture_structure(mixture)
        return TableMixture.of(parameters, structure.name)

    def to_latent(self, x: np.ndarray) -> np.ndarray:
        """The columns y of data, `[N, D]`; NaN stays NaN."""
        if self._outer is None:
            return np.asarray(x, np.float64)
        is_missing = np.isnan(x)
        y = _in_batches(self._inverse, np.where(is_missing, self._filler, x))
        return np.where(is_missing, np.nan, y)

    def from_latent(self, y: np.ndarray) -> np.ndarray:
        """The data x of columns `[N, D]`; NaN stays NaN."""
        if self._outer is None:
            return np.asarray(y, np.float64)
        is_missing = np.isnan(y)
        x = _in_batches(self._forward, np.where(is_missing, 0.0, y))
        return np.where(is_missing, np.nan, x)

    def log_slopes(self, x: np.ndarray) -> np.ndarray:
        """log dy_d/dx_d at data `[N, D]`; zero where an entry is missing."""
        if self._outer is None:
            return np.zeros(x.shape)
        is_missing = np.isnan(x)
        slopes = _in_batches(self._log_slopes, np.where(is_missing, self._filler, x))
        return np.where(is_missing, 0.0, slopes)

    def log_prob(self, y: np.ndarray) -> np.ndarray:
        """The log-density of columns y, `[N, D]` without missing entries, in nats."""
        if (mixture := self.mixture) is not None:
            return mixture.log_prob(y)
        density = self.flow.distribution if self._inner is None else self._inner
        return _in_batches(lambda rows: density.log_prob(tf.cast(rows, self.flow.dtype)), y)

    def sample(self, num_samples: int, seed: int) -> np.ndarray:
        """Draws columns y, `[num_samples, D]`."""
        density = self.flow.distribution if self._inner is None else self._inner
        return density.sample(num_samples, seed=(seed, 0)).numpy().astype(np.float64)

    def proposal(self, seed: int) -> TableMixture:
        """A mixture near the density of y: itself, or one that is fitted to 3,000 samples of it."""
        if (mixture := self.mixture) is not None:
            return mixture
        y = self.sample(_POINTS_OF_PROPOSAL, seed)
        y = y[np.isfinite(y).all(axis=1)]
        (fit,) = fit_candidates(
            y,
            np.ones([1, len(y)]),
            [MixtureCandidate("full", _COMPONENTS_OF_PROPOSAL, shrinkage=0.1)],
            seeds=[(seed,)],
            num_iterations=50,
        )
        return TableMixture(*fit[:3]).with_wide_parts()

    @functools.cached_property
    def _filler(self) -> np.ndarray:
        """A value that each column may have, `[D]`."""
        return self._forward(tf.zeros([1, self.size], tf.float64)).numpy()[0].astype(np.float64)

    def _forward(self, y):
        y = tf.cast(y, self.flow.dtype)
        if precision.takes_float64(self.flow):
            return bijectors.forward_in_float64(self._outer, y)
        return self._outer.forward(y)

    def _inverse(self, x):
        return inverse_and_log_det(self._outer, tf.cast(x, self._row_dtype))[0]

    def _log_slopes(self, x):
        x = tf.cast(x, self._row_dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = inverse_and_log_det(self._outer, x)[0]
        return tf.math.log(tape.gradient(y, x))

    @property
    def _row_dtype(self):
        return precision.row_dtype(self.flow, np.float64)


def _is_by_column(bijector) -> bool:
    """Whether a bijector maps each column by an increasing function of its own."""
    if isinstance(bijector, (Standardization, Tails)):
        return True
    return bool(getattr(bijector, "is_by_column", False))


def _in_batches(function, rows):
    if not len(rows):
        return np.zeros(rows.shape)
    starts = range(0, len(rows), _BATCH)
    parts = [function(tf.constant(rows[start : start + _BATCH])).numpy() for start in starts]
    return np.concatenate(parts).astype(np.float64)
