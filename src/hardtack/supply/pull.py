"""What a lock names, into the store: re-hashed where it is there, adopted where others left it, else fetched.

A file counts only when its SHA-256 is the lock's. Nothing is written where nothing is to be done, so that a store on a
read-only volume serves; builds are not fetched here, and no model is loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hardtack.errors import DiskError, LockError
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.verify import check_files, mismatch
from hardtack.supply import disk
from hardtack.supply.blobs import bring
from hardtack.supply.crew import work
from hardtack.supply.download import Expected
from hardtack.supply.hub import Hub
from hardtack.supply.problems import Asked
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.report import Pulled, PulledFile, PulledSnapshot, State
from hardtack.supply.store import Found, Shelf, project_ref, requested_ref


@dataclass
class Wanted:
    """One repository at one commit, with all that the chosen models want of it."""

    repo: str
    commit: str
    files: dict[str, LockedFile] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)


def pull(
    lock: Lock,
    store: Store,
    hub: Hub,
    *,
    select: Iterable[str] = (),
    project: str = "default",
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> Pulled:
    """Bring a lock's models into the store.

    Args:
        lock: the lock; the paths of local models are relative to its file.
        store: where to.
        hub: where from.
        select: keys, repositories or their last parts; empty for all.
        project: :func:`~hardtack.supply.store.project_id`; names the refs that keep ``hf cache prune`` away.
        progress: who is told.
        free: bytes free where a path is.

    Raises:
        UnknownModel: ``select`` names none of the lock's.
        Mismatch: the Hub has other bytes than the lock, or a local model has changed.
        UnknownRepo, AccessDenied, HubUnreachable: as the Hub answered.
        DiskError: no space, or no permission.
    """
    models = chosen(lock, select)
    local = [_check_local(model, Path(lock.name).parent) for model in models if model.source == "local"]
    wants = wanted_of(models, project)
    found = survey(wants, store, progress)
    absent = [(want, file) for want, file, what in found if what not in (Found.RIGHT, Found.OUTSIDE, Found.LOOSE)]
    disk.need(store.hub, sum(_still(want, file, store) for want, file in absent), free(store.hub))
    # asked before any file is fetched: a commit that is gone, or gated, is said once and plainly
    for want in {id(want): want for want, _ in absent}.values():
        listing = hub.list(want.repo, want.commit)
        Shelf(store, want.repo).mark_absent(want.commit, (file.path for file in listing.files))
    for want, file in absent:
        progress.start(_name(want, file), file.size)

    notes: list[str] = []

    def place(item: tuple[Wanted, LockedFile, Found], stop: threading.Event) -> PulledFile:
        want, file, what = item
        shelf = Shelf(store, want.repo)
        if what is Found.OUTSIDE:
            return _take_home(shelf, want, file, stop, progress)
        if what is Found.RIGHT:
            return PulledFile(file.path, file.size, State.THERE)
        transferred = 0
        if what is not Found.LOOSE:
            if what is Found.WRONG:
                progress.say(f"{want.repo}: {file.path} is not what the lock says; it is replaced")
            expected = Expected(Asked(want.repo, want.commit, file.path), file.size, file.sha256, file.git)
            transferred = bring(hub, shelf, expected, progress=progress, stop=stop).transferred
        shelf.point(want.commit, file.path, shelf.blob(file.git, file.sha256))
        state = {Found.LOOSE: State.ADOPTED, Found.WRONG: State.REPLACED}.get(what, State.FETCHED)
        return PulledFile(file.path, file.size, state, transferred)

    placed = iter(work(place, found))
    snapshots = []
    for want in wants:
        shelf = Shelf(store, want.repo)
        files = tuple(next(placed) for _ in want.files)
        snapshots.append(PulledSnapshot(tuple(want.keys), want.repo, want.commit, shelf.snapshot(want.commit), files))
        notes += close(shelf, want)
    for note in notes:
        progress.say(note)
    return Pulled((*local, *snapshots), tuple(notes))


def pull_model(
    model: LockedModel, store: Store, hub: Hub, *, project: str = "default", progress: Progress = SILENT
) -> Path:
    """Bring one model of the Hub, and the code it needs, into the store; the directory of its files.

    Raises:
        HardtackError: as :func:`pull`.
    """
    pull(Lock("", (model,)), store, hub, project=project, progress=progress)
    return store.snapshot(model.repo, model.commit)


def chosen(lock: Lock, select: Iterable[str]) -> tuple[LockedModel, ...]:
    """The models of a lock that names mean; all where there are no names. External ones have nothing to bring."""
    names = tuple(select)
    keys = {lock.find(name).key for name in names}
    return tuple(model for model in lock.models if model.task.pulls and (not names or model.key in keys))


def only(lock: Lock, select: Iterable[str]) -> Lock:
    """The lock with just the models that names mean, and whatever is external; all where there are no names.

    Raises:
        UnknownModel: a name is none of the lock's.
    """
    keys = {model.key for model in chosen(lock, select)}
    return replace(lock, models=tuple(each for each in lock.models if not each.task.pulls or each.key in keys))


def wanted_of(models: Sequence[LockedModel], project: str) -> list[Wanted]:
    """Every repository and commit once, code repositories too, in the order of the lock.

    Raises:
        LockError: two models disagree about a file of one commit.
    """
    wants: dict[tuple[str, str], Wanted] = {}

    def add(repo: str, commit: str, files: Iterable[LockedFile], key: str, requested: str) -> None:
        want = wants.setdefault((repo, commit), Wanted(repo, commit))
        for file in sorted(files):
            if want.files.setdefault(file.path, file) != file:
                raise LockError(
                    "two models have different hashes for one file of one commit",
                    where=f"{repo}@{commit}: {file.path}", expected=want.files[file.path].sha256, found=file.sha256,
                    mend="hardtack lock",
                )  # fmt: skip
        want.keys.append(key)
        want.refs.append(project_ref(project, key))
        if ref := requested_ref(requested):
            want.refs.append(ref)

    for model in models:
        if model.source == "hub":
            add(model.repo, model.commit, model.files, model.key, model.requested)
        for code in model.code:
            add(code.repo, code.commit, code.files, model.key, "")
    return list(wants.values())


def survey(
    wants: Iterable[Wanted], store: Store, progress: Progress = SILENT
) -> list[tuple[Wanted, LockedFile, Found]]:
    """What lies in the store of every wanted file, hashed, in the order of the wants and their paths."""
    items = [(want, want.files[path]) for want in wants for path in want.files]
    there = {
        (want.repo, want.commit, file.path): f"checking {_name(want, file)}"
        for want, file in items
        if (store.snapshot(want.repo, want.commit) / file.path).exists()
    }
    for want, file in items:
        if name := there.get((want.repo, want.commit, file.path)):
            progress.start(name, file.size)

    def look(item: tuple[Wanted, LockedFile], stop: threading.Event) -> Found:  # noqa: ARG001  one file is short work
        want, file = item
        found = Shelf(store, want.repo).look(want.commit, file)
        if name := there.get((want.repo, want.commit, file.path)):
            progress.advance(name, file.size)
            progress.finish(name)
        return found

    return [(want, file, what) for (want, file), what in zip(items, work(look, items, threads=2), strict=True)]


def close(shelf: Shelf, want: Wanted) -> list[str]:
    """Write the tree and the refs of a finished snapshot; where the store is read-only that is a note, no failure."""
    try:
        shelf.finish(want.commit, want.files.values(), want.refs)
    except DiskError as problem:
        if not disk.is_read_only(problem):
            raise
        return [f"{want.repo}: the store cannot be written; nothing keeps `hf cache prune` from this snapshot"]
    return []


def _take_home(shelf: Shelf, want: Wanted, file: LockedFile, stop: threading.Event, progress: Progress) -> PulledFile:
    blob = shelf.blob(file.git, file.sha256)
    try:
        with shelf.lock(blob, stop, lambda: progress.say(f"{want.repo}: {file.path} is in use; waiting")):
            shelf.bring_home(shelf.snapshot(want.commit) / file.path, blob)
        shelf.point(want.commit, file.path, blob)
    except DiskError as problem:
        if not disk.is_read_only(problem):
            raise
        progress.say(f"{want.repo}: {file.path} lies outside the repository's folder, which cannot be written")
        return PulledFile(file.path, file.size, State.THERE)
    return PulledFile(file.path, file.size, State.ADOPTED)


def _name(want: Wanted, file: LockedFile) -> str:
    return str(Asked(want.repo, want.commit, file.path))


def _still(want: Wanted, file: LockedFile, store: Store) -> int:
    """Bytes still to be written of a file; what an interrupted pull left is there already."""
    shelf = Shelf(store, want.repo)
    partial = shelf.partial(shelf.blob(file.git, file.sha256))
    there = partial.stat().st_size if partial.is_file() else 0
    return file.size - min(there, file.size)


def _check_local(model: LockedModel, base: Path) -> PulledSnapshot:
    directory = base / model.repo
    checked = check_files(directory, model.files)
    if not checked.good:
        raise mismatch(checked, directory, mend="hardtack lock")
    files = tuple(PulledFile(file.path, file.size, State.THERE) for file in model.files)
    return PulledSnapshot((model.key,), model.repo, "", directory, files)
