"""Batches of rows: memory maps train like arrays, and are never copied."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp
from tfp_gmnvp.training.data import samples
from tfp_gmnvp.training.data.row_batches import fit_by_rows, row_batches

keras = tf.keras


@pytest.fixture
def x(tmp_path):
    rows = np.random.default_rng(0).normal(size=(95, 3)).astype(np.float32)
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    return mapped


def make_model(update=None):
    flow = gmnvp.gaussian_mixture_flow(3, 2, num_couplings=2, hidden_units=(8,), seed=0)
    model = gmnvp.FlowModel(flow, seed=0)
    update = gmnvp.FullBatchEM() if update is None else update
    model.compile(keras.optimizers.SGD(0.05), mixture_update=update, jit_compile=False)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"epochs": 2}, marks=pytest.mark.one_keras),
        {"epochs": 2, "batch_size": 40, "sample_weight": np.linspace(0.5, 2.0, 95)},
        pytest.param({"batch_size": 20, "validation_split": 0.2}, marks=pytest.mark.one_keras),
        {"epochs": 2, "steps_per_epoch": 3},
    ],
    ids=["plain", "weighted", "split", "steps"],
)
def test_memory_map_trains_as_an_array_does(x, arguments):
    arguments = {"verbose": 0, "shuffle": False, **arguments}
    expected = make_model().fit(np.array(x), **arguments).history
    actual = make_model().fit(x, **arguments).history
    assert sorted(actual) == sorted(expected)
    for name, losses in expected.items():
        np.testing.assert_allclose(actual[name], losses, rtol=1e-5)


@pytest.mark.slow
def test_evaluation_and_prediction(x):
    model, weights = make_model(), np.linspace(0.5, 2.0, 95)
    model.initialize_mixture(x)
    in_memory = np.array(x)
    np.testing.assert_allclose(
        model.evaluate(x, sample_weight=weights, batch_size=40, verbose=0),
        model.evaluate(in_memory, sample_weight=weights, batch_size=40, verbose=0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        model.predict(x, verbose=0), model.predict(in_memory, verbose=0), rtol=1e-5
    )
    history = model.fit(x, validation_data=(x[:50],), epochs=1, verbose=0).history
    expected = model.evaluate(in_memory[:50], verbose=0)
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-5)


@pytest.mark.one_keras
def test_shuffled_rows_are_a_new_permutation_every_time(x):
    x[:, 0] = np.arange(95)
    number = tf.Variable(0, dtype=tf.int64)
    data = row_batches(
        x,
        sample_weight=np.arange(95.0),
        batch_size=10,
        shuffle_seed=lambda _: tf.stack([number.assign_add(1), 0]),
    )
    orders = []
    for _ in range(2):
        batches = list(data.as_numpy_iterator())
        assert [len(rows) for rows, _, _ in batches] == [10] * 9 + [5]
        for rows, _, weights in batches:
            np.testing.assert_array_equal(rows[:, 0], weights)
        orders.append(np.concatenate([rows[:, 0] for rows, _, _ in batches]))
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(95))
    assert not np.array_equal(*orders)
    assert not np.array_equal(orders[0], np.arange(95))


def in_order(batches):
    return np.concatenate([x.numpy() for (x,) in batches])


@pytest.mark.one_keras
def test_every_pass_has_a_new_shuffle_even_with_steps_per_epoch():
    x = np.arange(20.0, dtype=np.float32)[:, np.newaxis]
    epoch = tf.Variable(4, dtype=tf.int64)
    arguments = {"x": x, "y": None, "sample_weight": None, "batch_size": 6, "steps_per_epoch": 9}
    data = fit_by_rows(arguments, lambda number: tf.stack([number, 1]), epoch)["x"]
    batches = iter(data)
    for number in (4, 5, 6):
        expected = row_batches(
            x, batch_size=6, shuffle_seed=lambda _, n=number: tf.constant([n, 1])
        )
        actual = in_order(next(batches) for _ in range(4))
        np.testing.assert_array_equal(actual, in_order(expected))
        epoch.assign(0)  # has no effect: the next pass may have begun already


@pytest.mark.slow
def test_an_epoch_of_as_many_steps_as_batches_is_a_pass(x):
    x, arguments = np.array(x), {"epochs": 3, "verbose": 0}
    expected, actual = make_model(), make_model()
    expected.fit(x, **arguments)
    actual.fit(x, **arguments, steps_per_epoch=3, batch_size=32)
    for weight, other in zip(actual.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.slow
def test_under_a_strategy_rows_are_shuffled_alike(x):
    arguments = {"epochs": 2, "batch_size": 20, "verbose": 0}
    expected = make_model().fit(np.array(x), **arguments).history["loss"]
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = make_model()
    actual = model.fit(np.array(x), **arguments).history["loss"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.one_keras
def test_only_rows_that_are_trained_on_are_read(tmp_path, monkeypatch):
    """Far more rows than fit in memory: a sparse file of one tebibyte."""
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(2**40)
    x = np.memmap(path, np.float32, "r", shape=(2**30, 256))
    monkeypatch.setattr(samples, "_MOST_ENTRIES", 500 * 256)  # of the sample to start from
    model = gmnvp.FlowModel(
        gmnvp.gaussian_mixture_flow(
            256, 1, num_couplings=1, hidden_units=(4,), covariance_type="diag", seed=0
        )
    )
    model.compile(mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    history = model.fit(x, batch_size=32, steps_per_epoch=2, epochs=2, verbose=0).history
    assert len(history["loss"]) == 2


@pytest.mark.one_keras
@pytest.mark.parametrize(("num_columns", "num_reads"), [(2, 1), (70_000, 4)])
def test_short_rows_of_many_batches_are_read_at_once(num_columns, num_reads):
    reads = []

    class Counted(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, np.ndarray):
                reads.append(len(key))
            return super().__getitem__(key)

    rows = np.repeat(np.arange(7, dtype=np.float32)[:, np.newaxis], num_columns, axis=1)
    batches = [x.numpy() for (x,) in row_batches(rows.view(Counted), batch_size=2)]
    assert len(reads) == num_reads
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), rows)
