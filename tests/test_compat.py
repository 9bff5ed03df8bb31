"""Private parts of TensorFlow, TFP and Keras: each exists and does what we need.

A test that fails here after an upgrade names the part; its entry in `tfp_gmnvp/_compat/` explains
its use, and which public alternatives were tried.
"""

import ast
import gc
import pathlib
import subprocess
import sys
import weakref

import keras
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability.python.bijectors import bijector as tfp_bijector

import tfp_gmnvp
from tfp_gmnvp import _compat

tfd, tfb = tfp.distributions, tfp.bijectors

ROOMS = pathlib.Path(tfp_gmnvp.__file__).parent


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_knows_that_xla_compiles_it(jit_compile):
    seen = []

    @tf.function(jit_compile=jit_compile)
    def function(x):
        seen.append(_compat.is_compiled_by_xla())
        return tf.cond(x > 0, lambda: _inner(x, seen), lambda: x)

    function(tf.constant(1.0))
    assert seen == [jit_compile] * 2


def _inner(x, seen):
    seen.append(_compat.is_compiled_by_xla())
    return x + 1


@pytest.mark.parametrize("devices", [[], ["GPU:0"]])
def test_orders_of_operations_for_cpu_are_not_taken_where_a_gpu_is_visible(monkeypatch, devices):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices)
    seen = []
    tf.function(lambda: seen.append(_compat.is_compiled_for_cpu()), jit_compile=True)()
    assert seen == [not devices]


def test_xla_keeps_its_optimization_barrier():
    @tf.function(jit_compile=True)
    def function(x):
        return _compat.unfused(2.0 * x) + 1.0

    x = tf.constant(3.0)
    assert "opt-barrier" in function.experimental_get_compiler_ir(x)(stage="hlo")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    assert float(y) == 7.0
    assert float(tape.gradient(y, x)) == 2.0


def test_tfp_bijector_asks_its_cache_through_the_class_attribute():
    assert "_cache" in vars(tfp_bijector.Bijector)
    cache = vars(tfp_bijector.Bijector)["_cache"]
    for name in ("forward", "inverse", "forward_attributes", "inverse_attributes"):
        assert hasattr(cache, name)
    for name in ("_call_forward", "_call_inverse"):
        assert callable(getattr(tfb.Bijector, name))


class _Scale(_compat.UncachedBijector):
    """Scales by a variable, and counts evaluations."""

    def __init__(self):
        self.factor = tf.Variable(2.0)
        self.count, self.checked = 0, []
        super().__init__(forward_min_event_ndims=0, dtype=tf.float32)

    def _check_dtype(self, name, value, dtype):
        self.checked.append((name, dtype))

    def _checked_forward_and_log_det(self, x):
        self.count += 1
        return self.factor * x, tf.math.log(self.factor)

    def _checked_inverse_and_log_det(self, y):
        self.count += 1
        return y / self.factor, -tf.math.log(self.factor)

    def _forward_log_det_jacobian(self, x):
        return self._checked_forward_and_log_det(x)[1]

    def _inverse_log_det_jacobian(self, y):
        return self._checked_inverse_and_log_det(y)[1]


def test_uncached_bijector_reuses_its_log_det_once_and_is_never_stale():
    bijector, x = _Scale(), tf.constant([1.0, 3.0])
    for to, log_det in (
        (bijector.forward, bijector.forward_log_det_jacobian),
        (bijector.inverse, bijector.inverse_log_det_jacobian),
    ):
        bijector.count = 0
        to(x), log_det(x, event_ndims=0)
        assert bijector.count == 1
        log_det(x, event_ndims=0)
        assert bijector.count == 2
    bijector.factor.assign(5.0)
    assert bijector.forward(x).numpy().tolist() == [5.0, 15.0]
    assert [name for name, _ in bijector.checked] == ["x", "y", "x"]


def test_tfp_returns_plain_classes_if_parts_are_not_composite_tensors():
    flow = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), _Scale())
    assert type(flow) is _compat.PlainTransformedDistribution.base
    mixture = tfp_gmnvp.gaussian_mixture(2, 1)
    plain = tfd.MixtureSameFamily(mixture.mixture_distribution, mixture.components_distribution)
    assert type(plain) in _compat.PlainMixture.__mro__


def test_transformed_distribution_shows_values_before_it_converts_them():
    seen = []

    class Distribution(_compat.PlainTransformedDistribution):
        def _check_value(self, value):
            seen.append(value)

    distribution = Distribution(tfd.Normal(0.0, 1.0), _Scale())
    for method in (distribution.log_prob, distribution.prob, distribution.unnormalized_log_prob):
        method(1)  # an integer, which TFP converts to float32
    assert seen == [1, 1, 1]


@pytest.mark.parametrize("base", [_compat.PlainTransformedDistribution, _compat.PlainMixture])
def test_samples_take_their_shape_from_arguments(base):
    class Distribution(base):
        def _sample_of_shape(self, sample_shape, seed, *, batch=None):
            if batch is None:
                return super()._sample_of_shape(sample_shape, seed)
            return tf.zeros([*sample_shape, batch])

    if base is _compat.PlainMixture:
        parts = tfd.Categorical(probs=[0.5, 0.5]), tfd.Normal([0.0, 1.0], 1.0)
    else:
        parts = tfd.Normal(0.0, 1.0), _Scale()
    distribution = Distribution(*parts)
    assert distribution.sample([4], batch=3).shape == [4, 3]
    assert distribution.sample(4, seed=[0, 0]).shape == [4]


def test_mixture_gives_the_log_joint_of_components_and_a_name_scope():
    parts = tfd.Categorical(probs=[0.25, 0.75]), tfd.Normal([0.0, 1.0], 1.0)
    mixture = _compat.PlainMixture(*parts)
    log_joint = mixture._component_log_joint(tf.constant([0.5]))
    expected = tf.math.log([0.25, 0.75]) + parts[1].log_prob(0.5)
    tf.debugging.assert_near(log_joint[0], expected)
    with tf.Graph().as_default(), mixture._named_scope("posterior"):
        assert "posterior" in tf.constant(0.0).name


def test_parameters_of_a_distribution_can_be_set():
    normal, arguments = tfd.Normal(0.0, 1.0), {"loc": tf.Variable(3.0), "scale": 1.0}
    _compat.set_parameters(normal, arguments)
    assert normal.parameters == arguments
    assert type(normal.parameters) is dict  # not a wrapper that checkpoints track
    assert float(normal.copy().mean()) == 3.0


@pytest.mark.parametrize("of", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_keras_layer_clears_losses_of_activations_alone(of):
    layer = of.layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l2")
    layer(tf.ones([1, 2]))
    assert len(layer.losses) == 2
    _compat.clear_activation_losses(layer)
    assert len(layer.losses) == 1


@pytest.mark.parametrize("of", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_keras_layer_lists_its_sublayers_at_any_depth(of):
    inner = of.Sequential([of.layers.Dense(1)])
    outer = of.Sequential([inner, of.layers.Dense(2)])
    outer(tf.ones([1, 2]))
    found = _compat.sublayers(outer)
    assert inner in found
    assert inner.layers[0] in found


@pytest.mark.parametrize("room", ["bijectors", "mixtures", "em", "flows"])
def test_private_modules_are_used_in_compat_alone(room):
    """`lint-imports` checks imports of Keras; this also finds attributes, such as `tf.keras`."""
    allowed = {"configuration.py"} if room == "flows" else set()
    for path in (ROOMS / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert ".python" not in (node.module or ""), path
            if isinstance(node, ast.Attribute) and path.name not in allowed:
                assert node.attr not in ("keras", "__internal__"), path


@pytest.mark.parametrize("kind", [keras.optimizers.Adam, tf_keras.optimizers.Adam])
def test_optimizer_knows_which_average_is_whose(kind):
    first, second = tf.Variable([1.0]), tf.Variable([5.0, 5.0])
    optimizer = kind(0.0, use_ema=True, ema_momentum=0.5)
    optimizer.build([first, second])
    optimizer.apply_gradients([(tf.zeros([1]), first), (tf.zeros([2]), second)])
    for variable, average in _compat.averaged_variables(optimizer, [second, first]):
        assert average.shape == variable.shape
        assert variable.ref() in {first.ref(), second.ref()}


def test_keras_3_counts_steps_whose_gradients_are_accumulated():
    variable = tf.Variable(1.0)
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=3)
    optimizer.build([variable])
    for _ in range(4):
        optimizer.apply_gradients([(tf.constant(1.0), variable)])
    assert int(tf.convert_to_tensor(_compat.num_steps(optimizer))) == 4
    assert int(optimizer.iterations) == 1


def test_keras_3_builds_models_by_the_method_that_is_replaced():
    from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

    assert hasattr(TensorFlowTrainer, "_maybe_symbolic_build")


def test_backup_and_restore_of_keras_3_sets_the_first_epoch_of_a_model(tmp_path):
    """tf_keras needs no correction: it writes weights and epoch to one checkpoint."""

    def fit(*callbacks):
        network = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
        network.compile("sgd", "mse")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        x = tf.zeros([4, 1])
        network.fit(x, x, epochs=4, callbacks=[backup, *callbacks], verbose=0)

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    class Correct(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            _compat.correct_first_epoch(self.model, 3)

    with pytest.raises(KeyboardInterrupt):
        fit(Interrupt())
    epochs = []
    fit(
        Correct(),
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch)),
    )
    assert epochs == [3]


def test_tf_keras_gives_tensors_to_callbacks_that_take_them():
    callback = tf_keras.callbacks.Callback()
    _compat.takes_tensors_as_logs(callback)
    callbacks = tf_keras.callbacks.CallbackList([callback])
    assert callbacks._should_call_train_batch_hooks is not None
    assert getattr(callbacks, "_batch_hooks_support_tf_logs", None) is True


@pytest.mark.parametrize("package", [keras, tf_keras])
def test_checkpoint_of_a_layer_holds_what_it_is_shown(package, tmp_path):
    variable = tf.Variable(1.0)

    @_compat.shows_in_checkpoint(lambda layer: {"value": variable})
    class Layer(package.layers.Layer):
        pass

    path = tf.train.Checkpoint(layer=Layer()).save(tmp_path / "checkpoint")
    variable.assign(7.0)
    tf.train.Checkpoint(layer=Layer()).restore(path)
    assert float(variable) == 1.0


@pytest.mark.parametrize("weights", [None, [1.0, 2.0]])
def test_the_keras_method_that_runs_is_seen_from_a_layer(weights):
    package, seen = tf.keras, []

    class Layer(package.layers.Layer):
        def call(self, x):
            seen.append(_compat.is_given_sample_weights())
            return x

    model = package.Sequential([package.layers.Dense(1), Layer()])
    model.compile("sgd", "mse")
    x = tf.zeros([2, 1])
    weights = None if weights is None else tf.constant(weights)
    model.fit(x, x, sample_weight=weights, verbose=0)
    assert seen[-1] is (weights is not None)


_REPLICAS = """
import tensorflow as tf
import tfp_gmnvp as gmnvp
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for weights in (tf.ones([8]), None):
    with strategy.scope():
        flow = gmnvp.gaussian_mixture_flow(2, num_couplings=1, hidden_units=(4,), seed=0)
        inputs = tf.keras.Input([2])
        outputs = gmnvp.FlowLayer(flow, loss_weight=1.0)(inputs)
        model = tf.keras.Model(inputs, outputs)
        model.compile("sgd", loss=lambda y, log_prob: 0.0 * log_prob)
    try:
        model.fit(tf.ones([8, 2]), tf.ones([8]), sample_weight=weights, verbose=0)
    except ValueError as error:
        assert "does not reach the loss" in str(error), error
        print("refused")
    else:
        print("trained")
"""


@pytest.mark.slow
def test_weights_are_seen_from_a_layer_in_a_thread_of_a_replica():
    run = subprocess.run(
        [sys.executable, "-c", _REPLICAS], capture_output=True, text=True, check=False
    )
    assert run.stdout.split()[-2:] == ["refused", "trained"], run.stderr[-2000:]


def test_tapes_and_accumulators_are_seen():
    assert not _compat.is_differentiated()
    with tf.GradientTape():
        assert _compat.is_differentiated()
    x = tf.constant(1.0)
    with tf.autodiff.ForwardAccumulator(x, x):
        assert _compat.is_differentiated()
    assert not _compat.is_differentiated()


@_compat.custom_gradient
def _cubed(x):
    return x**3, lambda upstream: 3.0 * x**2 * upstream


def _by_while_loop(x):
    return tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, _cubed(y)), [0, x])[1]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (_cubed, 12.0),
        (lambda x: tf.cond(x > 0, lambda: _cubed(x), lambda: x), 12.0),
        (tf.function(_cubed), 12.0),
        (_by_while_loop, 9.0 * 2.0**8),
        (lambda x: tf.map_fn(_cubed, x[tf.newaxis])[0], 12.0),
        (tf.recompute_grad(_cubed), 12.0),
    ],
    ids=["plain", "cond", "function", "while", "map", "recomputed"],
)
@pytest.mark.parametrize("is_graph", [False, True])
def test_custom_gradients_pass_through_control_flow(function, expected, is_graph):
    def derivative(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    derivative = tf.function(derivative) if is_graph else derivative
    assert float(derivative(tf.constant(2.0))) == expected


def test_second_derivatives_of_custom_gradients():
    @tf.function
    def second(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = _cubed(x)
            first = tape.gradient(y, x)
        return outer.gradient(first, x)

    assert float(second(tf.constant(2.0))) == 12.0


def test_a_graph_of_a_custom_gradient_is_freed():
    def graph_of_trace():
        function = tf.function(lambda x: _cubed(x), autograph=False)
        return weakref.ref(function.get_concrete_function(tf.constant(2.0)).graph)

    graph = graph_of_trace()
    gc.collect()
    assert graph() is None


def test_a_saved_function_with_a_custom_gradient(tmp_path):
    module = tf.Module()
    module.cubed = tf.function(_cubed, input_signature=[tf.TensorSpec([])])
    tf.saved_model.save(module, str(tmp_path / "cubed"))
    assert float(tf.saved_model.load(str(tmp_path / "cubed")).cubed(2.0)) == 8.0
