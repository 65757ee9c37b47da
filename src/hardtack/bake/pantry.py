"""From the store to a pantry: a self-contained, read-only directory of models with its lock.

Every file is hashed on its way, so what cannot be verified is never baked. The pantry appears whole or not at all.
Nothing is fetched, and no precision is decided, here; what goes in is decided in :mod:`hardtack.bake.stock`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hardtack.bake.answers import Answers
from hardtack.bake.berths import HOME
from hardtack.bake.laying import free_bytes, lay, need_space, write
from hardtack.bake.rooted import check_root, put_in_root
from hardtack.bake.stock import Origins, Shape, Stock, take_stock
from hardtack.errors import DiskError, Misused
from hardtack.places import is_pantry
from hardtack.spec.lock import LOCK_NAME, MANIFEST_NAME, Lock

Progress = Callable[[str, int], None]
"""Called with a model's key and the bytes that were just laid down."""


@dataclass(frozen=True)
class Baked:
    """A pantry that was baked.

    Attributes:
        directory: where it lies.
        digest: of the whole, see :func:`~hardtack.spec.pantry_digest.pantry_digest`.
        lock: its lock, which names golden answers too.
        files, bytes: what is in it.
    """

    directory: Path
    digest: str
    lock: Lock
    files: int
    bytes: int


def bake(
    lock: Lock,
    origins: Origins,
    destination: Path,
    *,
    shape: Shape | None = None,
    link: bool = False,
    answers: Answers | None = None,
    progress: Progress | None = None,
    free: Callable[[Path], int] = free_bytes,
) -> Baked:
    """Bake every model of a lock into a pantry.

    Args:
        lock: what to bake.
        origins: where the bytes lie now.
        destination: the pantry; an older pantry there is replaced, anything else is left alone. With
            ``shape.whole_image`` it is the root of an image instead, in which the pantry is laid beside whatever else
            is there.
        shape: how it is to be.
        link: whether files may be hard links to the store's, which take no space.
        answers: the project's golden answers.
        progress: see :data:`Progress`.
        free: bytes free where a path is.

    Raises:
        UnsupportedModel: a model needs code that may not run, or no engine here runs it.
        Misused: ``destination`` is something other than a pantry, or an empty or absent directory.
        GateMissed: a model is to run in int8, and no build of it was accepted.
        Mismatch: a file is not what the lock says; nothing is left behind.
        NotProven: a model answers otherwise than its kept golden answers say.
        DiskError: a file could not be read or written; nothing is left behind.
    """
    shape, destination = shape or Shape(), destination.absolute()
    if not shape.whole_image:
        _check_destination(destination)
    try:
        need_space(destination.parent, sum(file.size for model in lock.models for file in model.everything()), free)
        stock = take_stock(lock, origins, shape, answers or Answers(None))
        if not shape.whole_image:
            pantry = destination
        else:
            pantry = destination / HOME.removeprefix("/") if stock.home == HOME else destination
        rooted = pantry == destination and shape.whole_image
        if rooted:
            check_root(stock, pantry)
        else:
            _check_destination(pantry)
        _lay_and_place(stock, pantry, rooted=rooted, link=link, progress=progress)
    except OSError as problem:
        raise DiskError(
            "the pantry could not be baked", where=str(problem.filename or destination),
            expected="a writable folder with free space", found=str(problem.strerror or problem),
            mend=f"df -h {destination.parent}",
        ) from problem  # fmt: skip
    return Baked(pantry, stock.digest, stock.lock, stock.files, stock.bytes)


def _lay_and_place(stock: Stock, pantry: Path, *, rooted: bool, link: bool, progress: Progress | None) -> None:
    name = f"baking-{os.getpid()}"
    rising = pantry / f".hardtack.{name}" if rooted else pantry.with_name(f".{pantry.name}.{name}")
    try:
        rising.mkdir(parents=True)
        for each in stock.aboard:
            for item in each.items:
                lay(item, each.model, rising / each.model.folder, link=link)
                if progress is not None:
                    progress(each.model.key, item.file.size)
        for path, data in stock.beside.items():
            write(rising / path, [data])
        write(rising / LOCK_NAME, [stock.text])
        _settle(rising)
        if rooted:
            put_in_root(stock, rising, pantry)
        else:
            _put_in_place(rising, pantry)
    finally:
        shutil.rmtree(rising, ignore_errors=True)


def _check_destination(destination: Path) -> None:
    if not destination.exists():
        return
    if destination.is_dir() and not destination.is_symlink():
        project = (destination / MANIFEST_NAME).exists()
        if (is_pantry(destination) and not project) or not any(destination.iterdir()):
            return
    raise Misused(
        "something that is not a pantry lies where the pantry should", where=str(destination),
        expected="a pantry, an empty directory, or nothing", found="a directory with other files"
        if destination.is_dir() else "a file", mend=f"hardtack bake {destination}-pantry",
    )  # fmt: skip


def _settle(rising: Path) -> None:
    """Folders that everybody may search, whatever the umask was; only root's hand can change them."""
    for folder, _, _ in os.walk(rising):
        Path(folder).chmod(0o755)


def _put_in_place(rising: Path, destination: Path) -> None:
    old = destination.with_name(f".{destination.name}.old-{os.getpid()}")
    if destination.exists():
        destination.rename(old)
    try:
        rising.rename(destination)
    except OSError:
        if old.exists():
            old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)
    folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
