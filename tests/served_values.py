"""Evaluates exports without this package.

    python served_values.py HIDDEN EXPORT INPUTS.npz OUTPUTS.npz [EXPORT INPUTS.npz OUTPUTS.npz ...]

`INPUTS.npz` holds `x`, `z`, `num_samples` and `seed`. `HIDDEN` names top-level modules, separated
by commas, that cannot be imported meanwhile.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Hiding:
    """A finder that hides modules, as if they were not installed."""

    def __init__(self, finder, hidden):
        self.finder, self.hidden = finder, hidden

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.hidden:
            return None
        return self.finder.find_spec(name, path, target)


def served_values(loaded, inputs):
    """The outputs of every signature, as `signature/output`."""
    import tensorflow as tf

    values = {}
    for name, signature in loaded.signatures.items():
        expected = signature.structured_input_signature[1]
        outputs = signature(**{key: tf.constant(inputs[key]) for key in expected})
        values.update({f"{name}/{key}": value.numpy() for key, value in outputs.items()})
    return values


def main(hidden, *files):
    names = set(hidden.split(","))
    sys.meta_path[:] = [Hiding(finder, names) for finder in sys.meta_path]
    import numpy as np
    import tensorflow as tf

    for export, inputs_file, outputs_file in zip(files[::3], files[1::3], files[2::3], strict=True):
        inputs = dict(np.load(inputs_file))
        np.savez(outputs_file, **served_values(tf.saved_model.load(export), inputs))
    strangers = names | {"tensorflow_probability", "tf_keras", "tfp_gmnvp"}
    assert not strangers & {name.partition(".")[0] for name in sys.modules}


if __name__ == "__main__":
    main(*sys.argv[1:])
