"""An archive into the store, verified while it streams: a pipe will do, and nothing is read twice.

First the lock is read and somebody must vouch for it (:class:`~hardtack.supply.archive.Trust`); from then on every byte
but the files' contents is known beforehand, and an archive that says anything else is refused, with what follows its
end. Contents are hashed as they pass. Only when all was right are files put in their places, as `pull` leaves
them, and the refs written last; until then nothing outside the hidden folders of
:mod:`~hardtack.supply.archive_stage` has changed. Asks no network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from hardtack.errors import HardtackError, Refused
from hardtack.places import Store
from hardtack.spec.digest import Hasher
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import write_atomically
from hardtack.spec.verify import Kind as Finding
from hardtack.spec.verify import check_file
from hardtack.supply import archive_tar as tar
from hardtack.supply import disk
from hardtack.supply.archive import Entry, Kind, Trust, digest_of, entries_of, vouch
from hardtack.supply.archive_source import Source, parse_archived, read_lock_text
from hardtack.supply.archive_stage import Stage
from hardtack.supply.crew import work
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.pull import close, wanted_of
from hardtack.supply.registry import remember
from hardtack.supply.report import State
from hardtack.supply.store import Found, Shelf, project_id

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """An archive that was unpacked.

    Attributes:
        digest: of its lock.
        vouched: who vouched for it, in words.
        models: the keys in it.
        states: by name in the archive, ``there`` or ``adopted``.
        bytes: of the files that were not there before.
        lock_written: the lock, where there was none.
        notes: sentences for a person.
    """

    digest: str
    vouched: str
    models: tuple[str, ...]
    states: dict[str, State]
    bytes: int
    lock_written: Path | None = None
    notes: tuple[str, ...] = ()


def unpack(
    stream: BinaryIO,
    store: Store,
    lock_path: Path,
    trust: Trust,
    *,
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> Unpacked:
    """Bring an archive's models into the store, and local ones beside the lock.

    Args:
        stream: the archive, read to its end.
        store: where to.
        lock_path: the project's lock; where there is none, the archive's is written there, last.
        trust: who vouches.
        progress: who is told.
        free: bytes free where a path is.

    Raises:
        Unverified, Untrusted: nobody vouches for the archive, or not who should.
        Mismatch: it is not what who vouches says, or not what its own lock says, to the byte.
        Refused: a local model would overwrite another file, or leave the lock's folder.
        LockError: its lock cannot be understood.
        DiskError: it cannot be read, or there is no space, or no permission.
    """
    source = Source(stream)
    text = read_lock_text(source)
    archived, digest = parse_archived(text), digest_of(text)
    entries, folder = entries_of(archived), lock_path.absolute().parent
    vouched = vouch(archived, text, trust)
    progress.say(f"{digest}: vouched for by {vouched}")
    there = _survey(entries, store, folder)
    for root, wanted in _by_root(entries, store, folder).items():
        disk.need(root, sum(each.file.size for each in wanted if each.name not in there), free(root))
    with Stage() as stage:
        for entry in entries:
            target = None
            if entry.name not in there:
                with disk.on_disk(folder):
                    target = stage.path(entry.name, _root(entry, store, folder))
            _receive(source, entry, target, progress)
        source.expect(tar.END, "the end of the archive")
        source.ends()
        remember(store, trust.lock if trust.lock and not trust.expect else archived, lock_path)
        notes = _settle(_named(archived, trust), entries, store, lock_path, stage, progress)
        written = None
        if not lock_path.exists():
            write_atomically(lock_path, text)
            written = lock_path
    states = {entry.name: State.THERE if entry.name in there else State.ADOPTED for entry in entries}
    keys = tuple(model.key for model in archived.models if model.task.pulls)
    new = sum(entry.file.size for entry in entries if entry.name not in there)
    return Unpacked(digest, vouched, keys, states, new, written, tuple(notes))


def _root(entry: Entry, store: Store, folder: Path) -> Path:
    """The folder beside whose content an entry is staged."""
    return {Kind.HUB: store.hub, Kind.LOCAL: folder, Kind.BUILD: store.own}[entry.kind]


def _by_root(entries: Iterable[Entry], store: Store, folder: Path) -> dict[Path, list[Entry]]:
    roots: dict[Path, list[Entry]] = {}
    for entry in entries:
        roots.setdefault(_root(entry, store, folder), []).append(entry)
    return roots


def _survey(entries: tuple[Entry, ...], store: Store, folder: Path) -> frozenset[str]:
    """The names of what need not be written, since it lies there and is right.

    Raises:
        Refused: what lies where a local model should go is another file: it may be somebody's work.
    """

    def look(entry: Entry, stop: threading.Event) -> bool:  # noqa: ARG001  one file is short work
        if entry.kind is Kind.HUB:
            return Shelf(store, entry.repo).look(entry.commit, entry.file) is Found.RIGHT
        directory = entry.directory(store, folder)
        parent = (directory / entry.file.path).parent
        if entry.kind is Kind.LOCAL and not parent.resolve().is_relative_to(folder.resolve()):
            raise _in_the_way(parent, "a folder below the lock's", "a link that leads out of it")
        finding = check_file(directory, entry.file)
        if finding is not None and entry.kind is Kind.LOCAL and finding.kind is not Finding.MISSING:
            raise _in_the_way(directory / entry.file.path, finding.expected, finding.found)
        return finding is None

    right = work(look, entries, threads=2)
    return frozenset(entry.name for entry, yes in zip(entries, right, strict=True) if yes)


def _in_the_way(path: Path, expected: str, found: str) -> HardtackError:
    return Refused(
        "something else lies where a local model should go", where=str(path), expected=f"nothing, or {expected}",
        found=found, mend=f"mv {path} {path}.old",
    )  # fmt: skip


def _receive(source: Source, entry: Entry, target: Path | None, progress: Progress) -> None:
    """Take one file off the stream, into ``target`` if there is one; its hashes must be the lock's.

    Git's blob id is checked, too, for the store keeps content under it.
    """
    file = entry.file
    source.expect(tar.header(entry.name, file.size), f"{entry.name}, {file.size} bytes")
    progress.start(entry.name, file.size)
    hasher, left = Hasher(file.size, git=bool(file.git)), file.size
    with disk.on_disk(target or Path(entry.name)):
        out = None if target is None else target.open("xb")
    try:
        while left:
            data = source.chunk(min(left, _CHUNK))
            hasher.update(data)
            if out is not None and target is not None:
                with disk.on_disk(target):
                    out.write(data)
            left -= len(data)
            progress.advance(entry.name, len(data))
    finally:
        if out is not None and target is not None:
            with disk.on_disk(target):
                out.close()
        progress.finish(entry.name)
    hashes = hasher.finish()
    if hashes.sha256 != file.sha256:
        raise source.refused(f"{entry.name} of sha256 {file.sha256}", f"sha256 {hashes.sha256}")
    if file.git and hashes.git != file.git:
        raise source.refused(f"{entry.name} of git blob id {file.git}", hashes.git)
    source.expect(tar.padding(file.size), "zeros up to the next block")


def _named(archived: Lock, trust: Trust) -> Lock:
    """The archive's lock without the branches and tags that the project's lock, where it vouches, does not say.

    Files are held to it by their hashes; which commit a store calls ``main`` must not be the archive's to say either.
    """
    if trust.lock is None or trust.expect:
        return archived
    said = {(model.repo, model.commit, model.requested) for model in trust.lock.models}
    models = (
        model if (model.repo, model.commit, model.requested) in said else replace(model, requested="")
        for model in archived.models
    )  # fmt: skip
    return replace(archived, models=tuple(models))


def _settle(
    archived: Lock, entries: tuple[Entry, ...], store: Store, lock_path: Path, stage: Stage, progress: Progress
) -> list[str]:
    """Put all in place, by renames: contents first, then their names, then the refs by which others find them."""
    folder, never = lock_path.absolute().parent, threading.Event()
    for entry in entries:
        waiting = stage.waiting(entry.name)
        if waiting is None:
            continue
        if entry.kind is not Kind.HUB:
            path = entry.directory(store, folder) / entry.file.path
            with disk.on_disk(path):
                disk.make_folder(path.parent)
                disk.put(waiting, path)
            continue
        shelf = Shelf(store, entry.repo)
        blob = shelf.blob(entry.file.git, entry.file.sha256)
        busy = f"{entry.name} is in use; waiting"
        with shelf.lock(blob, never, lambda said=busy: progress.say(said)), disk.on_disk(blob):  # type: ignore[misc]
            disk.put(waiting, blob)
        shelf.point(entry.commit, entry.file.path, blob)
    notes = []
    for want in wanted_of(archived.models, project_id(lock_path)):
        notes += close(Shelf(store, want.repo), want)
    return notes
