"""Atomic writing of files and directories, and loading of weights that is undone on errors."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

__all__ = ["atomic_directory", "atomic_write", "restored_on_error"]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[str]:
    """Yields the path of a temporary file, which replaces `path` if no error occurs.

    If the process is killed meanwhile, `path` is unchanged, and a hidden directory remains next to
    it.

    Args:
      path: of a local file.

    Yields:
      A path with the same file name, in the same file system.

    #### Examples

    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with atomic_write(directory + "/a") as path:
    ...         _ = Path(path).write_text("whole")
    ...     print(os.listdir(directory))
    ['a']
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as directory:
        new = os.path.join(directory, path.name)
        yield new
        os.replace(new, path)


@contextlib.contextmanager
def atomic_directory(path: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Yields the path of a temporary directory, which replaces `path` if no error occurs.

    Args:
      path: of a local directory, which need not exist.
      check: raises an error if `path` must not be replaced; called before and after.

    Yields:
      A path in the same file system, of a directory that does not exist yet.

    #### Examples

    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with atomic_directory(Path(parent) / "a", lambda: None) as new:
    ...         new.mkdir()
    ...     print(os.listdir(parent))
    ['a']
    """
    check()
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    new, old = workspace / "new", workspace / "old"
    try:
        yield new
        check()  # again, as `path` may have changed meanwhile
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(workspace, ignore_errors=True)


@contextlib.contextmanager
def restored_on_error(variables: Sequence[tf.Variable], path: str | os.PathLike) -> Iterator[None]:
    """Restores the values of variables if loading them from a file fails.

    Args:
      variables: the variables that are loaded.
      path: path of the file, for the error.

    Raises:
      ValueError, OSError: if loading fails.

    #### Examples

    >>> variable = tf.Variable(1.0)
    >>> with restored_on_error([variable], "weights.h5"):
    ...     _ = variable.assign(2.0)
    ...     raise ValueError("No more weights.")
    Traceback (most recent call last):
    ValueError: `filepath` 'weights.h5' does not fit this model; the model is unchanged...
    """
    before = [tf.identity(variable) for variable in variables]
    try:
        yield
    except Exception as error:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        kind = OSError if isinstance(error, OSError) else ValueError
        what = "cannot be read" if kind is OSError else "does not fit this model"
        path = os.fspath(path)
        raise kind(f"`filepath` {path!r} {what}; the model is unchanged: {error}") from error
