"""Where packs are kept, and whether the library is there: all that is needed of this engine where it is not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardtack.places import PACKS
from hardtack.runtime.instructions import read_instructions
from hardtack.spec.lock import LockedModel

LIBRARY = Path(__file__).with_name("libhardtack_native.so")
"""Where a wheel, or an installation from source, puts the library."""


def missing() -> str | None:
    """What this engine lacks here, library or CPU, as far as that can be told without importing more; None: nothing."""
    if not LIBRARY.is_file():
        return "its library is not installed"
    return None if read_instructions().tiles else "the CPU has no AMX"


@dataclass(frozen=True)
class Shelf:
    """Where packs are kept.

    Attributes:
        folder: their folder; made when the first one is written.
        digest: of the model's locked files.
        hashed: whether a pack is hashed before it is taken.
    """

    folder: Path
    digest: str
    hashed: bool = True


def shelf_of(locked: LockedModel | None, source: str, builds: Path | None, *, hashed: bool) -> Shelf | None:
    """Where a model's pack is kept: beside the store's builds, if a lock names the model.

    A pantry's is not: it runs where nothing is to be written, and the proof of it is that nothing was.
    """
    if locked is None or builds is None or source == "pantry":
        return None
    return Shelf(builds.with_name(PACKS), locked.digest, hashed)
