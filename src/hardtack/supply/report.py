"""What a pull did, file by file: values that the command line prints and tests compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class State(StrEnum):
    """How a locked file came to be in its place."""

    THERE = "there"  # was there, and right
    ADOPTED = "adopted"  # its bytes were found on this machine, and right
    FETCHED = "fetched"  # came from the Hub
    REPLACED = "replaced"  # was there and wrong; came from the Hub
    MISSING = "missing"  # found nowhere; only where no Hub was asked


@dataclass(frozen=True, slots=True)
class PulledFile:
    """One file: its path in the repository, bytes, how it came, and how many bytes were fetched for it."""

    path: str
    size: int
    state: State
    fetched: int = 0


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
    def files(self) -> int:
        """How many files there are."""
        return sum(len(snapshot.files) for snapshot in self.snapshots)

    @property
    def bytes(self) -> int:
        """How large they are together."""
        return sum(file.size for snapshot in self.snapshots for file in snapshot.files)

    @property
    def fetched_bytes(self) -> int:
        """Bytes that came over the network."""
        return sum(file.fetched for snapshot in self.snapshots for file in snapshot.files)

    def count(self, state: State) -> int:
        """How many files came to be there in this way."""
        return sum(file.state is state for snapshot in self.snapshots for file in snapshot.files)

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "files": self.files, "bytes": self.bytes, "fetched_bytes": self.fetched_bytes, "notes": list(self.notes),
            "snapshots": [asdict(each) | {"directory": str(each.directory)} for each in self.snapshots],
        }  # fmt: skip
