"""What every subject measures with: alternating runs, medians, and a line for each target."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

BRIEF = os.environ.get("HARDTACK_BENCH") == "brief"
"""Whether to show only that the benchmarks run: one round, of little. The figures say nothing then."""


def alternate(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run A B C A B C …, ``rounds`` times, and give the median of what each returns; one round if brief."""
    seen: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(1 if BRIEF else rounds):
        for name, run in contestants.items():
            seen[name].append(run())
    return {name: statistics.median(values) for name, values in seen.items()}


def seconds_of(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Wall-clock seconds of a process, from its start to its end; it must end well."""
    began = time.perf_counter()
    done = subprocess.run(command, env=None if env is None else dict(env), capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} … ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return took


def seconds_to_answer(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """Wall-clock seconds from a process's start to its first line of output; it must end well."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, env=None if env is None else dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - began
        _, said = process.communicate()
    if process.returncode != 0 or not line:
        raise RuntimeError(f"{' '.join(command[:3])} … ended with {process.returncode}: {said.strip()[-500:]}")
    return took


@dataclass(frozen=True)
class Target:
    """A figure and its goal."""

    name: str
    figure: float
    goal: float
    unit: str
    at_least: bool

    @property
    def reached(self) -> bool:
        """Whether the figure is as good as the goal."""
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    @property
    def score(self) -> float:
        """How many times as good as the goal; 1 is just reached."""
        good, goal = (self.figure, self.goal) if self.at_least else (self.goal, self.figure)
        return good / goal if goal else math.inf


SEEN: list[Target] = []
"""Every target of this run, in order."""


def target(name: str, figure: float, goal: float, *, unit: str = "×", at_least: bool = True) -> bool:
    """Print and keep one target: the figure, what it is to be, and whether it is."""
    made = Target(name, figure, goal, unit, at_least)
    SEEN.append(made)
    sign = "≥" if at_least else "≤"
    print(f"{'reached' if made.reached else 'MISSED ':<8} {name}: {figure:.2f} {unit} ({sign} {goal:g} {unit})")
    sys.stdout.flush()
    return made.reached
