"""Small acts on a disk that must be whole or not at all, readable by every user, and said plainly when they fail."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardtack.errors import DiskError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn what goes wrong with files inside the block into a :class:`DiskError` about ``path``."""
    try:
        yield
    except OSError as problem:
        full = problem.errno in _FULL
        raise DiskError(
            "the disk is full; what has come so far is kept" if full else "a file could not be written",
            where=str(path), expected="free space" if full else "a writable folder",
            found=f"{problem.strerror} ({problem.filename or path})",
            mend=f"df -h {path.parent}" if full else f"ls -ld {path.parent}",
        ) from problem  # fmt: skip


def is_read_only(problem: DiskError) -> bool:
    """Whether a disk error means: this may be read but not written."""
    return isinstance(problem.__cause__, OSError) and problem.__cause__.errno in _READ_ONLY


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write where ``path`` is, or will be."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(there).free


def need(path: Path, size: int, free: int) -> None:
    """Refuse to begin what cannot fit.

    Raises:
        DiskError: says how much is missing.
    """
    if size > free:
        raise DiskError(
            "there is not enough free space", where=str(path), expected=f"{size} bytes free",
            found=f"{free} bytes free", mend="hf cache prune",
        )  # fmt: skip


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each readable by all: one user may pull and another load."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(folder.stat().st_mode | 0o555)


def put(source: Path, target: Path) -> None:
    """Put a finished file in its place: synced, readable by all, whole at every moment."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        mode = os.fstat(descriptor).st_mode
        if mode & 0o444 != 0o444:
            os.fchmod(descriptor, mode | 0o444)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    source.replace(target)
    sync_folder(target.parent)


def write_small(path: Path, data: bytes) -> None:
    """Write a small file whole, or leave what was there."""
    make_folder(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        beside.write_bytes(data)
        put(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
