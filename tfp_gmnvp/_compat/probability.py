"""Private parts of TensorFlow Probability: the bijector cache, and distributions' base classes.

Seen to work with TFP 0.25 alone; `setup.py` admits no other.
"""

from __future__ import annotations

import abc
import threading
import weakref
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import (
    mixture_same_family,
    transformed_distribution,
)

__all__ = ["PlainMixture", "PlainTransformedDistribution", "UncachedBijector", "set_parameters"]

tfb, tfd = tfp.bijectors, tfp.distributions


class _Pass(NamedTuple):
    """One evaluation of a bijector: the tensors at both ends and the log-det between them."""

    x: weakref.ref
    y: weakref.ref
    kwargs: dict
    graph: weakref.ref
    inverse_log_det: tf.Tensor


class _LogDetCache:
    """Replaces TFP's bijector cache, and keeps one log-det for one call.

    `tfb.Bijector` looks up values and log-dets in its class attribute `_cache`. TFP's own cache
    answers by the identity of the input tensor, so its answers outlive an update of the variables.
    This cache computes every value anew. It keeps only the log-det that was computed together with
    a value, and only for the next call.
    """

    def __init__(self, bijector: UncachedBijector | None = None):
        self._bijector = bijector

    def __get__(self, bijector, bijector_class=None):
        return type(self)(bijector)

    def forward(self, x, **kwargs):
        y, log_det = self._bijector._checked_forward_and_log_det(x, **kwargs)
        self._keep(x, y, kwargs, -log_det)
        return y

    def inverse(self, y, **kwargs):
        x, log_det = self._bijector._checked_inverse_and_log_det(y, **kwargs)
        self._keep(x, y, kwargs, log_det)
        return x

    def forward_attributes(self, x, **kwargs):
        last = self._take(kwargs)
        return {"ildj": last.inverse_log_det} if last and last.x() is x else {}

    def inverse_attributes(self, y, **kwargs):
        last = self._take(kwargs)
        return {"ildj": last.inverse_log_det} if last and last.y() is y else {}

    def _keep(self, x, y, kwargs, inverse_log_det):
        self._bijector._last_pass.value = _Pass(
            weakref.ref(x), weakref.ref(y), kwargs, weakref.ref(_graph()), inverse_log_det
        )

    def _take(self, kwargs):
        last = getattr(self._bijector._last_pass, "value", None)
        self._bijector._last_pass.value = None
        is_same = last and last.graph() is _graph() and _are_same(last.kwargs, kwargs)
        return last if is_same else None


def _graph():
    """Returns the graph under construction: each iteration of a loop has a graph of its own."""
    return tf.compat.v1.get_default_graph()


def _are_same(a, b):
    return a.keys() == b.keys() and all(a[name] is b[name] for name in a)


class UncachedBijector(tfb.Bijector):
    """A bijector that caches no values, and checks tensors before TFP converts them.

    Public way: none. `tfb.Bijector` has no argument that turns its cache off. Subclasses that
    override `_forward` and `_inverse` alone are cached, and return stale values once a variable
    has been assigned. TFP's conversion of an input with the wrong dtype fails before `_forward` is
    called, with an error that does not say how to cast it.

    A subclass implements the three methods below.
    """

    _cache = _LogDetCache()

    def __init__(self, **kwargs):
        self._last_pass = threading.local()
        super().__init__(**kwargs)

    def __getstate__(self):
        return {**self.__dict__, "_last_pass": None}

    def __setstate__(self, state):
        self.__dict__.update(state, _last_pass=threading.local())

    @abc.abstractmethod
    def _check_dtype(self, name, value, dtype):
        """Raises a `TypeError` if a tensor, x or y, does not have this dtype."""

    @abc.abstractmethod
    def _checked_forward_and_log_det(self, x, **kwargs):
        """Checks the shape of x, and returns y and log|det dy/dx|."""

    @abc.abstractmethod
    def _checked_inverse_and_log_det(self, y, **kwargs):
        """Checks the shape of y, and returns x and log|det dx/dy|."""

    def _call_forward(self, x, name, **kwargs):
        self._check_dtype("x", x, self.inverse_dtype(**kwargs))
        return super()._call_forward(x, name, **kwargs)

    def _call_inverse(self, y, name, **kwargs):
        self._check_dtype("y", y, self.forward_dtype(**kwargs))
        return super()._call_inverse(y, name, **kwargs)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}


class _SampledByShape:
    """Adds the hook `_sample_of_shape`, which sees the whole sample shape and all arguments.

    Public way: `_sample_n`. TFP then sets the static shape of the samples by the distribution's own
    batch shape, and fails where the batch shape comes from an argument, such as a `context`.
    """

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._sample_of_shape(sample_shape, seed, **kwargs)

    def _sample_of_shape(self, sample_shape, seed, **kwargs):
        return super()._call_sample_n(sample_shape, seed, **kwargs)


class PlainTransformedDistribution(
    _SampledByShape, transformed_distribution._TransformedDistribution
):
    """The class of `tfd.TransformedDistribution(...)` if a part is not a `CompositeTensor`.

    Public way: a subclass of `tfd.TransformedDistribution`. Its instances are `CompositeTensor`s,
    and lose their variables when their parts, as ours, are not. Nor does a subclass see a value
    before TFP converts it: `_log_prob` is called afterwards, so that an error cannot say how to
    cast a tensor of the wrong dtype. The hook `_check_value` can.
    """

    #: The class itself, which `tfd.RegisterKL` needs for flows that are not ours.
    base = transformed_distribution._TransformedDistribution

    def _check_value(self, value):
        """Checks a value, before TFP converts it to a tensor of the distribution's dtype."""

    def _call_log_prob(self, value, name, **kwargs):
        self._check_value(value)
        return super()._call_log_prob(value, name, **kwargs)

    def _call_prob(self, value, name, **kwargs):
        self._check_value(value)
        return super()._call_prob(value, name, **kwargs)

    def _call_unnormalized_log_prob(self, value, name, **kwargs):
        self._check_value(value)
        return super()._call_unnormalized_log_prob(value, name, **kwargs)


class PlainMixture(_SampledByShape, mixture_same_family._MixtureSameFamily):
    """The class of `tfd.MixtureSameFamily(...)` if a part is not a `CompositeTensor`.

    Public way: a subclass of `tfd.MixtureSameFamily`; see `PlainTransformedDistribution`.
    """

    def _component_log_joint(self, z):
        """Returns log pi_k + log N(z | mu_k, Sigma_k), `[..., K]`, with TFP's checks of z.

        Public way: `log_softmax` of the logits plus the components' `log_prob`. It skips TFP's
        handling of batches of mixtures.
        """
        return self._per_mixture_component_log_prob(z)

    def _named_scope(self, name):
        """Opens the name scope of a method, as TFP's own methods do.

        Public way: `tf.name_scope`. It skips the assertions of `validate_args=True`.
        """
        return self._name_and_control_scope(name)


def set_parameters(distribution: tfd.Distribution, parameters: dict) -> None:
    """Sets the arguments that `copy` and `parameters` of a distribution report.

    Public way: the argument `parameters` of `tfd.Distribution`. A class between ours and
    `tfd.Distribution` passes on its own arguments, not those of the subclass.

    Args:
      distribution: under construction, after its base class' constructor.
      parameters: its constructor's arguments; checkpoints do not track them.

    #### Examples

    >>> normal = tfd.Normal(0.0, 1.0)
    >>> set_parameters(normal, {"loc": 0.0})
    >>> normal.parameters
    {'loc': 0.0}
    """
    distribution._parameters = distribution._no_dependency(parameters)
