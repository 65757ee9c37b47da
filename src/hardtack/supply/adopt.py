"""A lock's files taken from a directory instead of the Hub: a copied cache, a USB stick, files fetched by hand.

Names there mean nothing, bytes everything: a file is taken where its SHA-256 is one that the lock has. The directory
is only read; what is not found there is reported as missing, and nobody is asked for it.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from hardtack.errors import Misused
from hardtack.places import Store
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import Lock, LockedFile
from hardtack.supply import disk
from hardtack.supply.crew import work
from hardtack.supply.locks import Stopped
from hardtack.supply.problems import Asked
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.pull import Wanted, chosen, close, survey, wanted_of
from hardtack.supply.report import Pulled, PulledFile, PulledSnapshot, State
from hardtack.supply.store import Found, Shelf


def adopt(
    lock: Lock,
    store: Store,
    directory: Path,
    *,
    select: Iterable[str] = (),
    project: str = "default",
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> Pulled:
    """Bring a lock's models into the store from a directory, with no network.

    Args:
        lock: the lock.
        store: where to.
        directory: any tree of files; links to files are followed, links to folders are not.
        select: keys, repositories or their last parts; empty for all.
        project: names the refs, as for :func:`~hardtack.supply.pull.pull`.
        progress: who is told.
        free: bytes free where a path is.

    Returns:
        What became of each file: ``there``, ``adopted`` or ``missing``. A snapshot with missing files gets the others,
        and no refs.

    Raises:
        Misused: there is no such directory.
        DiskError: no space, or no permission.
    """
    if not directory.is_dir():
        raise Misused(
            "there is no such directory", where=str(directory), expected="a directory with the models' files",
            found="nothing", mend="hardtack pull",
        )  # fmt: skip
    wants = wanted_of(chosen(lock, select), project)
    found = survey(wants, store, progress)
    absent = [file for _, file, what in found if what in (Found.MISSING, Found.WRONG)]
    sources = _search(directory, absent)
    disk.need(
        store.hub, sum(size for size in {f.sha256: f.size for f in absent if f.sha256 in sources}.values()),
        free(store.hub),
    )  # fmt: skip

    def place(item: tuple[Wanted, LockedFile, Found], stop: threading.Event) -> PulledFile:
        want, file, what = item
        if what in (Found.RIGHT, Found.OUTSIDE):
            return PulledFile(file.path, file.size, State.THERE)
        shelf = Shelf(store, want.repo)
        blob = shelf.blob(file.git, file.sha256)
        if what is not Found.LOOSE:
            source = sources.get(file.sha256)
            if source is None:
                return PulledFile(file.path, file.size, State.MISSING)
            name = f"taking {Asked(want.repo, want.commit, file.path)}"
            progress.start(name, file.size)
            try:
                with shelf.lock(blob, stop, lambda: progress.say(f"{want.repo}: {file.path} is in use; waiting")):
                    if not _take(source, blob, file):
                        return PulledFile(file.path, file.size, State.MISSING)
            finally:
                progress.finish(name)
        shelf.point(want.commit, file.path, blob)
        return PulledFile(file.path, file.size, State.ADOPTED)

    placed = iter(work(place, found))
    snapshots, notes = [], []
    for want in wants:
        shelf = Shelf(store, want.repo)
        files = tuple(next(placed) for _ in want.files)
        snapshots.append(PulledSnapshot(tuple(want.keys), want.repo, want.commit, shelf.snapshot(want.commit), files))
        if not any(file.state is State.MISSING for file in files):
            notes += close(shelf, want)
    for note in notes:
        progress.say(note)
    return Pulled(tuple(snapshots), tuple(notes))


def _search(directory: Path, absent: Iterable[LockedFile]) -> dict[str, Path]:
    """Where each wanted SHA-256 lies; only files of a wanted size are hashed."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for file in absent:
        wanted[file.size].add(file.sha256)
    candidates = []
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            # a dangling link is what a careless copy of a cache leaves: nothing to be had there
            if path.is_file() and path.stat().st_size in wanted:
                candidates.append(path)

    def hashed(path: Path, stop: threading.Event) -> str:
        if stop.is_set():
            raise Stopped
        with disk.on_disk(path):
            return hash_file(path).sha256

    found: dict[str, Path] = {}
    for path, sha256 in zip(candidates, work(hashed, candidates, threads=2), strict=True):
        if sha256 in wanted[path.stat().st_size]:
            found.setdefault(sha256, path)
    return found


def _take(source: Path, blob: Path, file: LockedFile) -> bool:
    """Copy, and hash the copy: the directory may be on a medium that reads differently twice."""
    beside = blob.with_name(f"{blob.name}.{os.getpid()}.{threading.get_ident()}.new")
    with disk.on_disk(blob):
        try:
            shutil.copyfile(source, beside)
            if hash_file(beside).sha256 != file.sha256:
                return False
            disk.put(beside, blob)
        finally:
            beside.unlink(missing_ok=True)
    return True
