"""Evaluation of a flow on NumPy arrays, in batches and in the flow's dtype."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp import bijectors
from tfp_gmnvp._shared import array_checks
from tfp_gmnvp.flows import columns, precision
from tfp_gmnvp.flows.checks import check_has_mixture
from tfp_gmnvp.flows.gaussian_mixture_flow import posterior

tfd = tfp.distributions

__all__ = [
    "Mixture",
    "as_points",
    "draw",
    "event_size",
    "forward",
    "inverse",
    "log_prob",
    "log_responsibilities",
    "mixture_arrays",
    "require_plane",
    "responsibilities",
]

_BATCH = 10_000


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """The latents' mixture: weights `[K]`, means `[K, D]` and covariances `[K, D, D]`."""

    probs: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def event_size(flow: tfd.TransformedDistribution) -> int:
    """Checks that the flow is over a mixture, and returns the dimension D of its points."""
    check_has_mixture(flow)
    return int(flow.distribution.event_shape[-1])


def require_plane(flow: tfd.TransformedDistribution, function: str) -> None:
    """Raises a `ValueError` unless the flow's points are two-dimensional."""
    size = event_size(flow)
    if size != 2:
        raise ValueError(f"{function} requires a flow of 2 dimensions, got {size}; use pair_plot.")


def as_points(flow: tfd.TransformedDistribution, x: np.ndarray, name: str = "x") -> np.ndarray:
    """Checks points, and returns them as an `[N, D]` array of the flow's dtype.

    The array is float64 where the flow uses its digits; see `precision`.
    """
    event_size(flow)  # raises an error if it is not a flow
    points = np.asarray(columns.as_array(x, name, flow))
    array_checks.check_points(points, flow.event_shape, flow.dtype, name=name)
    precision.check_resolution(flow, points, name)
    return points.astype(precision.row_dtype(flow, points.dtype).as_numpy_dtype, copy=False)


def mixture_arrays(flow: tfd.TransformedDistribution) -> Mixture:
    """Returns the parameters of the latents' mixture as arrays."""
    base = flow.distribution
    components = base.components_distribution
    probs = base.mixture_distribution.probs_parameter().numpy()
    shape = (len(probs), event_size(flow))
    means = np.broadcast_to(components.mean(), shape)
    covariances = np.broadcast_to(components.covariance(), (*shape, shape[-1]))
    return Mixture(probs, means, covariances)


def inverse(flow: tfd.TransformedDistribution, x: np.ndarray) -> np.ndarray:
    """Computes the latents z of data x, `[N, D]`."""
    return _in_batches(lambda points: precision.latents_and_log_det(flow, points)[0], x)


def forward(flow: tfd.TransformedDistribution, z: np.ndarray) -> np.ndarray:
    """Computes the data x of latents z, `[N, D]`, in float64 where the flow takes that."""
    return _in_batches(functools.partial(_forward, flow), z)


def log_prob(flow: tfd.TransformedDistribution, x: np.ndarray) -> np.ndarray:
    """Computes the log-density in nats, `[N]`."""
    return _in_batches(functools.partial(precision.log_prob, flow), x)


def log_responsibilities(flow: tfd.TransformedDistribution, z: np.ndarray) -> np.ndarray:
    """Computes `log p(k | z)`, `[N, K]`, of latents z."""

    def normalised(latents):
        logits = flow.distribution.posterior_marginal(latents).logits_parameter()
        return tf.nn.log_softmax(logits, axis=-1)

    return _in_batches(normalised, z)


def responsibilities(flow: tfd.TransformedDistribution, x: np.ndarray) -> np.ndarray:
    """Computes `p(k | x)`, `[N, K]`, of data x."""
    return _in_batches(lambda points: posterior(flow, points).probs_parameter(), x)


def draw(flow: tfd.TransformedDistribution, num_samples: int, seed: int) -> np.ndarray:
    """Draws samples `[num_samples, D]`; the same integer seed gives the same samples.

    They are `flow.sample`'s, in float64 where the flow takes that.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}.")
    starts = range(0, num_samples, _BATCH)
    sizes = [min(_BATCH, num_samples - start) for start in starts]
    if precision.takes_float64(flow):
        latents = flow.distribution.sample
        parts = [
            _forward(flow, latents(n, seed=(seed, i))) for n, i in zip(sizes, starts, strict=True)
        ]
    else:
        parts = [flow.sample(n, seed=(seed, i)) for n, i in zip(sizes, starts, strict=True)]
    return np.concatenate([part.numpy() for part in parts])


def _forward(flow, z):
    if precision.takes_float64(flow):
        return bijectors.forward_in_float64(flow.bijector, z)
    return flow.bijector.forward(z)


def _in_batches(function: Callable[[tf.Tensor], tf.Tensor], points: np.ndarray) -> np.ndarray:
    # Each batch is a new tensor, so that TFP's cache of bijector values is never used.
    starts = range(0, len(points), _BATCH)
    parts = [function(tf.constant(points[start : start + _BATCH])).numpy() for start in starts]
    return np.concatenate(parts)
