"""Times variants in turn, so that drifts of the machine affect all of them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

__all__ = ["medians", "timed"]

Measure = Callable[[int], float]

_PAUSE = 0.3  # seconds


def timed(step: Callable[[], object]) -> Measure:
    """Returns a function that measures the milliseconds of a number of steps.

    The time includes waiting for the result of the last step.
    """

    def measure(num_steps: int) -> float:
        start = time.perf_counter()
        for _ in range(num_steps):
            result = step()
        np.asarray(tf.nest.flatten(result)[-1])
        return 1e3 * (time.perf_counter() - start) / num_steps

    return measure


def medians(variants: Mapping[str, Measure], rounds: int, num_steps: int) -> dict[str, float]:
    """The median milliseconds per step of variants that are timed A B C, A B C, ...

    There is a pause between them, because threads of some libraries use the CPU while they wait.
    """
    for measure in variants.values():
        measure(5)  # traces, compiles, warms up
    times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            time.sleep(_PAUSE)
            times[name].append(measure(num_steps))
    return {name: statistics.median(values) for name, values in times.items()}
