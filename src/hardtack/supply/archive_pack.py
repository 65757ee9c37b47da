"""A lock's models out of the store and into one archive, reproducible to the byte; hashed on the way.

The same lock gives the same archive on any machine, in any year, under any umask. What is not as locked is never
packed, and a destination that is a file appears whole or not at all. Asks no network.
"""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hardtack.errors import HardtackError
from hardtack.places import Store
from hardtack.spec.lock import LOCK_NAME, Lock
from hardtack.spec.lock_text import render_lock
from hardtack.spec.verify import Checked, Finding, Kind, check_file, mismatch
from hardtack.supply import archive_tar as tar
from hardtack.supply import disk
from hardtack.supply.archive import Entry, archive_lock, digest_of, entries_of
from hardtack.supply.archive import Kind as Origin
from hardtack.supply.archive_stage import hold, sweep
from hardtack.supply.progress import SILENT, Progress

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Packed:
    """An archive that was written.

    Attributes:
        digest: of its lock, which stands for the whole.
        models: the keys in it.
        files: how many, the lock not counted.
        bytes: of the archive itself.
    """

    digest: str
    models: tuple[str, ...]
    files: int
    bytes: int


def pack(
    lock: Lock,
    store: Store,
    folder: Path,
    out: BinaryIO,
    *,
    select: Iterable[str] = (),
    progress: Progress = SILENT,
) -> Packed:
    """Write an archive to a stream, front to back: a pipe will do.

    Args:
        lock: the lock.
        store: where models of the Hub, and builds, lie.
        folder: the lock's, which local models are relative to.
        out: where to.
        select: keys, repositories or their last parts; empty for all.
        progress: who is told.

    Raises:
        UnknownModel: ``select`` names none of the lock's.
        Mismatch: a file is missing or not what the lock says; what was written so far is no archive.
        Refused, LockError: the models cannot lie in one archive.
        DiskError: a file cannot be read, or the archive not be written.
    """
    chosen = archive_lock(lock, select)
    entries = entries_of(chosen)
    for entry in entries:
        if (finding := check_file(entry.directory(store, folder), entry.file, hashes=False)) is not None:
            raise _not_as_locked(finding, entry, store, folder)
    text = render_lock(chosen).encode()
    written = _put(out, tar.header(LOCK_NAME, len(text)), text, tar.padding(len(text)))
    for entry in entries:
        progress.start(entry.name, entry.file.size)
        written += _put(out, tar.header(entry.name, entry.file.size))
        written += _copy(entry, store, folder, out, progress)
        written += _put(out, tar.padding(entry.file.size))
        progress.finish(entry.name)
    written += _put(out, tar.END)
    keys = tuple(model.key for model in chosen.models if model.task.pulls)
    return Packed(digest_of(text), keys, len(entries), written)


def pack_file(
    lock: Lock,
    store: Store,
    folder: Path,
    destination: Path,
    *,
    select: Iterable[str] = (),
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> Packed:
    """Write an archive to a file, which is replaced if it is there; arguments and errors as for :func:`pack`.

    Args:
        lock: see :func:`pack`; so are the others.
        store: see :func:`pack`.
        folder: see :func:`pack`.
        destination: the file.
        select: see :func:`pack`.
        progress: see :func:`pack`.
        free: bytes free where a path is.
    """
    destination = destination.absolute()
    names = tuple(select)
    disk.need(
        destination, sum(each.file.size for each in entries_of(archive_lock(lock, names))), free(destination.parent)
    )
    beside = destination.with_name(f".{destination.name}.{secrets.token_hex(8)}.packing")
    with disk.on_disk(destination):
        sweep(destination.parent, f".{glob.escape(destination.name)}.*.packing")
        try:
            with beside.open("xb") as out:
                hold(out.fileno())
                packed = pack(lock, store, folder, out, select=names, progress=progress)
            disk.put(beside, destination)
        finally:
            beside.unlink(missing_ok=True)
    return packed


def _put(out: BinaryIO, *pieces: bytes) -> int:
    with disk.on_disk(Path(str(getattr(out, "name", "archive")))):
        for piece in pieces:
            out.write(piece)
    return sum(map(len, pieces))


def _copy(entry: Entry, store: Store, folder: Path, out: BinaryIO, progress: Progress) -> int:
    """Copy just as many bytes as the lock says, hashing those that go out."""
    path = entry.directory(store, folder) / entry.file.path
    left, seen = entry.file.size, hashlib.sha256()
    try:
        opened = path.open("rb", buffering=0)
    except OSError as problem:
        found = Finding(Kind.UNREADABLE, entry.file.path, "a readable file", os.strerror(problem.errno or 0))
        raise _not_as_locked(found, entry, store, folder) from problem
    with opened as source:
        while left and (data := source.read(min(_CHUNK, left))):
            seen.update(data)
            left -= _put(out, data)
            progress.advance(entry.name, len(data))
    if left or seen.hexdigest() != entry.file.sha256:
        expected, found_hash = f"sha256 {entry.file.sha256}", f"sha256 {seen.hexdigest()}"
        raise _not_as_locked(Finding(Kind.CHANGED, entry.file.path, expected, found_hash), entry, store, folder)
    return entry.file.size


def _not_as_locked(finding: Finding, entry: Entry, store: Store, folder: Path) -> HardtackError:
    mend = {Origin.HUB: "hardtack pull", Origin.LOCAL: "hardtack lock", Origin.BUILD: "hardtack build"}[entry.kind]
    return mismatch(Checked((finding,), 1, entry.file.size), entry.directory(store, folder), mend=mend)
