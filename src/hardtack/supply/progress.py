"""How supply tells what it is doing: an interface to be passed in, silent unless somebody listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Somebody who listens. Called from several threads at once; must not raise."""

    def start(self, name: str, size: int) -> None:
        """Work on ``name`` begins, of ``size`` bytes."""

    def advance(self, name: str, count: int) -> None:
        """``count`` more bytes are done; fewer than none where a file has to begin again."""

    def finish(self, name: str) -> None:
        """Work on ``name`` has ended, well or not."""

    def say(self, text: str) -> None:
        """One sentence that a person should see."""


class Silent:
    """Nobody listens."""

    def start(self, name: str, size: int) -> None:
        """Do nothing."""

    def advance(self, name: str, count: int) -> None:
        """Do nothing."""

    def finish(self, name: str) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""


SILENT = Silent()
