"""Timing of variants in turn, so that the machine's drift hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

__all__ = ["medians", "milliseconds"]


def milliseconds(step: Callable[[], object], num_steps: int) -> float:
    """Time per step, until the last one's result is there."""
    start = time.perf_counter()
    for _ in range(num_steps):
        result = step()
    np.asarray(tf.nest.flatten(result)[-1])
    return 1e3 * (time.perf_counter() - start) / num_steps


def medians(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    num_steps: int,
    measure: Callable[[Callable[[], object], int], float] = milliseconds,
) -> dict[str, float]:
    """The median milliseconds per step of variants that are timed A B C, A B C, ..."""
    for step in variants.values():
        measure(step, 5)  # traces, compiles, warms up
    times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, step in variants.items():
            times[name].append(measure(step, num_steps))
    return {name: statistics.median(values) for name, values in times.items()}
