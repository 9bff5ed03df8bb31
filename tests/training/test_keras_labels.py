"""Labels in all Keras methods; most tests also run under tf_keras."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import EACH_UPDATE, make_model, points, sequence_of

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.training.data import rereading
from tfp_gmnvp.training.data.checked_data import checked_data

keras = tf.keras


def few_labels(size=120, seed=0):
    """Points of two clusters, and the label of every tenth."""
    x = points(size, seed)
    cluster = (x[:, 0] > 0).astype(np.int64)
    return x, np.where(np.arange(size) % 10 == 0, 1 - cluster, -1)


def frozen_model(update="gradient", **arguments):
    return make_model(update, keras.optimizers.SGD(0.0), **arguments)


def joint_and_marginal(model, x, y):
    """log p(x, y), which is log p(x) for points without a label, and log p(x)."""
    mixture, bijector = model.distribution.distribution, model.distribution.bijector
    log_det = bijector.inverse_log_det_jacobian(x, event_ndims=1).numpy()
    log_joint = mixtures.component_log_joint(mixture, bijector.inverse(tf.identity(x))).numpy()
    marginal = np.logaddexp.reduce(log_joint, axis=1) + log_det
    given = log_joint[np.arange(len(y)), np.maximum(y, 0)] + log_det
    return np.where(y >= 0, given, marginal), marginal


@pytest.mark.slow
@pytest.mark.parametrize("weight", [pytest.param(1.0, marks=pytest.mark.one_keras), 3.0])
def test_the_gradient_is_that_of_the_labelled_likelihood(weight):
    x, y = few_labels()
    model = make_model("gradient", keras.optimizers.SGD(0.1), label_weight=weight, run_eagerly=True)
    model.initialize_mixture(x)
    flow = model.distribution
    variables = flow.trainable_variables
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob(x)
        log_posterior = tf.math.log(gmnvp.posterior(flow, tf.identity(x)).probs_parameter())
        label = tf.gather(log_posterior, np.maximum(y, 0), batch_dims=1)
        loss = -tf.reduce_mean(log_prob + weight * tf.where(y >= 0, label, 0.0))
    expected = [v - 0.1 * g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    model.train_on_batch(x, y)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, atol=2e-5)


@pytest.mark.one_keras
@pytest.mark.parametrize("update", ["full_batch", "stepwise"])
def test_responsibilities_of_labelled_points_are_one_hot(update):
    x, y = few_labels()
    chosen = {
        "full_batch": gmnvp.FullBatchEM(covariance_floor=0.0),
        "stepwise": gmnvp.StepwiseEM(step_size=1.0, covariance_floor=0.0),
    }[update]
    model = frozen_model()
    model.compile(keras.optimizers.SGD(0.0), mixture_update=chosen, run_eagerly=True)
    model.initialize_mixture(x, y=y)
    mixture, bijector = model.distribution.distribution, model.distribution.bijector
    z = bijector.inverse(x)
    responsibilities = em.expectation(mixtures.component_log_joint(mixture, z))[0].numpy()
    responsibilities[y >= 0] = np.eye(2)[y[y >= 0]]
    statistics = em.sufficient_statistics(
        z, responsibilities, mixture.components_distribution.loc, "full"
    )
    expected = em.maximization(statistics, "full")
    model.fit(x, y, batch_size=120, epochs=1, verbose=0)
    for a, b in zip(mixtures.mixture_parameters(mixture), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_components_start_on_their_labelled_points():
    x, y = few_labels()
    model = frozen_model()
    model.fit(x, y, epochs=1, verbose=0)
    predicted = gmnvp.predict_component(model.distribution, x).numpy()
    assert np.mean(predicted == (x[:, 0] <= 0)) > 0.95
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(np.mean((predicted == y)[y >= 0]))


@pytest.mark.slow
def test_the_loss_is_the_likelihood_of_the_points():
    x, y = few_labels()
    weights = np.linspace(0.5, 1.5, 120).astype(np.float32)
    model = frozen_model(label_weight=10.0)
    model.initialize_mixture(x)
    expected = -np.average(joint_and_marginal(model, x, y)[1], weights=weights)
    loss, accuracy = model.evaluate(x, y, sample_weight=weights, verbose=0)
    assert loss == pytest.approx(expected, abs=1e-4)
    correct = gmnvp.predict_component(model.distribution, x).numpy() == y
    assert accuracy == pytest.approx(np.average(correct[y >= 0], weights=weights[y >= 0]))
    assert model.evaluate(x, sample_weight=weights, verbose=0) == pytest.approx(loss, abs=1e-5)


def forms(x, y):
    """All forms of labels, with the same batches."""
    arrays = {"batch_size": 40, "shuffle": False}
    ones = np.ones(len(x), np.float32)
    return {
        "array": {"x": x, "y": y, **arrays},
        "column of floats": {"x": x, "y": y[:, np.newaxis].astype(float), **arrays},
        "list": {"x": x, "y": y.tolist(), **arrays},
        "weighted array": {"x": x, "y": y, "sample_weight": ones, **arrays},
        "data set": {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(40)},
        "weighted data set": {"x": tf.data.Dataset.from_tensor_slices((x, y, ones)).batch(40)},
        "sequence": {"x": sequence_of(x, y), "shuffle": False},
    }


@pytest.mark.slow
def test_forms_of_labels_train_alike():
    x, y = few_labels()
    losses = {}
    for name, data in forms(x, y).items():
        model = make_model("gradient", label_weight=2.0, run_eagerly=True)
        history = model.fit(**data, epochs=1, validation_data=(x, y), verbose=0).history
        assert sorted(history) == [
            "accuracy",
            "loss",
            "skipped_steps",
            "val_accuracy",
            "val_loss",
        ], name
        losses[name] = [*history["loss"], *history["accuracy"], *history["val_loss"]]
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["array"], rtol=1e-4, err_msg=name)


@pytest.mark.one_keras
def test_full_batch_em_reads_the_same_labels_in_every_form():
    x, y = few_labels()
    flow = frozen_model().distribution
    for name, data in forms(x, y).items():
        arguments = {key: data[key] for key in ("x", "y", "sample_weight") if key in data}
        arguments = checked_data(*(arguments.get(key) for key in ("x", "y", "sample_weight")), flow)
        batches = list(rereading.training_batches(**arguments)())
        read = np.concatenate([labels for _, labels, _ in batches])
        np.testing.assert_array_equal(read, y, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("update", EACH_UPDATE)
def test_labels_of_minus_one_equal_no_labels(update):
    x = points()
    fit = {"batch_size": 40, "epochs": 2, "shuffle": False, "verbose": 0}
    plain = make_model(update, run_eagerly=True).fit(x, **fit).history
    unlabelled = make_model(update, run_eagerly=True).fit(x, np.full(120, -1), **fit).history
    np.testing.assert_allclose(unlabelled["loss"], plain["loss"], rtol=1e-4)
    assert "accuracy" not in plain


@pytest.mark.slow
@pytest.mark.one_keras
def test_without_labels_the_graph_has_no_operations_for_them():
    model = make_model("stepwise")
    spec = tf.TensorSpec([None, 3])
    weight = tf.TensorSpec([None])
    nothing = tf.TensorSpec([None, 0])
    count = []
    for data in (
        (spec, None, weight),
        (spec, nothing, weight),
        (spec, tf.TensorSpec([None], tf.int32), weight),
    ):
        graph = tf.function(model.train_step).get_concrete_function(data).graph
        count.append(len([op for op in graph.get_operations() if op.type != "Placeholder"]))
    assert count[0] == count[1] < count[2]


@pytest.mark.slow
def test_validation_split_also_splits_labels():
    x, y = few_labels()
    model = frozen_model()
    history = model.fit(x, y, validation_split=0.25, epochs=1, verbose=0).history
    correct = gmnvp.predict_component(model.distribution, x[90:]).numpy() == y[90:]
    assert history["val_accuracy"][0] == pytest.approx(np.mean(correct[y[90:] >= 0]))


@pytest.mark.one_keras
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.full(120, 2), ValueError, r"0 \.\. 1, or -1 .* got 2"),
        (np.full(120, -2), ValueError, "got -2"),
        (np.full(120, 0.5), ValueError, "got 0.5"),
        (np.full(120, np.nan), ValueError, "got nan"),
        (np.zeros(60, int), ValueError, r"each of the 120 points, got shape \[60\]"),
        (np.zeros([120, 2]), ValueError, r"got shape \[120, 2\]"),
    ],
)
def test_invalid_labels_are_refused(y, error, message):
    model = frozen_model()
    before = [v.numpy() for v in model.distribution.variables]
    for method in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(error, match=f"(?s)`y` must hold.*{message}"):
            method(points(), y)
    for variable, value in zip(model.distribution.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_data_sets_with_invalid_labels_are_refused():
    x = points()
    floats = tf.data.Dataset.from_tensor_slices((x, np.zeros(120, np.float32))).batch(40)
    with pytest.raises(TypeError, match="`y` must hold integers"):
        make_model("stepwise").fit(floats, verbose=0)
    too_many = tf.data.Dataset.from_tensor_slices((x, np.full(120, 2))).batch(40)
    model = make_model("gradient")
    model.initialize_mixture(x)
    with pytest.raises(ValueError, match="`y in a batch` must hold indices of components"):
        model.fit(too_many, verbose=0)


def test_label_weight_is_checked_and_saved(tmp_path):
    with pytest.raises(ValueError, match="`label_weight` must not be negative"):
        make_model(label_weight=-1.0)
    path = str(tmp_path / "model.keras")
    make_model(label_weight=5.0).save(path)
    assert keras.models.load_model(path).label_weight == 5.0
