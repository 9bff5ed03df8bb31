"""The category of warnings about training."""

from __future__ import annotations

__all__ = ["TrainingWarning"]


class TrainingWarning(UserWarning):
    """Training ended, but with a doubtful result.

    #### Examples

    >>> issubclass(TrainingWarning, UserWarning)
    True
    """
