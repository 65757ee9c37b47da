"""Hears of every refused system call, writes it down and answers it with an error.

Holds the listener of :func:`hardtack.offline.syscalls.install_watched`. Never lets a call through: the answer is always
the same error, and should this process end first, the kernel answers ENOSYS in its stead. Decides from the call's
numbers alone and reads no memory of the caller, so that nothing can be changed behind its back.

Protocol: seccomp_unotify(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections import Counter
from pathlib import Path

from hardtack.offline.bpf import REFUSAL, Abi
from hardtack.offline.syscalls import notification_sizes

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; seccomp_data: number, arch, instruction pointer, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_SOCK_TYPE_MASK = 0xF  # the rest are SOCK_CLOEXEC and SOCK_NONBLOCK


def _ioctl_number(direction: int, number: int, size: int) -> int:
    """_IOC of asm-generic/ioctl.h, which both machines use: direction, size, magic, number."""
    return direction << 30 | size << 16 | ord("!") << 8 | number


_WRITE, _READ = 1, 2
_RECEIVE = _ioctl_number(_READ | _WRITE, 0, _NOTIFICATION.size)
_SEND = _ioctl_number(_READ | _WRITE, 1, _ANSWER.size)
_STILL_THERE = _ioctl_number(_WRITE, 2, 8)


class Supervisor:
    """Answers what comes through one listener.

    Args:
        listener: the descriptor; stays the caller's.
        abi: the numbers of the machine.

    Attributes:
        attempts: (what, program) → how often, in the order of the first of each.
    """

    def __init__(self, listener: int, abi: Abi) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self._listener = listener
        self._abi = abi
        notification, answer = notification_sizes()
        self._notification = bytes(max(notification, _NOTIFICATION.size))
        self._answer_size = max(answer, _ANSWER.size)

    def answer(self) -> None:
        """Take one waiting call, count it and refuse it. Waits if there is none, so ask poll first.

        An attempt counts once it is here, also if its process is killed before it hears the answer. One that a signal
        cuts short before that is refused as well, but not seen here: the kernel restarts it, and it comes again, or it
        fails with EINTR where the signal's handler is one without SA_RESTART.

        Raises:
            OSError: the listener is not one, or the kernel broke the protocol.
        """
        buffer = bytearray(self._notification)  # the kernel wants it zeroed
        if not self._ask(_RECEIVE, buffer):
            return  # killed, or cut short by a signal
        token, thread, _, number, arch, _, *arguments = _NOTIFICATION.unpack_from(buffer)
        program = _program(thread)
        if not self._ask(_STILL_THERE, struct.pack("=Q", token)):
            program = "?"  # it has died: the number may have been another process's by the time we looked
        self.attempts[(describe(self._abi, number, arch, arguments), program)] += 1
        self._ask(_SEND, _ANSWER.pack(token, 0, -REFUSAL, 0).ljust(self._answer_size, b"\0"))

    def _ask(self, request: int, buffer: bytearray | bytes) -> bool:
        """False if the call in question is no longer waiting: its process was killed or got a signal."""
        while True:
            try:
                fcntl.ioctl(self._listener, request, buffer)
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                return False
            return True


def describe(abi: Abi, number: int, arch: int, arguments: list[int]) -> str:
    """A refused call in words: ``socket(AF_INET, SOCK_STREAM)``.

    Args:
        abi: the machine's own numbers.
        number: of the call.
        arch: AUDIT_ARCH_* it was made through.
        arguments: its six arguments.
    """
    if arch != abi.audit or (abi.alien_from is not None and not 0 <= number < abi.alien_from):
        return f"system call {number & 0xFFFFFFFF:#x} of a foreign ABI ({arch:#x})"
    if number == abi.io_uring_setup:
        return "io_uring_setup()"
    call = "socket" if number == abi.socket else "socketpair"
    domain, kind, protocol = (argument & 0xFFFFFFFF for argument in arguments[:3])
    words = [
        _name(socket.AddressFamily, domain),
        _name(socket.SocketKind, kind & _SOCK_TYPE_MASK),
        *([f"protocol {protocol}"] if protocol else []),
    ]
    return f"{call}({', '.join(words)})"


def _name(kinds: type[socket.AddressFamily] | type[socket.SocketKind], value: int) -> str:
    try:
        return kinds(value).name
    except ValueError:
        return str(value)


def _program(thread: int) -> str:
    """The name of the process that has this thread, as ``ps`` shows it: that of its first thread."""
    try:
        status = Path(f"/proc/{thread}/status").read_bytes()
        process = int(status.split(b"\nTgid:", 1)[1].split(None, 1)[0])
        return os.fsdecode(Path(f"/proc/{process}/comm").read_bytes().removesuffix(b"\n"))
    except (OSError, IndexError):
        return "?"
