"""Bugs that users reported for similar libraries: this library does not have them."""

import warnings

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from keras_models import load, make_flow, make_model, points, save, sequence_of
from support import perturb

import tfp_gmnvp as gmnvp
from tfp_gmnvp import mixtures

keras = tf.keras
tfb, tfd = tfp.bijectors, tfp.distributions
X = points()
FIT = {"batch_size": 40, "shuffle": False, "verbose": 0}


def trained():
    model = make_model()
    model.fit(X, **FIT)
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def flow():
    return perturb(gmnvp.gaussian_mixture_flow(2, 2, num_couplings=2, hidden_units=(8,), seed=0))


def log_prob(model, x=X):
    return model.distribution.log_prob(x).numpy()


def batches_of(*parts, size=40):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


# Keras


@pytest.mark.slow
def test_evaluation_does_not_depend_on_the_size_of_batches(model):
    """The last, smaller batch counted as much as the others (tensorflow/tensorflow#27993)."""
    losses = [model.evaluate(X, batch_size=size, verbose=0) for size in (7, 119, 1000)]
    np.testing.assert_allclose(losses, -log_prob(model).mean(), rtol=1e-5)


def test_rows_of_weight_zero_have_no_effect(model):
    """A weighted loss was divided by the number of rows (keras-team/keras#19740)."""
    weights = np.arange(120) % 3.0
    expected = -np.average(log_prob(model), weights=weights)
    loss = model.evaluate(X, sample_weight=weights, batch_size=7, verbose=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_weights_of_classes_with_a_data_set_are_refused(model):
    """They were silently ignored (tensorflow/tensorflow#33550)."""
    labels = np.zeros(120, int)
    with pytest.raises(ValueError, match="`class_weight` is not supported"):
        model.fit(batches_of(X, labels), class_weight={0: 1.0, 1: 5.0})


@pytest.mark.slow
def test_more_steps_per_execution_than_batches():
    """The history was empty (keras-team/keras#20390)."""
    model = make_model(steps_per_execution=5)
    history = model.fit(X, epochs=2, validation_data=X, **FIT).history
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    np.testing.assert_allclose(history["val_loss"][-1], -log_prob(model).mean(), rtol=1e-5)


@pytest.mark.slow
def test_as_many_validation_steps_as_there_are_batches():
    """Validation broke from the second epoch on (keras-team/keras#19835)."""
    data = sequence_of(X)
    history = make_model().fit(data, epochs=3, validation_data=data, validation_steps=3, verbose=0)
    assert len(history.history["val_loss"]) == 3


@pytest.mark.slow
def test_on_epoch_end_of_a_sequence_is_called_for_every_epoch():
    """Too few calls were made (tensorflow/tensorflow#35911); EM, which reads it, adds none."""
    counts = []
    for update in ("full_batch", "gradient"):
        data = sequence_of(X)
        ends = []
        type(data).on_epoch_end = lambda self, ends=ends: ends.append(1)
        make_model(update).fit(data, epochs=3, verbose=0)
        counts.append(len(ends))
    assert counts[0] == counts[1] >= 3


@pytest.mark.slow
def test_the_learning_rate_can_be_changed_between_two_fits():
    """A compiled training step kept the old one (keras-team/keras#898)."""
    model = make_model(optimizer=keras.optimizers.SGD(1e-3))
    model.fit(X, **FIT)
    before = [v.numpy() for v in model.distribution.bijector.trainable_variables]
    moved = []
    for rate in (0.0, 1e-3):
        model.optimizer.learning_rate = rate
        model.fit(X, **FIT)
        after = model.distribution.bijector.trainable_variables
        moved.append(any(np.any(a != b.numpy()) for a, b in zip(before, after, strict=True)))
    assert moved == [False, True]


@pytest.mark.slow
def test_the_best_weights_come_back_after_the_last_epoch():
    """They were restored only if training was stopped early (keras-team/keras#12511)."""
    model = make_model(optimizer=keras.optimizers.SGD(0.02, clipnorm=5.0))
    best = keras.callbacks.EarlyStopping(patience=50, restore_best_weights=True)
    history = model.fit(X, epochs=5, validation_data=3 * X[:40], callbacks=[best], **FIT).history
    assert min(history["val_loss"]) < history["val_loss"][-1]
    loss = model.evaluate(3 * X[:40], verbose=0)
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-5)


def test_predictions_are_in_the_order_of_the_batches(model):
    """Several workers shuffled them (keras-team/keras#5048)."""
    data, more = sequence_of(X, batch_size=10), {"workers": 3}
    if hasattr(keras.utils, "PyDataset"):
        data.workers, more = 3, {}
    np.testing.assert_allclose(model.predict(data, verbose=0, **more), log_prob(model), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # a warning of TensorFlow
def test_eager_training_gives_the_same_losses():
    """It gave other results (tensorflow/tensorflow#34221)."""
    expected = make_model().fit(X, **FIT).history["loss"]
    tf.config.run_functions_eagerly(True)
    try:
        losses = make_model(jit_compile="auto").fit(X, **FIT).history["loss"]
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*retracing")
def test_training_passes_tensorflows_numeric_checks():
    """These checks failed inside a library (tensorflow/tensorflow#59215)."""
    tf.debugging.enable_check_numerics()
    try:
        make_model().fit(X, validation_data=X, **FIT)
    finally:
        tf.debugging.disable_check_numerics()


@pytest.mark.slow
def test_global_seeds_make_unseeded_training_repeatable():
    """Training was not repeatable although all seeds were set (keras-team/keras#2280)."""

    def loss():
        keras.utils.set_random_seed(5)
        flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=2, hidden_units=(8,))
        model = gmnvp.FlowModel(flow)
        model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
        return model.fit(X, batch_size=40, verbose=0).history["loss"]

    assert loss() == loss()


@pytest.mark.slow
def test_a_saved_models_samples_repeat(flow, tmp_path):
    """Samples were not repeatable with any seed (tensorflow/tensorflow#61131)."""
    gmnvp.export_flow(flow, tmp_path / "flow")
    served = tf.saved_model.load(str(tmp_path / "flow"))
    first = served.sample(4, [0, 1])
    np.testing.assert_array_equal(first, served.sample(4, [0, 1]))
    assert not np.allclose(first, served.sample(4, [0, 2]))
    np.testing.assert_allclose(first, flow.sample(4, seed=[0, 1]), rtol=1e-4, atol=1e-5)


# Flows


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "weights.h5"])
def test_a_normalisation_from_data_is_not_repeated_after_loading(form, tmp_path):
    """A loaded model normalised again on the next data (bayesiains/nflows#4)."""
    arguments = {"mixture_update": gmnvp.StepwiseEM(), "jit_compile": False}
    models = []
    for seed in (0, 9):
        flow = make_flow(seed, normalization="act_norm")
        models.append(gmnvp.FlowModel(flow, seed=0))
        models[-1].compile(keras.optimizers.SGD(1e-3), **arguments)
    one, other = models
    one.fit(X, **FIT)
    save(one, tmp_path, "stepwise", form)
    if form == "keras":
        other = load(tmp_path, "stepwise", form)
    else:
        other.load_weights(str(tmp_path / "stepwise.weights.h5"))
    np.testing.assert_array_equal(
        one.distribution.distribution.components_distribution.covariance(),
        other.distribution.distribution.components_distribution.covariance(),
    )
    losses = [model.fit(X + 3.0, **FIT).history["loss"] for model in (one, other)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"coupling": gmnvp.RationalQuadratic()},
        {"normalization": "act_norm"},
        {"mixing": "lu"},
        {"activation": "sine"},
        {"conditioner": "residual"},
        {"covariance_type": "low_rank", "rank": 1},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_densities_integrate_to_one(arguments):
    """Log-likelihoods were far above those of the truth (probabilists/zuko#55)."""
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(8,), dtype=tf.float64, seed=0, **arguments
    )
    perturb(flow, scale=0.15)
    axis = np.linspace(-16.0, 16.0, 401)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(flow.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=2e-3)


def test_samples_with_their_log_prob_under_a_context():
    """Two methods gave different log-densities (bayesiains/nflows#24)."""
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(8,), context_size=2, seed=0
    )
    perturb(flow)
    context = points(5)[:, :2]
    conditional = gmnvp.condition(flow, context)
    x, expected = conditional.experimental_sample_and_log_prob(7, seed=[0, 1])
    x = tf.identity(x)
    np.testing.assert_allclose(conditional.log_prob(x), expected, rtol=1e-4, atol=1e-4)
    contexts = np.broadcast_to(context, [7, 5, 2])
    np.testing.assert_allclose(flow.log_prob(x, context=contexts), expected, rtol=1e-4, atol=1e-4)


def test_many_dimensions_do_not_overflow():
    """A density overflowed before its logarithm was computed (jfcrenshaw/pzflow#81)."""
    flow = gmnvp.gaussian_mixture_flow(400, 2, num_couplings=2, hidden_units=(8,), seed=0)
    x = flow.sample(5, seed=[0, 1])
    assert np.all(np.isfinite(flow.log_prob(x)))
    np.testing.assert_allclose(np.sum(gmnvp.posterior(flow, x).probs_parameter(), axis=-1), 1.0)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"coupling": gmnvp.RationalQuadratic()}, {"normalization": "act_norm", "mixing": "lu"}],
    ids=["affine", "spline", "lu"],
)
def test_second_derivatives_at_the_points(arguments):
    """There was no gradient with respect to points (bayesiains/nflows#31)."""
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(8,), dtype=tf.float64, seed=0, **arguments
    )
    perturb(flow)
    x = tf.constant(X[:4, :2], tf.float64)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x)
        return tape.gradient(log_prob, x)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first = gradient(x)
    hessian = tape.batch_jacobian(first, x)
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, 1, 2), atol=1e-9)
    step = 1e-5 * np.eye(2)
    numerical = [(gradient(x + h) - gradient(x - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(hessian, np.stack(numerical, axis=-1), rtol=1e-4, atol=1e-4)


# TensorFlow Probability


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 6])
@pytest.mark.filterwarnings("ignore:.*retracing")
def test_vectorized_map_and_its_gradient(flow, size):
    """The gradient failed (tensorflow/probability#1018), and batches of one (#1071)."""
    x = tf.constant(X[:size, :2])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        mapped = tf.vectorized_map(flow.log_prob, x)
        expected = flow.log_prob(tf.identity(x))
    np.testing.assert_allclose(mapped, expected, rtol=1e-5, atol=1e-5)
    gradients = (tf.convert_to_tensor(tape.gradient(v, x)) for v in (mapped, expected))
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("coupling", ["affine", gmnvp.RationalQuadratic()], ids=["affine", "rq"])
def test_far_points_within_a_function(coupling):
    """Log-densities were NaN there and nowhere else (tensorflow/probability#840)."""
    flow = gmnvp.gaussian_mixture_flow(
        2, 2, num_couplings=2, hidden_units=(8,), coupling=coupling, seed=0
    )
    perturb(flow)

    def value_and_gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x)
        return [log_prob, *tape.gradient(log_prob, [x, *flow.trainable_variables])]

    x = tf.constant([[0.0, 0.0], [1e3, -1e3], [1e6, 1e6], [-40.0, 40.0]])
    traced_function = tf.function(value_and_gradients)
    for eager, traced in zip(value_and_gradients(x), traced_function(x), strict=True):
        assert np.all(np.isfinite(eager))
        np.testing.assert_allclose(eager, traced, rtol=1e-3, atol=1e-3)


def test_tfps_batch_distributions_over_a_flow(flow):
    """`MixtureSameFamily` of a reshaped batch was not implemented (tensorflow/probability#1206)."""
    zero = tf.zeros([2])
    expected = flow.log_prob(zero)
    three = tfd.BatchBroadcast(flow, [4])
    batches = {
        (4,): three,
        (2, 2): tfd.BatchReshape(three, [2, 2]),
        (5,): tfd.BatchConcat([three, tfd.BatchBroadcast(flow, [1])], axis=0),
    }
    for shape, batch in batches.items():
        log_prob = batch.log_prob(tf.zeros([*shape, 2]))
        np.testing.assert_allclose(log_prob, np.full(shape, expected), rtol=1e-5)
        assert batch.sample(3, seed=[0, 1]).shape == [3, *shape, 2]
    mixture = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.1, 0.2, 0.3, 0.4]), three)
    np.testing.assert_allclose(mixture.log_prob(zero), expected, rtol=1e-5)
    masked = tfd.Masked(tfd.BatchBroadcast(flow, [2]), [True, False])
    np.testing.assert_allclose(masked.log_prob(tf.zeros([2, 2])), [expected, 0.0], rtol=1e-5)


def test_log_prob_of_several_samples_of_a_joint_distribution(flow):
    """It failed for more than one of them (tensorflow/probability#1013)."""

    @tfd.JointDistributionCoroutine
    def joint():
        z = yield tfd.JointDistributionCoroutine.Root(flow)
        yield tfd.Independent(tfd.Normal(z, 1.0), 1)

    z, y = sample = joint.sample(4, seed=[0, 1])
    expected = flow.log_prob(tf.identity(z)) + tfd.Independent(tfd.Normal(z, 1.0), 1).log_prob(y)
    np.testing.assert_allclose(joint.log_prob(sample), expected, rtol=1e-5)


# Mixtures


def mixture_alone(num_components, dtype=tf.float64):
    mixture = gmnvp.gaussian_mixture(num_components, 2, dtype=dtype, seed=0)
    return tfd.TransformedDistribution(mixture, tfb.Identity())


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 7, 31])
def test_weights_of_a_fit_to_few_rows_sum_to_one(size):
    """Rounding errors of the sum made sampling fail (scikit-learn/scikit-learn#23032)."""
    flow = mixture_alone(1, tf.float32)
    gmnvp.fit_mixture(flow, points(size)[:, :2])
    assert flow.distribution.mixture_distribution.probs_parameter().numpy().tolist() == [1.0]


@pytest.mark.parametrize(
    ("mean", "covariance", "x"),
    [
        ([5e3, -5e3], [[1e-4, 0.0], [0.0, 1e4]], [5000.01, -4990.0]),
        ([0.0, 0.0], [[1.0, 0.99999999], [0.99999999, 1.0]], [1e-3, 1e-3]),
    ],
)
def test_narrow_components_keep_their_digits(mean, covariance, x):
    """Log-densities were off by up to 0.2 (scikit-learn/scikit-learn#29989)."""
    flow = mixture_alone(1)
    parameters = (tf.constant(p, tf.float64) for p in ([1.0], [mean], [covariance]))
    mixtures.assign_parameters(flow.distribution, mixtures.MixtureParameters(*parameters))
    expected = scipy.stats.multivariate_normal(mean, covariance).logpdf(x)
    np.testing.assert_allclose(flow.log_prob(np.float64(x)), expected, rtol=1e-7)


@pytest.mark.slow
def test_more_components_than_distinct_rows():
    """Clusters were duplicated, or NaN (scikit-learn/scikit-learn#10059)."""
    x = np.repeat([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]], 20, axis=0)
    flow = gmnvp.gaussian_mixture_flow(3, 10, num_couplings=2, hidden_units=(8,), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # such data may cause one
        assert model.fit(x, epochs=2, **FIT).history["skipped_steps"] == [0, 0]
    posterior = gmnvp.posterior(flow, x).probs_parameter().numpy()
    np.testing.assert_allclose(posterior.sum(axis=-1), 1.0, rtol=1e-5)


def test_frequencies_of_sampled_components_match_their_weights(flow):
    """Too few samples were drawn because weights did not sum to one (scikit-learn#7822)."""
    flow = mixture_alone(3, tf.float32)
    weights = [0.7, 0.25, 0.05]
    loc = [[-30.0, 0.0], [0.0, 0.0], [30.0, 0.0]]
    parameters = (tf.constant(weights), tf.constant(loc), tf.eye(2, batch_shape=[3]))
    mixtures.assign_parameters(flow.distribution, mixtures.MixtureParameters(*parameters))
    component = gmnvp.predict_component(flow, flow.sample(100_000, seed=[0, 3]))
    shares = np.bincount(component, minlength=3) / 100_000
    np.testing.assert_allclose(shares, weights, atol=5e-3)
