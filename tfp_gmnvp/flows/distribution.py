"""The distribution class of flows, with helpful errors for quantities without a closed form."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._compat import PlainTransformedDistribution
from tfp_gmnvp._shared.array_checks import check_tensor_dtype
from tfp_gmnvp.bijectors import Frozen, SinglePassBijector, SinglePassChain
from tfp_gmnvp.flows.traced_log_prob import is_traceable, traced_log_prob

__all__ = ["Flow"]

tfd, tfb = tfp.distributions, tfp.bijectors

_BY_SAMPLES = "estimate it from samples, `flow.sample(10_000, seed=0)`"
_SHARE_OF_SAMPLES = "count samples, `flow.sample(10_000, seed=0)`"
_INSTEAD = {
    "entropy": "`tfp_gmnvp.summaries.entropy(flow)` estimates it",
    "kl_divergence": "`tfp_gmnvp.summaries.kl_divergence(flow, other)` estimates it",
    "cross_entropy": "`-tf.reduce_mean(other.log_prob(flow.sample(10_000, seed=0)))` estimates it",
    "mode": "maximise `flow.log_prob`, for example from the components' means, "
    "`flow.bijector.forward(flow.distribution.components_distribution.loc)`",
    **dict.fromkeys(("mean", "variance", "stddev", "covariance"), _BY_SAMPLES),
    **dict.fromkeys(
        ("cdf", "log_cdf", "survival_function", "log_survival_function", "quantile"),
        _SHARE_OF_SAMPLES,
    ),
}


class Flow(PlainTransformedDistribution):
    """The distribution that `tfd.TransformedDistribution` constructs, for bijectors of ours.

    It differs in its errors. Quantities without a closed form, such as `entropy` and `cdf`, raise
    an error that names an alternative. The error for a tensor of another dtype says how to cast it.
    `experimental_default_event_space_bijector` is the flow's own bijector, so that samplers and
    surrogate posteriors move in the space of the latents; it does not expose the flow's variables.

    Its base is what `tfd.TransformedDistribution(...)` returns for a bijector that is no
    `CompositeTensor`, as ours are not; a subclass of `tfd.TransformedDistribution` would be one.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, 3, seed=0)
    >>> flow.entropy()
    Traceback (most recent call last):
    NotImplementedError: A flow has no `entropy` in closed form: ...
    >>> bijector = flow.experimental_default_event_space_bijector()
    >>> bijector.forward([1.0, 2.0]).numpy().tolist(), bijector.variables
    ([1.0, 2.0], ())
    """

    def _default_event_space_bijector(self):
        of_latents = self.distribution.experimental_default_event_space_bijector()
        if not isinstance(self.bijector, SinglePassBijector):
            return super()._default_event_space_bijector()
        if of_latents is None:
            return None
        # Not `bijector(...)`: it is a `tfb.Chain`, whose cache outlives updates of the variables.
        is_plain = isinstance(of_latents, tfb.Identity)
        return Frozen(self.bijector if is_plain else SinglePassChain([self.bijector, of_latents]))

    def _log_prob(self, value, **kwargs):
        built_with = getattr(self, "_built_with", None)
        if kwargs or built_with is None or not is_traceable(built_with.arguments):
            return super()._log_prob(value, **kwargs)
        return traced_log_prob(self, PlainTransformedDistribution._log_prob, value)

    def _check_value(self, value):
        check_tensor_dtype("x", value, self.dtype)

    def _cross_entropy(self, other):
        try:
            return super()._cross_entropy(other)
        except NotImplementedError as error:
            raise _not_in_closed_form("cross_entropy") from error


def _in_our_words(name):
    """Wraps a method of TFP, so that its `NotImplementedError` names an alternative."""

    def method(self, *args, **kwargs):
        try:
            return getattr(super(Flow, self), f"_{name}")(*args, **kwargs)
        except NotImplementedError as error:
            raise _not_in_closed_form(name) from error

    method.__name__ = f"_{name}"
    return method


def _not_in_closed_form(name):
    return NotImplementedError(f"A flow has no `{name}` in closed form: {_INSTEAD[name]}.")


for _name in _INSTEAD.keys() - {"kl_divergence", "cross_entropy"}:
    setattr(Flow, f"_{_name}", _in_our_words(_name))


def _kl_divergence(a, b, name=None):
    """The divergence of flows with one bijector, which is that of their latents."""
    is_transformed = all(isinstance(d, PlainTransformedDistribution.base) for d in (a, b))
    if not (is_transformed and a.bijector == b.bijector):
        raise _not_in_closed_form("kl_divergence")
    try:
        with tf.name_scope(name or "kl_divergence"):
            return tfd.kl_divergence(a.distribution, b.distribution)
    except NotImplementedError as error:
        raise _not_in_closed_form("kl_divergence") from error


# TFP selects the function whose pair of classes is nearest to those of the two distributions.
for _pair in (
    (Flow, Flow),
    (Flow, tfd.Distribution),
    (tfd.Distribution, Flow),
    (Flow, PlainTransformedDistribution.base),
    (PlainTransformedDistribution.base, Flow),
):
    tfd.RegisterKL(*_pair)(_kl_divergence)
