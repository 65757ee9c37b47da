"""What lies in the store, and whose it is: sizes, ages, keepers, and what is not as it should be. Reads only.

It looks for itself instead of by huggingface_hub's ``scan_cache_dir``, which drops a whole repository for one broken
link, and takes a commit for the name of one snapshot, where two repositories (a renamed one, a duplicate) may have it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hardtack.places import Store
from hardtack.spec.names import is_commit, is_repo
from hardtack.supply import disk
from hardtack.supply.registry import Known


@dataclass(frozen=True)
class StoredFile:
    """A file that comes into reckoning, or a build's folder with all that is in it.

    Attributes:
        path: where it lies.
        size: its bytes.
        written: when it was, in seconds since the epoch.
    """

    path: Path
    size: int
    written: float


@dataclass(frozen=True)
class StoredSnapshot:
    """One repository at one commit, as it lies in the store.

    Attributes:
        repo, commit: which.
        directory: the snapshot's folder.
        files: what its names lead to, each once; those shared with another snapshot count for both.
        refs: the names in ``refs`` that mean it.
        keepers: ``project: keys`` for each project whose lock names it.
        dangling: names that lead to nothing.
    """

    repo: str
    commit: str
    directory: Path
    files: tuple[StoredFile, ...]
    refs: tuple[str, ...]
    keepers: tuple[str, ...]
    dangling: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)

    @property
    def written(self) -> float:
        """When the youngest of its files was written, in seconds since the epoch; 0 where it has none."""
        return max((file.written for file in self.files), default=0.0)


@dataclass(frozen=True)
class Usage:
    """A store's content.

    Attributes:
        snapshots: the largest first.
        partials: downloads that were cut off, hardtack's and huggingface_hub's.
        size: bytes of all that lies under the hub folder, each file once.
        foreign: files and folders of another user that this one may not write.
        packs: packed weights that the native engine keeps, and what is left of one whose writing was cut off.
        builds: the folders of builds, and what is left of one whose making was cut off.
    """

    snapshots: tuple[StoredSnapshot, ...]
    partials: tuple[StoredFile, ...]
    size: int
    foreign: tuple[Path, ...]
    packs: tuple[StoredFile, ...] = ()
    builds: tuple[StoredFile, ...] = ()


def usage(store: Store, projects: Iterable[Known] = ()) -> Usage:
    """Look at a store; an empty one where there is none.

    Raises:
        DiskError: a folder cannot be listed.
    """
    keepers: dict[tuple[str, str], list[str]] = {}
    for project in projects:
        for snapshot, keys in project.keeps.items():
            keepers.setdefault(snapshot, []).append(f"{project.id}: {', '.join(keys)}")
    with disk.on_disk(store.hub):
        found = [
            _snapshot(repo, folder, tuple(keepers.get((repo, folder.name), ())))
            for repo, root in repositories(store)
            for folder in snapshots_in(root)
        ]
        partials = [_stored(path) for _, root in repositories(store) for path in (root / "blobs").glob("*.incomplete")]
        size, foreign = _weigh(store.hub)
    with disk.on_disk(store.packs):
        packs = list(_packs(store.packs))
    with disk.on_disk(store.builds):
        builds = list(_builds(store.builds))
    found.sort(key=lambda snapshot: (-snapshot.size, snapshot.repo, snapshot.commit))
    return Usage(tuple(found), tuple(partials), size, foreign, tuple(packs), tuple(builds))


def repositories(store: Store) -> list[tuple[str, Path]]:
    """Every model repository of a store: its id, its folder."""
    if not store.hub.is_dir():
        return []
    pairs = [(path.name.removeprefix("models--").replace("--", "/"), path) for path in store.hub.glob("models--*")]
    return sorted((repo, path) for repo, path in pairs if is_repo(repo) and path.is_dir())


def snapshots_in(root: Path) -> list[Path]:
    """The folders of a repository's commits."""
    return sorted(path for path in (root / "snapshots").glob("*") if is_commit(path.name) and path.is_dir())


def refs_in(root: Path) -> dict[str, str]:
    """The refs of a repository: name → what it says."""
    refs = root / "refs"
    files = (path for path in refs.rglob("*") if path.is_file())
    return {path.relative_to(refs).as_posix(): path.read_text(errors="replace").strip() for path in sorted(files)}


def names_in(snapshot: Path) -> Iterator[Path]:
    """Every file, or link to one, of a snapshot."""
    return (path for path in sorted(snapshot.rglob("*")) if path.is_symlink() or not path.is_dir())


def _snapshot(repo: str, folder: Path, keepers: tuple[str, ...]) -> StoredSnapshot:
    there: dict[Path, StoredFile] = {}
    dangling = []
    for name in names_in(folder):
        if name.exists():
            there.setdefault(name.resolve(), _stored(name.resolve()))
        else:
            dangling.append(name)
    refs = tuple(ref for ref, commit in refs_in(folder.parent.parent).items() if commit == folder.name)
    return StoredSnapshot(repo, folder.name, folder, tuple(there.values()), refs, keepers, tuple(dangling))


def _packs(folder: Path) -> Iterator[StoredFile]:
    for path in sorted(folder.glob("*")):
        with suppress(FileNotFoundError):  # written or replaced just now by a process that loads
            if path.is_file():
                yield _stored(path)


def _builds(folder: Path) -> Iterator[StoredFile]:
    for path in sorted(folder.glob("*")):
        with suppress(FileNotFoundError):  # made or replaced just now by a build
            if path.is_dir():
                files = [_stored(file) for file in path.rglob("*") if file.is_file()]
                yield StoredFile(path, sum(file.size for file in files), path.stat().st_mtime)


def _stored(path: Path) -> StoredFile:
    status = path.stat()
    return StoredFile(path, status.st_size, status.st_mtime)


def _weigh(top: Path) -> tuple[int, tuple[Path, ...]]:
    """Bytes of all regular files, those with several names once; and what belongs to another user."""
    sizes: dict[tuple[int, int], int] = {}
    foreign = []
    for folder, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                sizes[status.st_dev, status.st_ino] = status.st_size
            writable = stat.S_ISLNK(status.st_mode) or os.access(path, os.W_OK)
            if status.st_uid != os.geteuid() and not writable:
                foreign.append(path)
    return sum(sizes.values()), tuple(sorted(foreign))
