"""Flows as SavedModels and TensorFlow Lite models, which need neither TFP nor this package."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_gmnvp._shared.arguments import check_choice
from tfp_gmnvp._shared.files import atomic_directory
from tfp_gmnvp._shared.version import __version__
from tfp_gmnvp.bijectors import context_size
from tfp_gmnvp.export.checks import checking_shapes, rows_of_shape
from tfp_gmnvp.flows.conditional import condition
from tfp_gmnvp.flows.gaussian_mixture_flow import check_flow, posterior, predict_component
from tfp_gmnvp.mixtures import clip_to_range, log_posterior

__all__ = ["export_flow", "to_tflite"]

tfd = tfp.distributions

_SAVED_MODEL_ENTRIES = {
    "assets",
    "assets.extra",
    "fingerprint.pb",
    "keras_metadata.pb",
    "saved_model.pb",
    "saved_model.pbtxt",
    "variables",
}


def export_flow(
    flow: tfd.TransformedDistribution, path: str | os.PathLike, *, overwrite: bool = False
) -> None:
    """Exports a flow as a TensorFlow SavedModel, with the current values of its variables.

    `tf.saved_model.load(path)` requires TensorFlow alone. The export has these signatures, with
    named inputs and outputs, which are also methods of the loaded object (`loaded.log_prob(x)`).
    They take any number N >= 0 of points in the flow's dtype:

    - `log_prob`: `x [N, D]`, or images `[N, H, W, C]`, to `log_prob [N]`, in nats;
    - `posterior`: `x [N, D]` to `posterior [N, K]`, the probabilities p(k | x);
    - `predict_component`: `x [N, D]` to `component [N]`, int32;
    - `inverse`: `x [N, D]` to the latents `z [N, D]`; and `forward`: `z` to `x`;
    - `sample`: `num_samples`, an int32 scalar, and `seed`, int32 `[2]`, to `x [num_samples, D]`,
      which is `flow.sample(num_samples, seed=seed)`;
    - `describe`: no input, to `event_size` (for images also `event_shape`), `num_components`,
      `covariance_type`, `context_size`, `dtype` and the `version` of this package. The file
      `assets.extra/flow.json` has the same entries.

    The signatures of a flow with a `context_size`, except `describe`, have `context [N, C]` as the
    last input, and samples are `x [num_samples, N, D]`.

    Inputs of another shape raise an `InvalidArgumentError`, on any server. A single context `[1,
    C]` applies to all points.

    The signature `serving_default` maps `x` to `log_prob`, `posterior` and `component` in one pass.

    The export is atomic: it is written to a hidden directory next to `path`, and then renamed. If
    the process is killed between the two renames that replace an older export, both remain in that
    directory.

    Args:
      flow: a flow over a Gaussian mixture, as `gaussian_mixture_flow` returns.
      path: the local directory to write; missing parents are created.
      overwrite: whether to replace a SavedModel at `path`.

    Raises:
      TypeError: if `flow` is not such a flow.
      FileExistsError: if `path` holds a SavedModel and `overwrite` is false, or anything else.
      ValueError: if `path` is a URL.

    #### Examples

    >>> import tempfile
    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> flow = gaussian_mixture_flow(2, num_components=3, seed=0)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     export_flow(flow, directory + "/flow")
    ...     loaded = tf.saved_model.load(directory + "/flow")
    >>> loaded.posterior(tf.zeros([5, 2])).shape.as_list()
    [5, 3]
    >>> int(loaded.describe()["num_components"])
    3
    """
    check_flow(flow)
    if "://" in os.fspath(path):
        raise ValueError(f"`path` must be a local directory, got {os.fspath(path)!r}.")
    path = Path(path).resolve()
    with atomic_directory(path, lambda: _check_replaceable(path, overwrite)) as directory:
        module = _ExportedFlow(flow)
        tf.saved_model.save(module, str(directory), signatures=module.signatures(flow))
        extra = directory / "assets.extra"
        extra.mkdir()
        description = json.dumps(_description(flow), indent=2) + "\n"
        (extra / "flow.json").write_text(description, encoding="utf-8")


def to_tflite(flow: tfd.TransformedDistribution, function: str = "log_prob") -> bytes:
    """Converts one function of a float32 flow to a TensorFlow Lite model of builtin operators.

    Its only signature has the input and the output that the function's signature has in
    `export_flow`, for any number N >= 1 of points, and with a context for each. The interpreter
    does not run on inputs of another shape.

    Args:
      flow: a flow over a Gaussian mixture, as `gaussian_mixture_flow` returns, of dtype float32.
      function: 'log_prob', 'posterior', 'predict_component', 'forward' or 'inverse'.

    Returns:
      The model, to be written to a file or given to an interpreter.

    Raises:
      TypeError: if `flow` is not such a flow.
      ValueError: if it is not of dtype float32, or `function` names none of these functions.

    #### Examples

    >>> from tfp_gmnvp import gaussian_mixture_flow
    >>> model = to_tflite(gaussian_mixture_flow(2, num_couplings=1, hidden_units=[4]), "inverse")
    >>> model[4:8]
    b'TFL3'
    """
    check_flow(flow)
    if flow.dtype != tf.float32:
        raise ValueError(f"`flow` must be of dtype float32, got {flow.dtype.name}.")
    functions = _point_functions(flow)
    check_choice("function", function, list(functions))
    call, source, target = functions[function]

    def pointwise(*rows):
        # Mapped one by one, points have a static shape. With a dynamic one the converter of
        # TensorFlow 2.21 folds reduce_sum(ones(shape) * constant) to a wrong constant.
        checked = tuple(rows_of_shape(specs, rows))
        return {target: tf.vectorized_map(lambda row: call(*row), checked)}

    specs = [_points(flow, source), *_contexts(flow)]
    traced = _traced(pointwise, specs)
    module = tf.Module()
    module.variables_read = flow.variables
    concrete = traced.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


class _PointFunction(NamedTuple):
    """A function of points `[..., D]` and contexts, with the names of its input and output."""

    call: Callable[..., tf.Tensor]
    source: str
    target: str


def _point_functions(flow):
    functions = {
        "log_prob": (lambda flow, x: flow.log_prob(x), "x", "log_prob"),
        "posterior": (lambda flow, x: posterior(flow, x).probs_parameter(), "x", "posterior"),
        "predict_component": (predict_component, "x", "component"),
        "forward": (lambda flow, z: flow.bijector.forward(z), "z", "x"),
        "inverse": (lambda flow, x: flow.bijector.inverse(x), "x", "z"),
    }
    return {
        name: _PointFunction(_of_points(function, flow, source), source, target)
        for name, (function, source, target) in functions.items()
    }


def _of_points(function, flow, source):
    """Binds a function to a flow, with a context if it takes one, and names its arguments."""
    if _contexts(flow):
        return {
            "x": lambda x, context: function(condition(flow, context), x),
            "z": lambda z, context: function(condition(flow, context), z),
        }[source]
    return {"x": lambda x: function(flow, x), "z": lambda z: function(flow, z)}[source]


def _sample_function(flow):
    if _contexts(flow):
        return lambda num_samples, seed, context: condition(flow, context).sample(
            num_samples, seed=seed
        )
    return lambda num_samples, seed: flow.sample(num_samples, seed=seed)


class _ExportedFlow(tf.Module):
    """A module with a flow's traced functions and their variables."""

    def __init__(self, flow):
        super().__init__(name="flow")
        self._variables_read = flow.variables
        for name, function in _point_functions(flow).items():
            specs = [_points(flow, function.source), *_contexts(flow)]
            setattr(self, name, _traced(function.call, specs))
        specs = [tf.TensorSpec([], tf.int32, "num_samples"), tf.TensorSpec([2], tf.int32, "seed")]
        self.sample = _traced(_sample_function(flow), [*specs, *_contexts(flow)])
        description = _description(flow)
        self.describe = _traced(lambda: {k: tf.constant(v) for k, v in description.items()}, [])

    def signatures(self, flow):
        """Returns the signatures: the functions with named outputs, and `serving_default`."""
        signatures = {
            name: _named(getattr(self, name), function.target)
            for name, function in _point_functions(flow).items()
        }
        signatures["sample"] = _named(self.sample, "x")
        signatures["describe"] = self.describe
        serve = _traced(
            lambda x, *context: _all_at_once(_at(flow, *context), x),
            [_points(flow, "x"), *_contexts(flow)],
        )
        return {"serving_default": serve, **signatures}


def _all_at_once(flow, x):
    """Computes log p(x), p(k | x) and its mode in one pass through the bijector."""
    rank = flow.event_shape.rank
    near = clip_to_range(x, rank)
    z = flow.bijector.inverse(near)
    log_det = flow.bijector.inverse_log_det_jacobian(near, event_ndims=rank)
    log_prob = flow.distribution.log_prob(z) + log_det
    is_beyond = tf.reduce_any(tf.abs(x) > tf.abs(near), axis=list(range(-rank, 0)))
    components = tfd.Categorical(logits=log_posterior(flow.distribution, z))
    return {
        "log_prob": tf.where(is_beyond, tf.constant(-math.inf, flow.dtype), log_prob),
        "posterior": components.probs_parameter(),
        "component": components.mode(),
    }


def _points(flow, name):
    event_shape = (flow.distribution if name == "z" else flow).event_shape
    return tf.TensorSpec([None, *event_shape], flow.dtype, name)


def _contexts(flow):
    size = context_size(flow.bijector)
    return [tf.TensorSpec([None, size], flow.dtype, "context")] if size else []


def _at(flow, *context):
    return condition(flow, *context) if context else flow


def _traced(function, specs):
    checked = checking_shapes(function, specs) if specs else function
    return tf.function(checked, input_signature=specs, autograph=False)


def _named(function, target):
    return _traced(lambda *args: {target: function(*args)}, function.input_signature)


def _description(flow):
    of_images = {"event_shape": flow.event_shape.as_list()} if flow.event_shape.rank > 1 else {}
    size = context_size(flow.bijector)
    return {
        **of_images,
        "event_size": flow.distribution.event_shape[-1],
        "num_components": flow.distribution.components_distribution.batch_shape[-1],
        "covariance_type": flow.distribution.components_distribution.covariance_type,
        **({"context_size": size} if size else {}),
        "dtype": flow.dtype.name,
        "version": __version__,
    }


def _check_replaceable(path, overwrite):
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not _is_saved_model(path):
        raise FileExistsError(
            f"`path` {str(path)!r} exists and is not a SavedModel, or holds more than one, so "
            "it is not replaced even with `overwrite=True`. Choose another path."
        )
    if not overwrite:
        raise FileExistsError(
            f"`path` {str(path)!r} holds a SavedModel. Pass `overwrite=True` to replace it."
        )


def _is_saved_model(path):
    if not path.is_dir() or not tf.saved_model.contains_saved_model(str(path)):
        return False
    return {entry.name for entry in path.iterdir()} <= _SAVED_MODEL_ENTRIES
