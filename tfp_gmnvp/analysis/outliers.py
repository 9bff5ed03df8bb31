"""Outlier detection by the rank of a point's density among known points."""

from __future__ import annotations

import math
import warnings

import numpy as np
import tensorflow_probability as tfp

from tfp_gmnvp._shared import array_checks
from tfp_gmnvp._shared.arguments import check_number
from tfp_gmnvp._shared.tables import column_names
from tfp_gmnvp.density.arguments import checked_weights
from tfp_gmnvp.flows import columns, on_arrays

__all__ = ["OutlierDetector"]

tfd = tfp.distributions


class OutlierDetector:
    """Scores points by the share of known points with at least their density.

        score(x) = #{n: log p(x_n) >= log p(x)} / N

    With no ties the scores of the known points themselves are 1/N, 2/N, ..., 1, and the score of a
    fresh point of their distribution is uniform on 0, 1/N, ..., 1, for any flow: it is one
    minus a conformal p-value, up to 1/N (Bates et al. 2023, arXiv:2104.08279). This requires known
    points that the flow was not trained on. A flow that overfits gives its training points a higher
    density than fresh ones, so a detector that uses them finds too many outliers among fresh
    points.

    A point is an outlier where its density is at most that of the `floor(contamination N)` least
    likely known points. With no ties these are just as many known points, and a fresh point
    is called one with probability `floor(contamination N) / (N + 1)`.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, seed=0)  # starts as a standard normal
    >>> x = np.random.default_rng(0).normal(size=[200, 2])
    >>> detector = OutlierDetector(flow, x, contamination=0.1)
    >>> int(detector.is_outlier(x).sum())
    20
    >>> detector.score([[0.0, 0.0], [9.0, 9.0]]).tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        flow: tfd.TransformedDistribution,
        x: np.ndarray,
        *,
        contamination: float = 0.05,
        sample_weight: np.ndarray | None = None,
    ):
        """Computes the density of known points under the current flow.

        Args:
          flow: a flow over a `tfd.MixtureSameFamily`. After more training build a new detector.
          x: known points `[N, D]`: held-out ones for calibrated scores, or the training data.
          contamination: the share, in [0, 1), of the known points that count as outliers, 0 for
            none. A positive share requires at least `1 / contamination` known points.
          sample_weight: weights `[N]` of the known points, not negative; shares are of their sum.
            `None` for ones.

        Raises:
          ValueError: if `contamination` is out of its range, x is not `[N, D]` and finite, a weight
            is negative, or a log-density is not a number.

        Warns:
          UserWarning: if `contamination` is above zero, but x holds too few points for one of them
            to be an outlier, so that no point ever is.
        """
        check_number("contamination", contamination, lambda share: 0 <= share < 1, "be in [0, 1)")
        self.flow, self.contamination = flow, contamination
        log_prob = on_arrays.log_prob(flow, on_arrays.as_points(flow, x))
        weight = checked_weights(sample_weight, len(log_prob), 1)
        if np.isnan(log_prob).any():
            raise ValueError("`flow` gives some of the known points a log-density of NaN.")
        if weight is None:
            weight = np.ones(len(log_prob))
        log_prob, weight = log_prob[weight > 0], weight[weight > 0]
        order = np.argsort(log_prob, kind="stable")
        log_prob, self._columns = log_prob[order], column_names(x)
        self._log_prob, self._share_up_to = log_prob, np.cumsum(weight[order]) / weight.sum()
        share = contamination + 1e-9 / len(log_prob)
        num_outliers = int(np.searchsorted(self._share_up_to, share, side="right"))
        self._threshold = float(log_prob[num_outliers - 1]) if num_outliers else -math.inf
        if contamination and not num_outliers:
            _warn_of_too_few(contamination, len(log_prob))

    @property
    def threshold(self) -> float:
        """The log-density in nats; points at or below it are outliers."""
        return self._threshold

    def score(self, x: np.ndarray) -> np.ndarray:
        """Computes the share of the known points that are at least as likely.

        Args:
          x: points `[M, D]`, or of any other leading shape, for example `[D]`.

        Returns:
          float64 array `[M]` in [0, 1]: 1 for a point less likely than all known ones.

        Raises:
          ValueError: if x is not `[..., D]` and finite.
        """
        less_likely = np.searchsorted(self._log_prob, self._log_densities(x), side="left")
        shares = np.concatenate([[0.0], self._share_up_to[:-1], [1.0]])
        return 1.0 - shares[less_likely]

    def is_outlier(self, x: np.ndarray) -> np.ndarray:
        """Whether the log-density is at most the threshold.

        Args:
          x: points `[M, D]`, or of any other leading shape, for example `[D]`.

        Returns:
          Boolean array `[M]`.

        Raises:
          ValueError: if x is not `[..., D]` and finite.
        """
        return self._log_densities(x) <= self._threshold

    def _log_densities(self, x):
        columns.check_names(x, self._columns)
        x, leading = self._as_rows(array_checks.as_array(x))
        log_prob = on_arrays.log_prob(self.flow, on_arrays.as_points(self.flow, x))
        return np.where(np.isnan(log_prob), -np.inf, log_prob).reshape(leading)

    def _as_rows(self, x):
        """Reshapes points to `[M, D]`, and returns their leading shape; -1 for other shapes."""
        event_shape = tuple(self.flow.event_shape)
        shape = tuple(getattr(x, "shape", ()))
        leading = shape[: len(shape) - len(event_shape)]
        if leading + event_shape != shape or len(leading) == 1:
            return x, -1
        return np.asarray(x).reshape(-1, *event_shape), leading


def _warn_of_too_few(contamination, num_points):
    needed = math.ceil((1 - 1e-9) / contamination)
    warnings.warn(
        f"`contamination` of {contamination:g} requires at least {needed} known points for one of "
        f"them to be an outlier, and `x` holds {num_points}: the threshold is minus infinity, and "
        "nothing is an outlier. Pass more points or a higher `contamination`, or use `score`.",
        stacklevel=3,
    )
