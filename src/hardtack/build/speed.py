"""How fast variants are beside one another: they take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

_ROUNDS = 5
_LEAST = 2
_SECONDS = 30.0


def race(
    runs: Mapping[str, Callable[[], object]],
    *,
    clock: Callable[[], float] = time.perf_counter,
    rounds: int = _ROUNDS,
    seconds: float = _SECONDS,
) -> dict[str, float]:
    """The median seconds of each, run in turns after one turn that does not count.

    Args:
        runs: by name.
        clock: seconds, ever rising.
        rounds: turns for each.
        seconds: after which no new round begins, once there were two.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for work in runs.values():  # compiles for many batches, and sees the shapes
        work()
    began = clock()
    for turn in range(rounds):
        if turn >= _LEAST and clock() - began > seconds:
            break
        for name, work in runs.items():
            start = clock()
            work()
            taken[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in taken.items()}
