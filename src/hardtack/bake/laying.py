"""Laying files down: cloned where the disk can, linked if asked, else copied; hashed either way, and read-only.

A clone (``FICLONE``: btrfs, XFS) shares blocks until somebody writes. A hard link shares the file itself, for ever:
what is done to one is done to the other. So nothing is linked unasked, and never a local model, which is its owner's to
edit.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from hardtack.bake.items import Item
from hardtack.errors import DiskError
from hardtack.spec.digest import sha256_file
from hardtack.spec.lock import LockedModel

_FICLONE = 0x40049409  # linux/fs.h
_CANNOT = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EMLINK}
)


def free_bytes(path: Path) -> int:
    """Bytes that may still be written where a path is."""
    return shutil.disk_usage(path).free


def need_space(folder: Path, size: int, free: Callable[[Path], int]) -> None:
    """Refuse to begin what cannot fit.

    Raises:
        DiskError: says how much there is.
    """
    while not folder.exists():
        folder = folder.parent
    if (there := free(folder)) < size:
        raise DiskError(
            "there is not enough space for what is baked", where=str(folder), expected=f"{size} bytes free",
            found=f"{there} bytes free", mend=f"df -h {folder}",
        )  # fmt: skip


def lay(item: Item, model: LockedModel, folder: Path, *, link: bool) -> None:
    """Lay one file down in a model's folder.

    Args:
        item: the file.
        model: whose it is.
        folder: the model's folder.
        link: whether a hard link to the store will do.

    Raises:
        Mismatch: it is not what the lock says.
    """
    target = folder / item.path
    item.look(model)
    if item.root is None:
        write(target, item.chunks(model))
        return
    source = (item.root / item.file.path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if _clone(source, target) or (link and model.source == "hub" and _link(source, target)):
        item.compare(sha256_file(target), model)
    else:
        write(target, item.chunks(model))


def write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file, synced, which everybody may read and nobody may write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())


def _clone(source: Path, target: Path) -> bool:
    with source.open("rb") as opened, target.open("xb") as file:
        try:
            fcntl.ioctl(file.fileno(), _FICLONE, opened.fileno())
        except OSError as problem:
            if problem.errno not in _CANNOT:
                raise
        else:
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
            return True
    target.unlink()
    return False


def _link(source: Path, target: Path) -> bool:
    try:
        # the mode is the file's own, so the store's copy becomes read-only with it; if that may not be, it is copied
        source.chmod(0o444)
        target.hardlink_to(source)
    except OSError as problem:
        if problem.errno not in _CANNOT:
            raise
        return False
    return True
