"""What a training warns of."""

from __future__ import annotations

__all__ = ["TrainingWarning"]


class TrainingWarning(UserWarning):
    """A training ended, but not well.

    #### Examples

    >>> issubclass(TrainingWarning, UserWarning)
    True
    """
