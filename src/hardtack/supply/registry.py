"""The projects that use this store: where each one's lock is, and which snapshots were brought for it.

A prune must know what it may not take, and a project's lock lies anywhere on the machine; so a pull and a build leave
a note, one small file a project, in ``projects/`` of the store's own folder. A note is a hint and never trusted for
bytes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hardtack.errors import DiskError, HardtackError
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import read_lock
from hardtack.spec.names import is_commit, is_repo
from hardtack.supply import disk
from hardtack.supply.locks import alone, held, shared
from hardtack.supply.store import project_id

Snapshot = tuple[str, str]
"""Repository and commit."""

_BUILDING = "builds.lock"


class Standing(StrEnum):
    """What has become of a project."""

    HERE = "here"  # its lock can be read
    GONE = "gone"  # its folder is not there any more
    UNCLEAR = "unclear"  # its folder is there, its lock is not, or cannot be read: what it keeps, only the note says


@dataclass(frozen=True)
class Known:
    """A project that has pulled or built into this store.

    Attributes:
        id: :func:`~hardtack.supply.store.project_id`; of a pin of the environment's, its file's name.
        lock: where its lock was.
        standing: what has become of it.
        keeps: the snapshots that its lock names, by the keys that name them; as of the last pull, where the lock cannot
            be read.
        blobs: the names of the blobs that the lock needs; empty where it cannot be read.
        digests: of its models' files; empty where it cannot be read.
        builds: the names of the builds that its lock has; empty where it cannot be read.
        brought: the snapshots that hardtack brought for it, ever.
    """

    id: str
    lock: Path
    standing: Standing
    keeps: Mapping[Snapshot, tuple[str, ...]]
    blobs: frozenset[str]
    brought: frozenset[Snapshot]
    digests: frozenset[str] = frozenset()
    builds: frozenset[str] = frozenset()


def writing(store: Store) -> AbstractContextManager[None]:
    """Hold the register: no project is noted while a prune decides, and none decides while one is noted.

    Raises:
        DiskError: it cannot be written.
    """
    return held(_lock_file(store, "projects.lock"), threading.Event(), lambda: None)


def building(store: Store) -> AbstractContextManager[None]:
    """Say that builds are being made, which no lock names before they are measured: no prune takes any meanwhile.

    Raises:
        DiskError: it cannot be written.
    """
    return shared(_lock_file(store, _BUILDING))


def nobody_builds(store: Store) -> AbstractContextManager[bool]:
    """Whether nobody makes builds; then nobody begins to before the block ends.

    Raises:
        DiskError: nobody can tell.
    """
    return alone(_lock_file(store, _BUILDING))


def _lock_file(store: Store, name: str) -> Path:
    path = store.own / name
    with disk.on_disk(path):
        disk.make_folder(store.own)
    return path


def remember(store: Store, lock: Lock, path: Path) -> bool:
    """Note that a project uses this store; to be called before a pull or a build looks at what is there.

    A snapshot that is not there yet is noted as the project's own, since hardtack is about to bring it; one that is
    there was brought by somebody else, or noted before.

    Args:
        store: whose.
        lock: what the project pulls.
        path: where that lock lies.

    Returns:
        False where the store may not be written, which a pull from a read-only store does not mind.

    Raises:
        DiskError: it could not be written for another reason.
    """
    note = store.own / "projects" / f"{project_id(path)}.{path.name}.json"
    old = _read(note)
    keeps = snapshots_of(lock)
    new = {snapshot for snapshot in keeps if not store.snapshot(*snapshot).exists()}
    data = {
        "lock": str(path.absolute()),
        "keeps": [f"{repo}@{commit}" for repo, commit in sorted(keeps)],
        "brought": [f"{repo}@{commit}" for repo, commit in sorted({*_snapshots(old, "brought"), *new})],
    }
    if data == old:
        return True
    try:
        with writing(store), disk.on_disk(note):
            disk.write_small(note, json.dumps(data, indent=1).encode() + b"\n")
    except DiskError as problem:
        if not disk.is_read_only(problem):
            raise
        return False
    return True


def forget(store: Store, known: Known) -> None:
    """Take a project's note away.

    Raises:
        DiskError: it could not be removed.
    """
    note = store.own / "projects" / f"{known.id}.{known.lock.name}.json"
    with disk.on_disk(note):
        note.unlink(missing_ok=True)


def known(store: Store) -> tuple[Known, ...]:
    """The projects that have pulled or built into this store, and the pins of the environment's models.

    Raises:
        DiskError: the notes cannot be read, so that nobody knows what must be kept.
    """
    found = []
    with disk.on_disk(store.own):
        for path in sorted((store.own / "projects").glob("*.json")):
            found.append(_known(path.name.split(".", 1)[0], _read(path)))
        for path in sorted((store.own / "pins").glob("*.lock")):
            found.append(_known(f"pin {path.stem}", {"lock": str(path)}))
    return tuple(found)


def snapshots_of(lock: Lock) -> dict[Snapshot, tuple[str, ...]]:
    """The snapshots that a lock names, code repositories' too, and the keys that name each."""
    names: dict[Snapshot, tuple[str, ...]] = {}
    for model in lock.models:
        own = [(model.repo, model.commit)] if model.source == "hub" else []
        for snapshot in (*own, *((code.repo, code.commit) for code in model.code)):
            names[snapshot] = (*names.get(snapshot, ()), model.key)
    return names


def _known(project: str, note: Mapping[str, object]) -> Known:
    lock = Path(str(note.get("lock", "")))
    brought = frozenset(_snapshots(note, "brought"))
    keeps = dict.fromkeys(_snapshots(note, "keeps"), ("?",))
    if lock.is_absolute() and not _may_be_there(lock.parent):
        return Known(project, lock, Standing.GONE, keeps, frozenset(), brought)
    try:
        read = read_lock(lock)
    except HardtackError:
        return Known(project, lock, Standing.UNCLEAR, keeps, frozenset(), brought)
    files = [file for model in read.models for file in model.files]
    files += [file for model in read.models for code in model.code for file in code.files]
    blobs = frozenset(file.git or file.sha256 for file in files)
    digests = frozenset(model.digest for model in read.models if model.digest)
    builds = frozenset(build.name for model in read.models for build in model.builds)
    return Known(project, lock, Standing.HERE, snapshots_of(read), blobs, brought, digests, builds)


def _may_be_there(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:
        return True  # another user's, which we may not see


def _read(path: Path) -> dict[str, object]:
    try:
        note = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _snapshots(note: Mapping[str, object], name: str) -> list[Snapshot]:
    rows = note.get(name)
    pairs = [str(row).rpartition("@") for row in rows] if isinstance(rows, list) else []
    return [(repo, commit) for repo, _, commit in pairs if is_repo(repo) and is_commit(commit)]
