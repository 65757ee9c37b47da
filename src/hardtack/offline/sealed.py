"""Seal this process, as :func:`hardtack.offline.guard.seal` does, and have what it tries from then on counted.

The kernel asks a small process beside it (:mod:`.tally`) about every refused call. Should that one end, the kernel goes
on refusing, with another error.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from hardtack.offline import bpf, descriptors, syscalls
from hardtack.offline.guard import Attempt, not_proven, seal
from hardtack.offline.tally import COUNT, FORGET

_START = "import sys; sys.path.append(sys.argv[1]); from hardtack.offline.tally import main; main(sys.argv[2:])"
_PACKAGES = str(Path(__file__).parents[2])
_MESSAGE = 65536
_PATIENCE = 1  # seconds for a process that does nothing else to answer


class Sealed:
    """A process that was sealed: this one.

    Args:
        channel: a descriptor to the process that counts, which stays open as long as this process lives; None where
            nobody does.
        why_not: why nobody does.
    """

    def __init__(self, channel: int | None, why_not: str = "") -> None:
        self._channel = channel
        self._mutex = threading.Lock()
        self._last: tuple[Attempt, ...] = ()
        self.why_not = why_not

    @property
    def counted(self) -> bool:
        """Whether attempts are counted; they are refused in any case."""
        return self._channel is not None

    def attempts(self) -> tuple[Attempt, ...]:
        """What was refused so far; what was known last where the process that counts does not answer."""
        return self._ask(COUNT)

    def denied(self) -> Mapping[str, int]:
        """How often what was refused, whatever the program."""
        denied: dict[str, int] = {}
        for attempt in self.attempts():
            denied[attempt.what] = denied.get(attempt.what, 0) + attempt.count
        return denied

    def forget(self) -> None:
        """Begin to count anew."""
        self._ask(FORGET)

    def _ask(self, word: bytes) -> tuple[Attempt, ...]:
        with self._mutex:
            if self._channel is not None:
                try:
                    os.write(self._channel, word)
                    self._last = tuple(Attempt(*row) for row in json.loads(os.read(self._channel, _MESSAGE)))
                except (OSError, ValueError):
                    self._channel, self.why_not = None, "the process that counted has ended"
            return self._last


def refuse_rings() -> None:
    """Refuse io_urings to this process from now on, for good; to be called before anything opens one.

    A ring opens sockets past any filter, so a process that has one cannot be sealed. libuv (and so uvloop) opens one
    with every loop where the kernel lets it, whatever its environment says, and does without where it does not.
    See ``uv__use_io_uring`` in https://github.com/libuv/libuv/blob/v1.x/src/unix/linux.c

    Raises:
        NotProven: the kernel cannot.
    """
    try:
        syscalls.install_everywhere(bpf.ring_filter(syscalls.abi(), bpf.refuse_with(errno.ENOSYS)))
    except OSError as error:
        raise not_proven(syscalls.reason(error)) from error


def seal_and_count() -> Sealed:
    """Refuse the network to this process from now on: every thread and every child. There is no way back.

    Returns:
        Where to ask what it tried. Where this kernel, or an outer guard, allows no counting, it is sealed all the same
        and the result says so.

    Raises:
        NotProven: the kernel cannot seal, or an io_uring is open, which opens sockets past any filter.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _PATIENCE, 0))
    with theirs:
        command = [sys.executable, "-I", "-S", "-B", "-c", _START, _PACKAGES, str(theirs.fileno())]
        # a session of its own: Ctrl-C at a terminal is not for it
        subprocess.run(command, pass_fds=[theirs.fileno()], start_new_session=True, check=False)
    try:
        if rings := descriptors.open_rings():
            raise not_proven(f"descriptor {rings[0]} is an io_uring, which can open sockets past any filter")
        listener = syscalls.install_watched_everywhere(bpf.network_filter(syscalls.abi(), bpf.NOTIFY))
    except OSError as error:
        ours.close()
        seal()
        return Sealed(None, syscalls.reason(error))
    try:
        socket.send_fds(ours, [b"listener"], [listener])
        syscalls.check_that_it_refuses()
    except OSError as error:
        raise not_proven(syscalls.reason(error)) from error
    finally:
        os.close(listener)
    sealed = Sealed(ours.detach())
    sealed.forget()  # our own look whether it refuses
    return sealed
