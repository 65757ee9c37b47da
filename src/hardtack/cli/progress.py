"""Supply's progress as one bar for the whole, drawn by :class:`~hardtack.cli.output.Talk`."""

from __future__ import annotations

import threading

from hardtack.cli.output import Talk


class Bar:
    """Listens to supply: adds up all files under way; safe to be told by several threads."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._lock = threading.Lock()
        self._total = 0
        self._done = 0

    def start(self, name: str, size: int) -> None:
        """Work on ``name`` begins."""
        with self._lock:
            self._total += size
            self._talk.progress(self._done, self._total, name)

    def advance(self, name: str, count: int) -> None:
        """``count`` more bytes are done."""
        with self._lock:
            self._done += count
            self._talk.progress(self._done, self._total, name)

    def finish(self, name: str) -> None:
        """Work on ``name`` has ended."""

    def say(self, text: str) -> None:
        """One sentence that a person should see."""
        with self._lock:
            self._talk.say(text)
