"""Real NVP flows with a Gaussian mixture prior, and the posterior over components."""

from __future__ import annotations

import difflib
import inspect
import operator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared import array_checks, tables
from tfp_gmnvp._shared.arguments import as_sizes
from tfp_gmnvp._shared.seeds import stateless_seed
from tfp_gmnvp.bijectors import (
    MLP,
    SinglePassChain,
    Spread,
    column_spread,
    compress_tails,
    real_nvp,
    standardization_from_spread,
)
from tfp_gmnvp.flows import columns, precision
from tfp_gmnvp.flows.checks import check_has_mixture, flow_location_hint
from tfp_gmnvp.flows.conditional import ConditionalFlow
from tfp_gmnvp.flows.configuration import record_arguments
from tfp_gmnvp.flows.distribution import Flow
from tfp_gmnvp.mixtures import clip_to_range, gated_mixture, gaussian_mixture, log_posterior
from tfp_gmnvp.mixtures.components import GaussianComponents

__all__ = [
    "check_flow",
    "gaussian_mixture_flow",
    "posterior",
    "predict_component",
    "sample_component",
    "standardizing",
]

tfd = tfp.distributions


def gaussian_mixture_flow(
    event_size: int,
    num_components: int = 1,
    *,
    covariance_type: str = "full",
    rank: int | None = None,
    standardize=None,
    reparameterize: bool = False,
    context_size: int = 0,
    gate_units: Sequence[int] | None = None,
    dtype=tf.float32,
    seed=None,
    name: str | None = None,
    **bijector_arguments,
) -> tfd.TransformedDistribution:
    """Builds a Real NVP with a Gaussian mixture prior.

        log p(x) = log sum_k pi_k N(f(x) | mu_k, Sigma_k) + log|det df(x)/dx|

    With one component it is the ordinary Real NVP.

    Args:
      event_size: size D of the vectors; with D = 1 take `coupling="spline"`, see `real_nvp`.
      num_components: number K >= 1 of components.
      covariance_type: see `gaussian_mixture`.
      rank: see `gaussian_mixture`.
      standardize: data `[N, D]` whose columns' means and standard deviations make up the
        outermost bijector, so that the flow sees standardised data while `log_prob` and samples are
        in the data's own units; or `None`. A column with outliers, beyond 20 robust standard
        deviations, is centred at its median and scaled by its quantiles, and its tails are
        compressed, see `Tails`. A float32 flow that standardises uses all digits of float64 rows in
        arrays, tables and data sets; `log_prob` takes tensors of the flow's dtype alone.
      reparameterize: whether samples carry gradients with respect to all parameters, the
        mixture's included, as `tfp.vi.fit_surrogate_posterior` needs; see `gaussian_mixture`.
      context_size: size C of a context, for a density p(x | c): `log_prob(x, context=c)`,
        `sample(..., context=c)`, or see `condition`. The conditioners do not rescale it, so
        it should have about unit scale. 0 for none.
      gate_units: widths of the hidden layers, possibly none, of a gating network, which makes the
        mixture's weights depend on the context; with `None` they do not.
      dtype: float32 or float64.
      seed: integer or stateless seed `[2]` of all initial values.
      name: name of the distribution. With `None` it is derived from the parts, and a
        `tfd.JointDistribution*` that holds the flow chooses a name.
      **bijector_arguments: all other arguments of `real_nvp`, such as `num_couplings`,
        `hidden_units` and `coupling`.

    Returns:
      A `tfd.TransformedDistribution` with event shape `[D]`, whose `bijector` maps latents to data
      and whose `distribution` is the mixture of the latents.

    Raises:
      ValueError: if an argument is out of its range, or `standardize` is not `[N, D]` and finite.
      TypeError: if neither this function nor `real_nvp` has an argument of this name.

    #### Examples

    >>> flow = gaussian_mixture_flow(2, num_components=3, seed=0)
    >>> flow.log_prob(tf.zeros([5, 2])).shape.as_list()
    [5]
    >>> flow.sample(4, seed=1).shape.as_list()
    [4, 2]
    """
    seed = stateless_seed(seed)
    if not (name is None or isinstance(name, str)):
        raise TypeError(f"`name` must be a string or `None`, got {name!r}.")
    bijector_arguments = _with_defaults(bijector_arguments)
    arguments = dict(locals())
    arguments.update(arguments.pop("bijector_arguments"))
    bijector_seed, mixture_seed = tfp.random.split_seed(seed, n=2)
    bijector = real_nvp(
        event_size, context_size=context_size, dtype=dtype, seed=bijector_seed, **bijector_arguments
    )
    if standardize is not None:
        parts = standardizing(standardize, event_size, dtype=dtype)
        bijector = SinglePassChain([*parts, bijector])
    settings = {"rank": rank, "dtype": dtype, "seed": mixture_seed}
    if gate_units is None:
        mixture = gaussian_mixture(
            num_components, event_size, covariance_type, reparameterize=reparameterize, **settings
        )
    else:
        gate = _gate(
            num_components, context_size, gate_units, reparameterize, dtype=dtype, seed=mixture_seed
        )
        mixture = gated_mixture(gate, num_components, event_size, covariance_type, **settings)
    family = ConditionalFlow if context_size else Flow
    flow = record_arguments(family(mixture, bijector, name=name), arguments)
    return columns.remember(flow, columns.Columns(tables.column_names(standardize)))


def posterior(flow: tfd.TransformedDistribution, x: tf.Tensor) -> tfd.Categorical:
    """Computes the posterior over components, p(k | x) = r_k(f(x)): the responsibilities.

    They are finite at all finite x. Where log p(x) is beyond the range of the dtype and `log_prob`
    is minus infinity, they are those of the limit: one for the component with the widest covariance
    in the direction of f(x). Points beyond 2e21 (float32) or 4e169 (float64) are shrunk to that
    size along their ray, as couplings would overflow.

    Args:
      flow: a flow over a `tfd.MixtureSameFamily`.
      x: points `[..., D]`.

    Returns:
      A `tfd.Categorical` with batch shape `[...]` over K components.

    #### Examples

    >>> flow = gaussian_mixture_flow(2, num_components=3, seed=0)
    >>> posterior(flow, tf.zeros([5, 2])).probs_parameter().shape.as_list()
    [5, 3]
    """
    check_has_mixture(flow)
    x = precision.as_wide(flow, columns.table_to_array(x, "x", flow))
    z = precision.latents(flow, clip_to_range(x, flow.event_shape.rank, dtype=flow.dtype))
    return tfd.Categorical(logits=log_posterior(flow.distribution, z))


def predict_component(flow: tfd.TransformedDistribution, x: tf.Tensor) -> tf.Tensor:
    """Computes the most likely component of every point, argmax_k p(k | x).

    Args:
      flow: a flow over a `tfd.MixtureSameFamily`.
      x: points `[..., D]`.

    Returns:
      An int32 tensor `[...]` of numbers in 0 .. K-1.

    #### Examples

    >>> flow = gaussian_mixture_flow(2, num_components=1)
    >>> predict_component(flow, tf.zeros([3, 2])).numpy().tolist()
    [0, 0, 0]
    """
    return posterior(flow, x).mode()


def sample_component(
    flow: tfd.TransformedDistribution, component: int, sample_shape=(), *, seed=None
) -> tf.Tensor:
    """Draws samples from one component, p(x | k): x = forward(z) with z from the component.

    Args:
      flow: a flow over a `tfd.MixtureSameFamily`.
      component: number k of the component, in 0 .. K-1.
      sample_shape: an integer or a shape.
      seed: integer or stateless seed `[2]`.

    Returns:
      A tensor `[*sample_shape, D]`, and with the flow's batch shape before D if it has one.

    Raises:
      ValueError: if `component` is out of range.

    #### Examples

    >>> flow = gaussian_mixture_flow(2, num_components=3, seed=0)
    >>> sample_component(flow, 2, 10, seed=1).shape.as_list()
    [10, 2]
    """
    check_has_mixture(flow)
    components = flow.distribution.components_distribution
    num_components = components.batch_shape[-1]
    try:
        component = operator.index(component)
    except TypeError:
        raise TypeError(f"`component` must be a whole number, got {component!r}.") from None
    if not 0 <= component < num_components:
        raise ValueError(f"`component` must be in 0 .. {num_components - 1}, got {component!r}.")
    if flow.batch_shape.rank != 0:  # the batch shape of contexts
        sample_shape = tf.reshape(tf.cast(sample_shape, tf.int32), [-1])
        sample_shape = tf.concat([sample_shape, flow.batch_shape_tensor()], axis=0)
    z = components.sample(sample_shape, seed=stateless_seed(seed))[..., component, :]
    return flow.bijector.forward(z)


def check_flow(flow, name: str = "flow") -> None:
    """Raises a `TypeError` unless the value is a flow over a Gaussian mixture.

    #### Examples

    >>> check_flow(gaussian_mixture_flow(2, seed=0))
    """
    if _is_flow(flow):
        return
    raise TypeError(
        f"`{name}` must be a flow over a Gaussian mixture, as `gaussian_mixture_flow` returns, "
        f"got {flow!r}{flow_location_hint(flow)}."
    )


def _is_flow(value):
    # Duck typing: TFP returns a private class for parts that are not composite tensors.
    mixture = getattr(value, "distribution", None)
    return (
        isinstance(value, tfd.Distribution)
        and isinstance(getattr(value, "bijector", None), tfp.bijectors.Bijector)
        and isinstance(getattr(mixture, "components_distribution", None), GaussianComponents)
    )


def _with_defaults(bijector_arguments):
    """Returns the arguments of `real_nvp`, defaults included, which a file stores."""
    ours = inspect.signature(gaussian_mixture_flow).parameters
    parameters = inspect.signature(real_nvp).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in ours}
    for name in bijector_arguments:
        if name not in defaults:
            known = [*ours, *defaults]
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise TypeError(
                f"`gaussian_mixture_flow` has no argument `{name}`: did you mean `{nearest}`?"
            )
    return {**defaults, **bijector_arguments}


def _gate(num_components, context_size, gate_units, reparameterize, *, dtype, seed):
    """Builds the gating network of the mixture's weights, which starts at zero."""
    if not context_size:
        raise ValueError("`gate_units` require a context: pass `context_size`.")
    if reparameterize:
        raise ValueError("`reparameterize` does not support `gate_units`: remove one of the two.")
    gate_units = as_sizes("gate_units", gate_units)
    seed = tf.random.experimental.stateless_fold_in(seed, num_components)
    return MLP(
        context_size, num_components, hidden_units=gate_units, dtype=dtype, seed=seed, name="gate"
    )


def standardizing(data, event_size: int, *, dtype=tf.float32) -> list[tfp.bijectors.Bijector]:
    """Builds the outermost bijectors of a flow: a standardisation, and `Tails` for outliers.

    Args:
      data: array-like `[N, D]`, or its `Spread`, as `column_spread` computes it.
      event_size: D.
      dtype: float dtype of the bijectors.

    Returns:
      A list of one bijector or two, as for a `SinglePassChain`.

    #### Examples

    >>> [part.name for part in standardizing([[0.0, 1.0], [2.0, 5.0]], 2)]
    ['standardization']
    """
    spread = data
    if not isinstance(data, Spread):
        data = np.asarray(tables.as_array(data, "standardize"))
        array_checks.check_points(data, [event_size], tf.float64, name="standardize")
        spread = column_spread(data)
    parts, bound = [standardization_from_spread(spread, dtype=dtype)], spread.bound
    return [*parts, compress_tails(bound, dtype=dtype)] if np.isfinite(bound).any() else parts
