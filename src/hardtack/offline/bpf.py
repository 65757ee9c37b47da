"""The filter that the kernel runs at every system call, as the bytes of a classic BPF program. Asks no kernel.

What it refuses is every call with which a program makes itself a way to the network:

- ``socket`` and ``socketpair`` of any domain but AF_UNIX: IPv4, IPv6, netlink, raw packets, vsock, whatever comes;
- ``io_uring_setup``, because a ring opens sockets without the ``socket`` call;
- every call through another ABI than the process's own (i386 or x32 on x86_64, 32-bit ARM on aarch64), because there
  the same number means something else.

What it leaves alone, on purpose, are calls that need a helper outside of the guarded tree or change nothing:
``ptrace``, ``pidfd_getfd`` and SCM_RIGHTS take a descriptor from a process that is not guarded (refusing one of them
would not close the others); ``unshare`` and ``setns`` only change which network it is that cannot be reached;
``connect`` and ``sendto`` need a socket first. The guard is there to catch programs that call out, as programs do. It
is no sandbox for programs that want out.

Format: ``struct sock_filter`` and ``struct seccomp_data``, see seccomp(2) and the kernel's
Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
_ERRNO = 0x00050000

# What a refused call fails with. socket(2) documents EACCES as "permission to create a socket of the specified type
# is denied", which is what happened, and Python makes it a PermissionError. ENETUNREACH, ECONNREFUSED or EAGAIN would
# tell clients to try again later, and EAFNOSUPPORT to try the next address family.
REFUSAL = errno.EACCES

_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data. An argument is 64 bits wide, but the kernel takes `int family`, so the low half alone
# decides; it comes first because both machines are little-endian.
_NUMBER, _ARCH, _ARGUMENT_0 = 0, 4, 16

_AF_UNIX = 1


@dataclass(frozen=True)
class Abi:
    """How one machine numbers its system calls.

    Attributes:
        machine: as ``platform.machine()`` says it.
        audit: AUDIT_ARCH_* of linux/audit.h.
        socket: number of the call, as the others below, of the kernel's unistd.h for this machine.
        socketpair: likewise.
        seccomp: likewise.
        io_uring_setup: likewise.
        alien_from: numbers from here on belong to another ABI with the same ``audit`` (x32); None: there is none.
    """

    machine: str
    audit: int
    socket: int
    socketpair: int
    seccomp: int
    io_uring_setup: int = 425
    alien_from: int | None = None


# aarch64 takes its numbers from asm-generic/unistd.h. They are checked against the kernel's headers by a test, and the
# filter made of them by an interpreter; they have not been run on such a machine.
ABIS = (
    Abi("x86_64", 0xC000003E, socket=41, socketpair=53, seccomp=317, alien_from=0x40000000),
    Abi("aarch64", 0xC00000B7, socket=198, socketpair=199, seccomp=277),
)


@dataclass(frozen=True)
class Load:
    """Take the 32-bit word at ``offset`` of ``struct seccomp_data``."""

    offset: int


@dataclass(frozen=True)
class Jump:
    """Go to the label ``to`` if the word taken equals ``value`` (``at_least``: or is above it); else go on."""

    value: int
    to: str
    at_least: bool = False


@dataclass(frozen=True)
class Label:
    """A name for the next step; no instruction."""

    name: str


@dataclass(frozen=True)
class Return:
    """End with this verdict (SECCOMP_RET_*)."""

    verdict: int


Step = Load | Jump | Label | Return


def refuse_with(number: int) -> int:
    """The verdict that makes the call fail with this errno, unseen by anybody else."""
    return _ERRNO | number


def assemble(steps: Sequence[Step]) -> bytes:
    """Steps as an array of ``struct sock_filter``, eight bytes each. Jumps go forward only, as BPF wants them."""
    places: dict[str, int] = {}
    instructions: list[Load | Jump | Return] = []
    for step in steps:
        if isinstance(step, Label):
            places[step.name] = len(instructions)
        else:
            instructions.append(step)
    return b"".join(_encode(step, place, places) for place, step in enumerate(instructions))


def _encode(step: Load | Jump | Return, place: int, places: dict[str, int]) -> bytes:
    match step:
        case Load(offset):
            return struct.pack("=HBBI", _LOAD_WORD, 0, 0, offset)
        case Jump(value, to, at_least):
            code = _JUMP_AT_LEAST if at_least else _JUMP_EQUAL
            return struct.pack("=HBBI", code, places[to] - place - 1, 0, value)
        case Return(verdict):
            return struct.pack("=HBBI", _RETURN, 0, 0, verdict)


def network_filter(abi: Abi, verdict: int) -> bytes:
    """The filter this module's first lines describe.

    Args:
        abi: the machine's numbers.
        verdict: what a refused call gets: ``refuse_with(errno)`` or ``NOTIFY``.

    Returns:
        The program, ready for ``seccomp(SECCOMP_SET_MODE_FILTER)``.
    """
    alien: list[Step] = [] if abi.alien_from is None else [Jump(abi.alien_from, "refuse", at_least=True)]
    return assemble(
        [
            Load(_ARCH),
            Jump(abi.audit, "native"),
            Return(verdict),
            Label("native"),
            Load(_NUMBER),
            *alien,
            Jump(abi.socket, "domain"),
            Jump(abi.socketpair, "domain"),
            Jump(abi.io_uring_setup, "refuse"),
            Return(ALLOW),
            Label("domain"),
            Load(_ARGUMENT_0),
            Jump(_AF_UNIX, "allow"),
            Label("refuse"),
            Return(verdict),
            Label("allow"),
            Return(ALLOW),
        ]
    )


def ring_filter(abi: Abi, verdict: int) -> bytes:
    """A filter of ``io_uring_setup`` alone; calls through another ABI are refused as well, for they might be it.

    Args:
        abi: the machine's numbers.
        verdict: what a refused call gets.
    """
    alien: list[Step] = [] if abi.alien_from is None else [Jump(abi.alien_from, "refuse", at_least=True)]
    return assemble(
        [
            Load(_ARCH),
            Jump(abi.audit, "native"),
            Return(verdict),
            Label("native"),
            Load(_NUMBER),
            *alien,
            Jump(abi.io_uring_setup, "refuse"),
            Return(ALLOW),
            Label("refuse"),
            Return(verdict),
        ]
    )
