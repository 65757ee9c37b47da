"""Supply's progress on a terminal: a bar for the whole, and one below it for each large file under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hardtack.cli.output import Row, Talk

LARGE = 10_000_000
"""Bytes from which on a file gets a bar of its own; smaller ones come and go before anybody could read them."""


@dataclass
class _Work:
    size: int
    done: int = 0
    ended: bool = False


class Bar:
    """Listens to supply; safe to be told by several threads.

    Work that is announced (``start``) counts for the whole at once, and shows once it moves. When all that was
    announced has ended, what comes next begins a new whole: checking what is there, then fetching what is not. Told of
    a name that it does not know any more (two works of one name, the first of which ended), it draws on: a bar must
    never be what fails.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._lock = threading.Lock()
        self._work: dict[str, _Work] = {}

    def start(self, name: str, size: int) -> None:
        """Work on ``name`` is to be done, or begins."""
        with self._lock:
            if all(work.ended for work in self._work.values()):
                self._work.clear()
            self._work.setdefault(name, _Work(size))
            self._draw()

    def advance(self, name: str, count: int) -> None:
        """``count`` more bytes are done."""
        with self._lock:
            if (work := self._work.get(name)) is not None:
                work.done += count
            self._draw()

    def finish(self, name: str) -> None:
        """Work on ``name`` has ended; what was left of it need not be done."""
        with self._lock:
            if (work := self._work.get(name)) is not None:
                work.done, work.ended = work.size, True
            self._draw()

    def say(self, text: str) -> None:
        """One sentence that a person should see."""
        with self._lock:
            self._talk.say(text)

    def _draw(self) -> None:
        whole = Row(sum(work.done for work in self._work.values()), sum(work.size for work in self._work.values()), "")
        shown = [
            Row(work.done, work.size, name)
            for name, work in self._work.items()
            if work.size >= LARGE and work.done > 0 and not work.ended
        ]
        self._talk.draw([whole, *shown])
