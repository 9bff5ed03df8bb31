"""Files of fitted densities: a `.keras` model and what belongs to it, as one archive."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile

import tensorflow as tf

from tfp_gmnvp._shared.files import atomic_write
from tfp_gmnvp._shared.version import __version__
from tfp_gmnvp.training.model import FlowModel

__all__ = ["FORMAT", "read", "write"]

#: Number of the format, which goes up with each change that older code cannot read.
FORMAT = 1

_STATE, _MODEL = "state.json", "model.keras"


def write(path: str | os.PathLike, kind: str, state: dict, model: FlowModel) -> None:
    """Writes one file atomically.

    Args:
      path: of the file.
      kind: the name of the class that it holds.
      state: what JSON takes.
      model: the model.
    """
    about = {"kind": kind, "format": FORMAT, "version": __version__, **state}
    text = json.dumps(about, indent=1)
    with tempfile.TemporaryDirectory() as directory, atomic_write(path) as new:
        file = os.path.join(directory, _MODEL)
        model.save(file)
        with zipfile.ZipFile(new, "w") as archive:
            archive.writestr(_STATE, text)
            archive.write(file, _MODEL)


def read(path: str | os.PathLike, kind: str) -> tuple[dict, FlowModel]:
    """Reads what `write` wrote.

    Args:
      path: of the file.
      kind: the name of the class that the file must hold.

    Returns:
      The state, and the model.

    Raises:
      OSError: if there is no such file.
      ValueError: if the file holds something else, or has the format of a later version.
    """
    path = os.fspath(path)
    try:
        with tempfile.TemporaryDirectory() as directory, zipfile.ZipFile(path) as archive:
            state = json.loads(archive.read(_STATE))
            _check(state, kind, path)
            archive.extract(_MODEL, directory)
            return state, tf.keras.models.load_model(os.path.join(directory, _MODEL))
    except (KeyError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(
            f"`path` must be a file that `{kind}.save` wrote, got {path!r}."
        ) from error


def _check(state, kind, path):
    if state["kind"] != kind:
        raise ValueError(
            f"`path` {path!r} holds a `{state['kind']}`, not a `{kind}`: read it by "
            f"`{state['kind']}.load`."
        )
    if state["format"] > FORMAT:
        raise ValueError(
            f"`path` {path!r} has format {state['format']}, written by tfp_gmnvp "
            f"{state['version']}; this version reads formats up to {FORMAT}."
        )
