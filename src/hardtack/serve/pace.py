"""How fast a model answers, as seen lately, and so how long a queue would take."""

from __future__ import annotations

import math
from collections.abc import Callable

_MEMORY = 10.0  # seconds of work after which what was seen counts a third
_LEAST = 0.5  # seconds of work below which nothing can be told


class Pace:
    """Tokens a second over the time in which anything ran.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens = 0.0
        self._seconds = 0.0
        self._running = 0
        self._last = 0.0

    def began(self) -> None:
        """A batch went to work."""
        if self._running == 0:
            self._last = self._clock()
        self._running += 1

    def ended(self, tokens: int) -> None:
        """A batch of so many tokens came back."""
        now = self._clock()
        passed, self._last = now - self._last, now
        self._running -= 1
        fade = math.exp(-passed / _MEMORY)
        self._tokens = self._tokens * fade + tokens
        self._seconds = self._seconds * fade + passed

    def seconds(self, tokens: int) -> float:
        """How long so many tokens would take; 0 where too little was seen to say so: first batches are slow."""
        return tokens * self._seconds / self._tokens if self._seconds > _LEAST else 0.0
