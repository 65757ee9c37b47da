"""One at a time: a lock by file, held across threads and processes, let go by the kernel when its holder dies.

Where the file system knows no ``flock`` (some network file systems) only the threads of this process exclude one
another; two processes then may fetch the same bytes twice, and the hashes still decide what is kept. Whoever wants to
know that nobody is at work (:func:`alone`) is told there that somebody may be.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

from hardtack.supply.disk import on_disk

_NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_BUSY = frozenset({errno.EAGAIN, errno.EACCES})
_POLL = 0.1  # seconds between two tries: flock itself cannot be waited for and interrupted

_guard = threading.Lock()
_in_process: dict[Path, threading.Lock] = {}


@contextmanager
def held(path: Path, stop: threading.Event, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock for as long as the block runs.

    Args:
        path: the lock's file, made if need be and never deleted: to unlink it would split those who wait.
        stop: give up waiting when it is set.
        waiting: called once if somebody else holds it.

    Raises:
        Stopped: ``stop`` was set while waiting.
        DiskError: the file cannot be made.
    """
    with _guard:
        ours = _in_process.setdefault(path, threading.Lock())
    with _opened(path) as descriptor:
        _wait(lambda: ours.acquire(blocking=False), stop, waiting)
        try:
            _wait(lambda: _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) is not _Flock.BUSY, stop, waiting)
            yield
        finally:
            ours.release()


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a lock together with whoever else shares it, for as long as the block runs; waits for who has it alone.

    Raises:
        DiskError: the file cannot be made.
    """
    with _opened(path) as descriptor:
        _flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold a lock that others may share, if nobody does just now; gives whether it is held.

    Raises:
        DiskError: the file cannot be made.
    """
    with _opened(path) as descriptor:
        yield _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) is _Flock.HELD


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with on_disk(path):
        descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # which lets go of flock, too


def _open(path: Path) -> int:
    try:
        # 0664 as huggingface_hub makes them, so that users of one group can wait for each other
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user's: to be waited for all the same


class Stopped(Exception):
    """Somebody wants this work to end."""


def _wait(take: Callable[[], bool], stop: threading.Event, waiting: Callable[[], None]) -> None:
    if take():
        return
    waiting()
    while not take():
        if stop.wait(_POLL):
            raise Stopped


class _Flock(Enum):
    HELD = auto()
    BUSY = auto()
    UNKNOWN = auto()  # this file system knows none


def _flock(descriptor: int, how: int) -> _Flock:
    try:
        fcntl.flock(descriptor, how)
    except OSError as problem:
        if problem.errno in _BUSY:
            return _Flock.BUSY
        if problem.errno not in _NO_FLOCK:
            raise
        return _Flock.UNKNOWN
    return _Flock.HELD
