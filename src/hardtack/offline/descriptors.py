"""Open descriptors: which of them lead to the network past a filter, and closing them.

A filter stops new sockets; one that is already open, or an io_uring, works on. Reads /proc/self/fd.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Set as AbstractSet
from pathlib import Path

_STANDARD = (0, 1, 2)
_RING = Path("anon_inode:[io_uring]")


def close_ways_out() -> list[str]:
    """Close every network socket and io_uring that is open here.

    Standard streams become /dev/null: were their numbers left free, the next file opened would take their place.

    Returns:
        What was closed, in words: ``descriptor 5: socket(AF_INET, SOCK_STREAM)``.
    """
    closed = []
    for descriptor in _open_descriptors():
        what = way_out(descriptor)
        if what:
            closed.append(f"descriptor {descriptor}: {what}")
            _drop(descriptor)
    return closed


def close_all_but(kept: AbstractSet[int]) -> None:
    """Close everything that is open here, but ``kept``; standard streams become /dev/null."""
    for descriptor in _open_descriptors():
        if descriptor not in kept:
            _drop(descriptor)


def open_rings() -> list[int]:
    """The descriptors of this process that are an io_uring."""
    return [descriptor for descriptor in _open_descriptors() if _is_ring(descriptor)]


def way_out(descriptor: int) -> str:
    """What leads out through this descriptor, in words; empty if nothing does that we know of."""
    if _is_ring(descriptor):
        return "io_uring"
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return ""
    view = socket.socket(fileno=descriptor)  # asks the kernel for domain and type
    try:
        family, kind = view.family, view.type
    finally:
        view.detach()
    if family == socket.AF_UNIX:
        return ""
    return f"socket({getattr(family, 'name', family)}, {getattr(kind, 'name', kind)})"


def _is_ring(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").readlink() == _RING


def _open_descriptors() -> list[int]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            os.fstat(int(entry.name))
        except OSError:
            continue  # the one that listed the directory
        found.append(int(entry.name))
    return sorted(found)


def _drop(descriptor: int) -> None:
    if descriptor not in _STANDARD:
        os.close(descriptor)
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)
