"""What a pull did, file by file: values that the command line prints and tests compare."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """How a locked file came to be in its place."""

    THERE = "there"  # was there, and right
    ADOPTED = "adopted"  # its bytes were found on this machine, and right
    FETCHED = "fetched"  # came from the Hub
    REPLACED = "replaced"  # was there and wrong; came from the Hub
    MISSING = "missing"  # found nowhere; only where no Hub was asked


@dataclass(frozen=True, slots=True)
class PulledFile:
    """One file: its path in the repository, bytes, how it came, and how many bytes were transferred for it."""

    path: str
    size: int
    state: State
    transferred: int = 0


@dataclass(frozen=True, slots=True)
class PulledSnapshot:
    """One repository at one commit, or a local directory (no commit).

    Attributes:
        keys: the models that it is for.
        directory: where its files are.
        files: sorted by path.
    """

    keys: tuple[str, ...]
    repo: str
    commit: str
    directory: Path
    files: tuple[PulledFile, ...]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A whole pull; ``notes`` are sentences for a person."""

    snapshots: tuple[PulledSnapshot, ...]
    notes: tuple[str, ...] = ()

    @property
    def transferred(self) -> int:
        """Bytes that came over the network."""
        return sum(file.transferred for snapshot in self.snapshots for file in snapshot.files)

    def count(self, state: State) -> int:
        """Files that came to be there in this way."""
        return sum(file.state is state for snapshot in self.snapshots for file in snapshot.files)
