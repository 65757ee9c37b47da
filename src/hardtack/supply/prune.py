"""What hardtack brought and nobody's lock names any more: found first, and removed only then.

What other programs brought is theirs: ``hf cache prune`` is for that. A snapshot goes only if it was brought by a pull
of a known project, and no known lock, and no pin, names it; a project whose lock cannot be read keeps what it kept at
its last pull. Names go before content, so that a prune that is cut off leaves nothing that looks whole and is not.

Packed weights of the native engine are hardtack's own, and made again by the next load that wants them: they go as soon
as no known lock has a model of their digest, and every lock can be read. Builds are hardtack's own, too, but take
minutes to make: they go as soon as no known lock names them, every lock can be read, and nobody is making any.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardtack.places import Store, pack_prefix
from hardtack.supply import disk
from hardtack.supply.locks import Stopped
from hardtack.supply.registry import Known, Standing, forget, known, nobody_builds, writing
from hardtack.supply.store import Shelf
from hardtack.supply.usage import StoredFile, StoredSnapshot, refs_in, repositories, snapshots_in, usage

_PARTIAL = ".hardtack.incomplete"


@dataclass(frozen=True)
class Prunable:
    """What may go.

    Attributes:
        snapshots: with nothing that keeps them.
        partials: parts of downloads that no known lock needs.
        packs: packed weights of models that no known lock has.
        builds: folders of builds that no known lock names.
        projects: those whose folder went, to be forgotten; empty unless they were asked for.
        kept: how many snapshots that hardtack brought stay.
        notes: a sentence for each project whose lock could not be read, and one where builds are being made.
        freed: bytes, where nothing else holds the files.
    """

    snapshots: tuple[StoredSnapshot, ...]
    partials: tuple[StoredFile, ...]
    projects: tuple[Known, ...]
    kept: int
    notes: tuple[str, ...]
    freed: int
    packs: tuple[StoredFile, ...] = ()
    builds: tuple[StoredFile, ...] = ()


def prunable(store: Store, *, gone: bool = False) -> Prunable:
    """Find what may go, where nobody is building just now; touches nothing.

    Args:
        store: which.
        gone: whether projects whose folder went keep nothing any more. It may be on a disk that is not mounted.

    Raises:
        DiskError: something cannot be read, so that nobody knows what must be kept.
    """
    projects = known(store)
    lost = tuple(project for project in projects if gone and project.standing is Standing.GONE)
    staying = [project for project in projects if project not in lost]
    here = usage(store, staying)
    brought = {snapshot for project in projects for snapshot in project.brought}
    ids = {project.id for project in projects}
    ours = [snapshot for snapshot in here.snapshots if (snapshot.repo, snapshot.commit) in brought]
    doomed = tuple(snapshot for snapshot in ours if not snapshot.keepers and not _of_a_stranger(snapshot, ids))
    needed = {blob for project in staying for blob in project.blobs}
    unclear = [project for project in staying if project.standing is not Standing.HERE]
    # what an unreadable lock needs of a repository that it keeps, nobody can say
    guarded = {store.repo(repo) / "blobs" for project in unclear for repo, _ in project.keeps}
    partials = tuple(
        part
        for part in here.partials
        if part.path.name.endswith(_PARTIAL)
        and part.path.name.removesuffix(_PARTIAL) not in needed
        and part.path.parent not in guarded
    )
    kept = tuple(pack_prefix(digest) for project in staying for digest in project.digests)
    # one that is being written begins with a dot: whoever writes it can do without
    packs = tuple(pack for pack in here.packs if not unclear and not pack.path.name.startswith(kept))
    named = {name for project in staying for name in project.builds}
    builds = tuple(build for build in here.builds if not unclear and build.path.name not in named)
    notes = tuple(_note(project) for project in unclear)
    freed = sum(file.size for file in (*partials, *packs, *builds)) + _freed(doomed, here.snapshots)
    return Prunable(doomed, partials, lost, len(ours) - len(doomed), notes, freed, packs, builds)


def prune(store: Store, *, gone: bool = False) -> Prunable:
    """Remove what may go, and say what went; no pull begins meanwhile.

    Raises:
        DiskError: something could not be removed; what was removed before it is whole gone.
    """
    # in this order, as a build does it: who builds leaves the project's note meanwhile
    with nobody_builds(store) as idle, writing(store):
        going = prunable(store, gone=gone)
        if not idle:
            going = _without_builds(going, store)
        lost = {project.id for project in going.projects}
        wanted = {repo for project in known(store) if project.id not in lost for repo, _ in project.keeps}
        for snapshot in going.snapshots:
            with disk.on_disk(snapshot.directory):
                _remove(store, snapshot, wanted=snapshot.repo in wanted)
        for part in going.partials:
            _remove_partial(store, part.path)
        for pack in going.packs:
            with disk.on_disk(pack.path):
                pack.path.unlink(missing_ok=True)
        for build in going.builds:
            with disk.on_disk(build.path):
                _remove_build(build.path)
        for project in going.projects:
            forget(store, project)
    return going


def _without_builds(going: Prunable, store: Store) -> Prunable:
    freed = going.freed - sum(build.size for build in going.builds)
    note = f"{store.builds}: somebody may be building just now; builds are kept"
    return replace(going, builds=(), freed=freed, notes=(*going.notes, note))


def _of_a_stranger(snapshot: StoredSnapshot, ids: set[str]) -> bool:
    """Whether a project of hardtack's that left no note means this snapshot."""
    parts = (ref.split("/") for ref in snapshot.refs if ref.startswith("hardtack/"))
    return any(len(part) < 2 or part[1] not in ids for part in parts)


def _note(project: Known) -> str:
    if project.standing is Standing.GONE:
        return f"{project.id}: {project.lock.parent} is not there; what it pulled is kept (--gone lets it go)"
    return f"{project.id}: {project.lock} cannot be read; what it pulled last is kept"


def _freed(doomed: Sequence[StoredSnapshot], every: Sequence[StoredSnapshot]) -> int:
    names = {(snapshot.repo, snapshot.commit) for snapshot in doomed}
    held = {f.path for snapshot in every if (snapshot.repo, snapshot.commit) not in names for f in snapshot.files}
    going = {file.path: file.size for snapshot in doomed for file in snapshot.files}
    return sum(size for path, size in going.items() if path not in held)


def _remove(store: Store, snapshot: StoredSnapshot, *, wanted: bool) -> None:
    """Remove a snapshot; its whole repository where that was the last one and no project waits for another."""
    root = store.repo(snapshot.repo)
    for ref in [ref for ref, commit in refs_in(root).items() if commit == snapshot.commit]:
        (root / "refs" / ref).unlink()
    (root / "trees" / f"{snapshot.commit}.json").unlink(missing_ok=True)
    for folder in (root / ".no_exist" / snapshot.commit, snapshot.directory):
        if folder.is_dir():
            shutil.rmtree(folder)
    others = snapshots_in(root)
    if not others and not wanted:
        shutil.rmtree(root)
        return
    still = {name.resolve() for other in others for name in other.rglob("*") if not name.is_dir()}
    blobs = (root / "blobs").resolve()
    for file in snapshot.files:
        if file.path.parent == blobs and file.path not in still:
            file.path.unlink(missing_ok=True)


def _remove_build(folder: Path) -> None:
    """Remove a build; it loses its name first, so that one that is cut off midway is not taken for whole."""
    if not folder.name.startswith("."):
        folder = folder.rename(folder.with_name(f".{folder.name}.gone"))
    shutil.rmtree(folder)


def _remove_partial(store: Store, part: Path) -> None:
    repo = next((repo for repo, root in repositories(store) if root == part.parent.parent), None)
    if repo is None:
        return  # the whole repository went
    busy = threading.Event()
    busy.set()  # whoever holds the lock is fetching it just now: it is theirs
    try:
        blob = part.with_name(part.name.removesuffix(_PARTIAL))
        with Shelf(store, repo).lock(blob, busy, lambda: None), disk.on_disk(part):
            part.unlink(missing_ok=True)
    except Stopped:
        return
