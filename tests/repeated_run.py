"""Prints a digest of all results that depend on a seed, in a separate process.

    python repeated_run.py SEED GLOBAL_SEED

prints a digest of a fit and of samples, and whether the global random states of Python,
NumPy and TensorFlow are as `GLOBAL_SEED` left them.
"""

import hashlib
import os
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from keras_models import points

import tfp_gmnvp as gmnvp


def run(seed):
    """The values of a small fit's variables, losses and samples."""
    flow = gmnvp.gaussian_mixture_flow(
        3, 2, num_couplings=2, hidden_units=(8,), standardize=points(), dropout=0.1, seed=seed
    )
    model = gmnvp.FlowModel(flow, n_init=2, seed=seed)
    model.compile("adam", mixture_update=gmnvp.StepwiseEM(), jit_compile=False)
    losses = model.fit(points(), batch_size=32, epochs=2, verbose=0).history["loss"]
    samples = [flow.sample(5, seed=gmnvp._shared.seeds.stateless_seed(seed))]
    samples.append(gmnvp.sample_component(flow, 1, 5, seed=seed))
    return [*model.get_weights(), np.array(losses), *map(np.asarray, samples)]


def digest(values):
    return hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in values)).hexdigest()


def main(seed, global_seed):
    def set_global():
        random.seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002
        tf.random.set_seed(global_seed)

    def draw():
        numpy = np.random.random()  # noqa: NPY002
        return random.random(), numpy, float(tf.random.uniform([]))

    set_global()
    undisturbed = draw()
    set_global()
    values = run(seed)
    print(digest(values), draw() == undisturbed)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
