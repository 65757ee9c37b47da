"""Where an archive's files wait until all of them are known to be right: hidden folders beside where they will lie.

On the same file system, so that putting a file in place is a rename. A folder is held by a lock that the kernel lets go
of when its process dies, however it dies; whoever unpacks next removes what nobody holds. Nothing reads these folders.
So it is, too, with the one file that an archive is while it is packed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from hardtack.supply import disk

_PREFIX = ".hardtack-unpacking-"


class Stage:
    """The waiting files of one unpacking; all that is still there at its end is removed."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}
        self._waiting: dict[str, Path] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._held.close()

    def path(self, name: str, root: Path) -> Path:
        """A place for a new file that is to lie below ``root``, which is made if need be."""
        if root not in self._folders:
            self._folders[root] = self._make(root)
        self._waiting[name] = self._folders[root] / str(len(self._waiting))
        return self._waiting[name]

    def waiting(self, name: str) -> Path | None:
        """Where a file waits; None where none was staged, as the right one was there already."""
        return self._waiting.get(name)

    def _make(self, root: Path) -> Path:
        disk.make_folder(root)
        sweep(root, f"{_PREFIX}*")
        folder = root / f"{_PREFIX}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._held.callback(os.close, descriptor)
        hold(descriptor)
        return folder


def sweep(root: Path, pattern: str) -> None:
    """Remove what killed processes left: files and folders that nobody holds.

    Args:
        root: the folder they are in.
        pattern: their names, as a glob.
    """
    for left in root.glob(pattern):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue  # gone meanwhile, another user's, or a link: not ours to remove
        try:
            if not hold(descriptor):
                continue
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def hold(descriptor: int) -> bool:
    """Whether it is ours now. Where a file system knows no flock, nothing is ever taken for left behind."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
