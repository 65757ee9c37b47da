"""Threads that work through a list end together."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from hardtack.supply.crew import work


def test_results_are_in_the_order_of_the_items() -> None:
    turns = [threading.Event() for _ in range(3)]

    def act(item: int, _: threading.Event) -> int:
        if item < 2:
            turns[item + 1].wait(10)
        turns[item].set()
        return item * 10

    assert work(act, [0, 1, 2], threads=3) == [0, 10, 20]


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_raised() -> None:
    begun = threading.Event()
    seen: list[bool] = []

    def act(item: int, stop: threading.Event) -> None:
        if item == 1:
            begun.wait(10)
            raise ValueError(item)
        begun.set()
        seen.append(stop.wait(10))

    with pytest.raises(ValueError, match="1"):
        work(act, [0, 1, 2, 3], threads=2)
    assert seen == [True]  # the rest never began


def test_an_interrupt_stops_the_threads() -> None:
    # in a process of its own: a test runner has its own ideas about interrupts
    code = """
import os, signal, threading
from hardtack.supply.crew import work

def act(item, stop):
    if item == 1:  # by the second item the only thread is up, and the main one waits for it
        os.kill(os.getpid(), signal.SIGINT)  # to the process, as a terminal does: the main thread wakes
        print("told to stop:", stop.wait(10), flush=True)

try:
    work(act, [0, 1], threads=1)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["told to stop: True", "interrupted"]
