"""A `fit` with backups, for a process that may be killed at any moment.

    python interrupted_fit.py DIRECTORY

resumes from the backup in the directory, if there is one, appends to `epochs` the number of each
epoch that it begins, and at the end writes the variables to `final.npz`.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from keras_models import make_model, points

keras = tf.keras
KILLS = int(os.environ.get("TFP_GMNVP_KILLS", "2"))  # how often a test interrupts it
EPOCHS = 3 * KILLS + 3


class NoteEpochs(keras.callbacks.Callback):
    """Appends the number of an epoch to a file when it begins."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def on_epoch_begin(self, epoch, logs=None):
        with open(self._path, "a") as file:
            file.write(f"{epoch}\n")


def main(directory):
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    model = make_model("stepwise")
    callbacks = [
        keras.callbacks.BackupAndRestore(str(directory / "backup")),
        NoteEpochs(directory / "epochs"),
    ]
    model.fit(points(), epochs=EPOCHS, batch_size=4, callbacks=callbacks, verbose=0)
    values = {f"{i:03}": value for i, value in enumerate(model.get_weights())}
    np.savez(directory / "new.npz", **values)
    (directory / "new.npz").rename(directory / "final.npz")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
