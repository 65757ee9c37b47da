"""A few threads that work through a list: results in the list's order, the first failure ends all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from hardtack.supply.locks import Stopped

T = TypeVar("T")
R = TypeVar("R")
THREADS = 4  # more connections get no more from one Hub, and hashing fills the cores


def work(act: Callable[[T, threading.Event], R], items: Sequence[T], threads: int = THREADS) -> list[R]:
    """Call ``act`` for each item, with an event that it must watch and end at.

    Raises:
        Exception: the first failure, by the order of the items, once all threads have ended.
    """
    stop = threading.Event()

    def guarded(item: T) -> R:
        if stop.is_set():
            raise Stopped
        try:
            return act(item, stop)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(threads, thread_name_prefix="supply") as pool:
        try:
            futures = [pool.submit(guarded, item) for item in items]
            problems = [problem for future in futures if (problem := _outcome(future)) is not None]
        except BaseException:  # an interrupt while waiting: the threads must not go on behind it
            stop.set()
            raise
    real = [problem for problem in problems if not isinstance(problem, Stopped)]
    if problems:
        raise (real or problems)[0]
    return [future.result() for future in futures]


def _outcome(future: Future[R]) -> BaseException | None:
    """What a thread ended with. Looks up now and then: CPython can miss an interrupt that comes just before a wait."""
    while True:
        try:
            return future.exception(timeout=1)
        except TimeoutError:
            continue
