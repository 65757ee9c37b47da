"""The lock that a file on the command line means: one itself, the one in a pantry, the one that an archive brings."""

from __future__ import annotations

from pathlib import Path

from hardtack.errors import LockError
from hardtack.project import Project
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import parse_lock
from hardtack.spec.text_file import read_text
from hardtack.supply.archive_source import Source, is_archive, opened, parse_archived, read_lock_text
from hardtack.supply.archive_tar import BLOCK


def path_of(file: Path | None) -> Path:
    """The lock or archive that is meant; None: the project's lock."""
    if file is None:
        return Project.here().lock_path
    return file / LOCK_NAME if file.is_dir() else file


def lock_text_of(path: Path) -> bytes:
    """The bytes of the lock that a file is, or that it brings as an archive.

    Raises:
        LockError: it is neither, or the lock cannot be understood.
        DiskError: it cannot be read.
    """
    if path.is_file():
        with opened(path) as file:
            if is_archive(file.read(BLOCK)):
                file.seek(0)
                text = read_lock_text(Source(file))
                parse_archived(text)
                return text
    said = read_text(path, LockError, "lock", "hardtack lock")
    parse_lock(said, str(path))
    return said.encode()
