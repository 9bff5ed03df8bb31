"""Training starts from a sample of all rows, for any order, weights and units."""

import numpy as np
import pytest
import tensorflow as tf
from keras_models import sequence_of
from sklearn.metrics import adjusted_rand_score

import tfp_gmnvp as gmnvp
from tfp_gmnvp import em, mixtures
from tfp_gmnvp.training.data import rereading, samples

keras = tf.keras


class Frozen(gmnvp.MixtureUpdate):
    """Does not change the mixture."""


def make_model(num_components, covariance_type="full", seed=0, event_size=2, **arguments):
    flow = gmnvp.gaussian_mixture_flow(
        event_size,
        num_components,
        num_couplings=1,
        hidden_units=(),
        covariance_type=covariance_type,
        seed=seed,
        **arguments,
    )
    model = gmnvp.FlowModel(flow, seed=seed)
    model.compile(keras.optimizers.SGD(0.0), mixture_update=Frozen(), jit_compile=False)
    return model


def sorted_clusters(num_clusters=6, size=12_000):
    """Sorted clusters: the first 10,000 rows contain only five of six."""
    rng = np.random.default_rng(0)
    which = np.arange(size) * num_clusters // size
    angle = 2 * np.pi * which / num_clusters
    centers = 20 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return (centers + rng.normal(size=[size, 2])).astype(np.float32), which


def as_memory_map(x, path):
    mapped = np.memmap(path, x.dtype, "w+", shape=x.shape)
    mapped[:] = x
    return mapped


@pytest.mark.slow
@pytest.mark.parametrize("form", ["array", "memory map", "data set", "sequence"])
def test_the_start_samples_all_rows(form, tmp_path):
    x, which = sorted_clusters()
    data = {
        "array": lambda: x,
        "memory map": lambda: as_memory_map(x, tmp_path / "x"),
        "data set": lambda: tf.data.Dataset.from_tensor_slices(x).batch(1000),
        "sequence": lambda: sequence_of(x, batch_size=1000),
    }[form]()
    model = make_model(6)
    model.fit(data, batch_size=1000, steps_per_epoch=None, epochs=1, verbose=0)
    found = gmnvp.predict_component(model.distribution, x).numpy()
    assert adjusted_rand_score(which, found) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["array", "data set"])
def test_the_start_ignores_rows_of_weight_zero(form):
    x, _ = sorted_clusters(2)
    weights = np.where(np.arange(len(x)) < 11_000, 0.0, 1.0)
    data = {"x": x, "sample_weight": weights}
    if form == "data set":
        y = np.full(len(x), -1)
        data = {"x": tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(1000)}
    model = make_model(1)
    model.fit(**data, epochs=1, verbose=0)
    mean = model.distribution.distribution.mean()
    np.testing.assert_allclose(mean, x[11_000:].mean(axis=0), atol=1e-3)


@pytest.mark.slow
def test_act_norm_starts_from_the_same_rows():
    x = np.stack([np.arange(12_000.0), np.arange(12_000.0) % 7], axis=-1).astype(np.float32)
    weights = (np.arange(12_000) >= 11_000).astype(np.float32)
    model = make_model(1, normalization="act_norm")
    model.fit(x, sample_weight=weights, epochs=1, verbose=0)
    z = model.distribution.bijector.inverse(x[11_000:]).numpy()
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-3)


@pytest.mark.one_keras
def test_a_reservoir_is_a_sample_of_all_rows():
    x = np.arange(20_000.0)[:, np.newaxis]
    weights = np.where(x[:, 0] % 4 == 0, 0.0, 1.0 + x[:, 0])
    batches = rereading.training_batches(x, None, weights)
    rows, labels, kept = samples.sample_of_batches(batches, size=3000, seed=[1, 2])
    rows = rows.numpy()[:, 0]
    assert labels is None
    assert len(rows) == len(set(rows)) == 3000
    assert np.all(np.diff(rows) > 0)
    assert not np.any(rows % 4 == 0)
    np.testing.assert_array_equal(kept, 1.0 + rows)
    counts, _ = np.histogram(rows, bins=10, range=(0, 20_000))
    assert np.abs(counts - 300).max() < 5 * np.sqrt(300)
    again, _, _ = samples.sample_of_batches(batches, size=3000, seed=[1, 2])
    np.testing.assert_array_equal(again[:, 0], rows)
    other, _, _ = samples.sample_of_batches(batches, size=3000, seed=[1, 3])
    assert not np.array_equal(other[:, 0], rows)


@pytest.mark.one_keras
@pytest.mark.parametrize("form", ["arrays", "batches"])
def test_labelled_rows_are_sampled_additionally(form):
    x, y = np.arange(400.0)[:, np.newaxis], np.where(np.arange(400) % 100 == 99, 1, -1)
    if form == "arrays":
        rows, labels, weights = samples.sample_of_arrays(x, y, size=6, seed=0)
    else:
        batches = rereading.training_batches(tf.data.Dataset.from_tensor_slices((x, y)).batch(32))
        rows, labels, weights = samples.sample_of_batches(batches, size=6, seed=0)
    rows, labels = np.asarray(rows)[:, 0], np.asarray(labels)
    assert weights is None
    assert set(rows[labels == 1]) == {99, 199, 299, 399}
    assert 6 <= len(rows) <= 10
    assert len(set(rows)) == len(rows)


@pytest.mark.one_keras
def test_all_zero_weights_are_refused_by_name():
    x, weights = np.zeros([5, 2]), np.zeros(5)
    batches = rereading.training_batches(x, None, weights)
    for sample in (
        lambda: samples.sample_of_arrays(x, None, weights, size=9, seed=0),
        lambda: samples.sample_of_batches(batches, size=9, seed=0),
    ):
        with pytest.raises(ValueError, match=r"`sample_weight` must have .* all 5 are zero"):
            sample()


def clusters_of_unlike_units(seed, unit=1000.0, separation=6.0):
    rng = np.random.default_rng(seed)
    which = rng.integers(2, size=1000)
    x = rng.normal(size=[1000, 2]) * [1.0, unit]
    x[:, 0] += separation * which
    return x.astype(np.float32), which


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ["full", "diag", "tied"])
@pytest.mark.parametrize("unit", [1e3, 1e-6, 1e8])
def test_clusters_are_found_in_any_units(unit, covariance_type):
    for seed in range(2):
        x, which = clusters_of_unlike_units(seed, unit)
        model = make_model(2, covariance_type, seed=seed)
        model.initialize_mixture(x)
        found = gmnvp.predict_component(model.distribution, x).numpy()
        assert adjusted_rand_score(which, found) > 0.98
        parameters = mixtures.mixture_parameters(model.distribution.distribution)
        np.testing.assert_allclose(np.sort(parameters.loc[:, 0]), [0.0, 6.0], atol=0.3)


@pytest.mark.one_keras
def test_the_start_does_not_depend_on_units():
    x, _ = clusters_of_unlike_units(0, unit=1.0)
    scale = np.array([2.0**-20, 2.0**13], np.float32)
    first = em.initial_parameters(tf.constant(x), 3, "full", seed=0)
    scaled = em.initial_parameters(tf.constant(x * scale), 3, "full", seed=0)
    np.testing.assert_allclose(scaled.probs, first.probs, rtol=1e-3)
    np.testing.assert_allclose(scaled.loc / scale, first.loc, rtol=1e-2, atol=1e-2)


@pytest.mark.one_keras
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "low_rank"])
def test_an_integer_weight_equals_copies_of_a_row_at_the_start(covariance_type):
    """In all starts a row of weight three equals three rows; a row of weight zero is ignored."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=[60, 4]) * [1.0, 5.0, 0.1, 2.0]
    x[50:] += 1000.0
    weights = np.where(np.arange(60) < 50, 1.0 + np.arange(60) % 3, 0.0)
    copies = np.repeat(x, weights.astype(int), axis=0)
    options = {"rank": 2 if covariance_type == "low_rank" else None, "seed": 0}
    weighted = em.initial_parameters(
        tf.constant(x), 1, covariance_type, sample_weight=tf.constant(weights), **options
    )
    repeated = em.initial_parameters(tf.constant(copies), 1, covariance_type, **options)
    for actual, expected in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.one_keras
def test_images_start_from_a_sample_of_all_images():
    dark, bright = np.full([200, 4, 4, 1], 20.0), np.full([200, 4, 4, 1], 230.0)
    noise = np.random.default_rng(0).uniform(size=[400, 4, 4, 1])
    images = np.concatenate([dark, bright]) + noise
    flow = gmnvp.image_flow([4, 4, 1], num_filters=2, num_blocks=1, standardize=images, seed=0)
    z = flow.bijector.inverse(tf.constant(images, tf.float32)).numpy()
    assert abs(z.mean()) < 0.3
    assert 0.7 < z.std() < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("sample_weight", [None, np.arange(40) % 2])
def test_fit_initialises_the_normalisation_of_images(sample_weight):
    images = np.random.default_rng(0).uniform(0, 256, size=(40, 4, 4, 1)).astype(np.float32)
    arguments = {"num_filters": 4, "num_blocks": 1, "num_components": 2, "seed": 0}
    flow = gmnvp.image_flow([4, 4, 1], **arguments)
    model = gmnvp.FlowModel(flow, seed=0)
    update = gmnvp.GradientUpdate()
    model.compile(tf.keras.optimizers.SGD(0.0), mixture_update=update, run_eagerly=True)
    model.fit(images, sample_weight=sample_weight, verbose=0)
    if sample_weight is not None:
        images = images[sample_weight > 0]
    other = gmnvp.image_flow([4, 4, 1], **arguments)
    other.bijector.initialize(tf.constant(images))
    for ours, theirs in zip(flow.bijector.variables, other.bijector.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert any(np.any(v) for v in flow.bijector.variables if "log_scale" in v.name)
