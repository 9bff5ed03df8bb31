"""Small models, the same in every process, and their next ten losses.

    python keras_models.py DIRECTORY

loads `UPDATE.keras`, `UPDATE.weights.h5` and `UPDATE.ckpt.index` from the directory,
trains on, and writes the losses to `losses.json`.
"""

import json
import os
import pathlib
import sys
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import tfp_gmnvp as gmnvp

keras = tf.keras
UPDATES = {
    "full_batch": lambda: gmnvp.FullBatchEM(every=3, num_iterations=2),
    "stepwise": lambda: gmnvp.StepwiseEM(step_size=0.2, covariance_floor=1e-3),
    "gradient": gmnvp.GradientUpdate,
}
FORMATS = ("keras", "weights.h5", "ckpt")
#: XLA takes seconds for each model: tests that do not depend on it do not use it.
HOW_TO_RUN = {"jit_compile": False}
#: Tests that may depend on XLA use it, but only under one of the two versions of Keras.
AS_USERS_DO = {"jit_compile": False if os.environ.get("TF_USE_LEGACY_KERAS") == "1" else "auto"}
#: Keras treats all updates alike, so the other version of Keras is tested with one.
UPDATES_HERE = ["stepwise"] if os.environ.get("TF_USE_LEGACY_KERAS") == "1" else list(UPDATES)
EACH_UPDATE = [
    pytest.param(name, marks=[] if name == "stepwise" else pytest.mark.one_keras)
    for name in UPDATES
]
BY_XLA = pytest.param({"jit_compile": True}, marks=[pytest.mark.one_keras, pytest.mark.by_xla])


def points(size=120, seed=0):
    """Two Gaussian clusters, `[size, 3]`."""
    rng = np.random.default_rng(seed)
    centers = np.array([[-3.0, 0.0, 1.0], [3.0, 1.0, 0.0]])
    return (centers[rng.integers(2, size=size)] + rng.normal(size=(size, 3))).astype(np.float32)


def sequence_of(*arrays, batch_size=40):
    """A Keras `PyDataset` of batches of the arrays' rows."""
    base = getattr(keras.utils, "PyDataset", None) or keras.utils.Sequence

    class Batches(base):
        def __len__(self):
            return len(arrays[0]) // batch_size

        def __getitem__(self, index):
            rows = slice(batch_size * index, batch_size * (index + 1))
            return tuple(array[rows] for array in arrays)

    return Batches()


def make_flow(seed=0, **arguments):
    """A flow with a permutation, standardisation and two components."""
    arguments = {"num_couplings": 3, "hidden_units": (8,), "standardize": points(), **arguments}
    return gmnvp.gaussian_mixture_flow(3, 2, seed=seed, **arguments)


def make_model(update="stepwise", optimizer=None, *, seed=0, **compile_arguments):
    """A compiled model; `update` is a name in `UPDATES`."""
    model = gmnvp.FlowModel(make_flow(seed), seed=seed)
    optimizer = optimizer or keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(2e-2, 10, 0.9), clipnorm=5.0
    )
    how_to_run = {**HOW_TO_RUN, **compile_arguments}
    model.compile(optimizer, mixture_update=UPDATES[update](), **how_to_run)
    return model


def weights_of(model):
    """Copies of all weights."""
    return [value.copy() for value in model.get_weights()]


def assert_same(actual, expected):
    """Asserts that arrays are equal, bit for bit."""
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def rewrite(path, name, change):
    """Rewrites a `.keras` file with one member changed, or removed if it is `None`."""
    with zipfile.ZipFile(path) as file:
        contents = {member: file.read(member) for member in file.namelist()}
    contents[name] = change(contents[name])
    with zipfile.ZipFile(path, "w") as file:
        for member, content in contents.items():
            if content is not None:
                file.writestr(member, content)


def next_losses(model, **arguments):
    """The losses of ten more epochs, in nats."""
    fit = {"batch_size": 40, "epochs": 10, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(points(), **fit).history["loss"]


def save(model, directory, update, form):
    """Saves a model in one of the `FORMATS`."""
    path = str(directory / f"{update}.{form}")
    if form == "keras":
        model.save(path)
    elif form == "weights.h5":
        model.save_weights(path)
    else:
        tf.train.Checkpoint(model=model).write(path)


def load(directory, update, form):
    """Loads what `save` has saved."""
    path = str(directory / f"{update}.{form}")
    if form == "keras":
        return keras.models.load_model(path)
    model = make_model(update)
    if form == "weights.h5":
        model.load_weights(path)
    else:
        tf.train.Checkpoint(model=model).read(path).assert_consumed()
    return model


def main(directory):
    losses = {
        f"{update}.{form}": next_losses(load(directory, update, form))
        for update in UPDATES_HERE
        for form in FORMATS
    }
    (directory / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
