"""Helpers of several test modules: points, perturbed weights, oracles, counts of operations."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.internal import test_util

from tfp_gmnvp import mixtures

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def points(*shape, seed=0, dtype=np.float64):
    """Standard normal draws as a tensor."""
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), dtype)


def perturb(module, *, scale=0.3, seed=0):
    """Moves every trainable variable by normal draws, away from the identity."""
    rng = np.random.default_rng(seed)
    for variable in module.trainable_variables:
        step = scale * rng.standard_normal(variable.shape)
        variable.assign_add(tf.cast(step, variable.dtype))
    return module


def random_parameters(num_components, event_size, covariance_type, *, seed=0, dtype=np.float64):
    """Weights, means and well-conditioned covariances of a mixture."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(num_components, 5.0))
    loc = 2 * rng.standard_normal([num_components, event_size])
    root = rng.standard_normal([num_components, event_size, event_size])
    full = 0.3 * np.eye(event_size) + root @ np.swapaxes(root, 1, 2) / event_size
    covariance = {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2),
        "spherical": full[:, 0, 0],
        "low_rank": np.concatenate(
            [np.diagonal(full, axis1=1, axis2=2)[..., np.newaxis], root[..., :2]], axis=-1
        ),
        "tied_low_rank": np.concatenate([np.diag(full[0])[:, np.newaxis], root[0, :, :2]], axis=-1),
    }[covariance_type]
    return mixtures.MixtureParameters(*(tf.constant(p, dtype) for p in (probs, loc, covariance)))


def full_covariances(parameters, covariance_type):
    """The covariances as `[K, D, D]`, whatever their type."""
    num_components, event_size = parameters.loc.shape
    covariance = np.asarray(parameters.covariance)
    if covariance_type == "tied":
        return np.broadcast_to(covariance, [num_components, event_size, event_size])
    if covariance_type == "diag":
        return np.stack([np.diag(variance) for variance in covariance])
    if covariance_type == "tied_low_rank":
        covariance = np.broadcast_to(covariance, [num_components, *covariance.shape])
    if covariance_type in ("low_rank", "tied_low_rank"):
        loadings = covariance[..., 1:]
        outer = loadings @ np.swapaxes(loadings, 1, 2)
        return outer + np.stack([np.diag(variance) for variance in covariance[..., 0]])
    if covariance_type == "spherical":
        return covariance[:, np.newaxis, np.newaxis] * np.eye(event_size)
    return covariance


def tfp_mixture(parameters, covariance_type):
    """The same mixture, built from TFP's distributions."""
    scale_tril = np.linalg.cholesky(full_covariances(parameters, covariance_type))
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=parameters.probs),
        tfd.MultivariateNormalTriL(parameters.loc, scale_tril),
    )


def mixture_with(parameters, covariance_type, dtype=None):
    """A `gaussian_mixture` with these parameters."""
    num_components, event_size = parameters.loc.shape
    mixture = mixtures.gaussian_mixture(
        num_components,
        event_size,
        covariance_type,
        rank=parameters.covariance.shape[-1] - 1 if "low_rank" in covariance_type else None,
        dtype=dtype or parameters.loc.dtype,
    )
    mixtures.assign_parameters(mixture, parameters)
    return mixture


def count_ops(function, *args):
    """The number of operations of each type in the traced function, as a dict."""
    graph = tf.function(function, autograph=False).get_concrete_function(*args).graph
    graph = graph.as_graph_def()
    counts = {}
    for nodes in (graph.node, *(inner.node_def for inner in graph.library.function)):
        for node in nodes:
            counts[node.op] = counts.get(node.op, 0) + 1
    return counts


class _Consistency(test_util.VectorDistributionTestHelpers, tf.test.TestCase):
    """TFP's own check of samples against densities, outside a TFP test case."""


def assert_samples_agree_with_log_prob(distribution, *, radius, center, rtol, num_samples=100_000):
    tf.random.set_seed(0)  # TFP draws with integer seeds, which continue the global state
    _Consistency().run_test_sample_consistent_log_prob(
        lambda values: values,
        distribution,
        num_samples=num_samples,
        radius=radius,
        center=center,
        rtol=rtol,
        seed=1,
    )
