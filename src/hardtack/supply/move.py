"""A store to another disk: copied, read back and compared, and only then removed where it was.

Links stay links where they lead to something within the store, as all of them do in the standard layout (blobs shared
between repositories included); one that leads out of it is replaced by what it leads to. A move that is cut off leaves
the old store whole, and goes on where it was when it is called again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hardtack.errors import Mismatch, Misused
from hardtack.places import Store
from hardtack.spec.digest import sha256_file
from hardtack.supply import disk
from hardtack.supply.progress import SILENT, Progress

_UNDER_WAY = ".hardtack-moving"


@dataclass(frozen=True)
class Moved:
    """A store in its new place.

    Attributes:
        store: the new place; ``HF_HUB_CACHE`` must say so.
        files, bytes: how much was copied or found there already.
        left: what came into the old place meanwhile, and stays there.
    """

    store: Store
    files: int
    bytes: int
    left: tuple[Path, ...]


def move(
    store: Store,
    target: Path,
    *,
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> Moved:
    """Move a store to ``target/hub`` and ``target/hardtack``.

    Args:
        store: the old place.
        target: a folder that is empty or not there, or that an earlier move did not finish.
        progress: who is told.
        free: bytes free where a path is.

    Raises:
        Misused: there is no store, the target lies within it, or holds something else.
        Mismatch: a copy read back is not what it was copied from; nothing was removed.
        DiskError: no space, or no permission; nothing was removed.
    """
    target = target.absolute()
    new = Store(target / "hub", target / "hardtack")
    pairs = [(old, to) for old, to in ((store.hub, new.hub), (store.own, new.own)) if old.is_dir()]
    _check(store, target, bool(pairs))
    with disk.on_disk(target):
        sizes = {path: path.lstat().st_size for old, _ in pairs for path in _files(old)}
        there = sum(path.lstat().st_size for _, to in pairs for path in _files(to))
    disk.need(target, sum(sizes.values()) - there, free(target))
    with disk.on_disk(target):
        disk.make_folder(target)
        (target / _UNDER_WAY).touch()
    names: dict[tuple[int, int], Path] = {}
    for source, size in sizes.items():
        progress.start(str(source), size)
    for old, to in pairs:
        for source in sizes:
            if source.is_relative_to(old):
                copy = to / source.relative_to(old)
                with disk.on_disk(copy):
                    _copy(source, copy, old, names)
                progress.advance(str(source), sizes[source])
                progress.finish(str(source))
    with disk.on_disk(store.hub):
        for source in sizes:
            source.unlink()
        left = tuple(path for old, _ in pairs for path in _sweep(old))
        (target / _UNDER_WAY).unlink()
    return Moved(new, len(sizes), sum(sizes.values()), left)


def _check(store: Store, target: Path, there: bool) -> None:
    if not there:
        raise Misused(
            "there is no store to move", where=str(store.hub), expected="a Hugging Face cache", found="no such folder",
            mend="hardtack pull",
        )  # fmt: skip
    if any(target.resolve().is_relative_to(old.resolve()) for old in (store.hub, store.own)):
        raise Misused(
            "a store cannot be moved into itself", where=str(target), expected="a folder outside of the store",
            found=str(store.hub), mend="hardtack cache",
        )  # fmt: skip
    if target.is_dir() and any(target.iterdir()) and not (target / _UNDER_WAY).exists():
        raise Misused(
            "the new place holds something already", where=str(target), expected="an empty folder, or none",
            found=next(iter(sorted(path.name for path in target.iterdir()))), mend=f"ls -A {target}",
        )  # fmt: skip


def _files(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted((*names, *links)))


def _copy(source: Path, copy: Path, top: Path, names: dict[tuple[int, int], Path]) -> None:
    """One file or link, unless it lies there already; several names of one file stay names of one file."""
    disk.make_folder(copy.parent)
    if source.is_symlink():
        leads = source.readlink()
        if not source.exists() or (not leads.is_absolute() and source.resolve().is_relative_to(top.resolve())):
            copy.unlink(missing_ok=True)
            copy.symlink_to(leads)
            return
    status = source.stat()
    if (first := names.get((status.st_dev, status.st_ino))) is not None:
        copy.unlink(missing_ok=True)
        os.link(first, copy)
        return
    names[status.st_dev, status.st_ino] = copy
    sha256 = sha256_file(source)
    if copy.is_file() and sha256_file(copy) == sha256:
        return
    beside = copy.with_name(f".{copy.name[:200]}.moving")
    try:
        shutil.copy2(source, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
            # so that what is compared comes from the disk, and not from the memory that it was written from
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if (found := sha256_file(beside)) != sha256:
            raise Mismatch(
                "a copy is not what it was copied from; nothing was removed", where=str(copy),
                expected=f"sha256 {sha256}", found=f"sha256 {found}", mend="hardtack cache move DIR",
            )  # fmt: skip
        beside.replace(copy)
    finally:
        beside.unlink(missing_ok=True)


def _sweep(top: Path) -> list[Path]:
    """Remove the folders that are empty now; what is left of files."""
    for folder, _, _ in sorted(os.walk(top), reverse=True):
        if not any(Path(folder).iterdir()):
            Path(folder).rmdir()
    return list(_files(top)) if top.exists() else []
