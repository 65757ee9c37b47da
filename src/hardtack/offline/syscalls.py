"""The few system calls that Python does not have: seccomp and two prctls, through ctypes and the C library's syscall().

Speaks to the kernel and raises what it says as :class:`OSError` with a sentence; decides nothing. Imports the standard
library only: it runs in the small process between the caller and the guarded command.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

from hardtack.offline.bpf import ABIS, REFUSAL, Abi

# linux/seccomp.h
_SET_MODE_FILTER = 1
_GET_NOTIF_SIZES = 3
_FLAG_TSYNC = 1 << 0
_FLAG_SPEC_ALLOW = 1 << 2
_FLAG_NEW_LISTENER = 1 << 3
_FLAG_TSYNC_ESRCH = 1 << 4
_FLAG_WAIT_KILLABLE_RECV = 1 << 5
# linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_WHY = {
    errno.ENOSYS: "it has no seccomp(2), or an outer filter hides it",
    errno.EINVAL: "it has no seccomp filters, or not the kind that is needed (user notification came with Linux 5.0)",
    errno.EBUSY: "another program (a container engine, or an outer guard) already listens to this process's filters",
    errno.EPERM: "it does not permit seccomp(2); an outer filter or a security module is in the way",
    errno.EACCES: "it does not permit seccomp(2); an outer filter or a security module is in the way",
}


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def abi() -> Abi:
    """The numbers of the machine this runs on.

    Raises:
        OSError: not Linux, a machine without a table, or a 32-bit process, whose every call would be a foreign one.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"seccomp is part of Linux; this is {sys.platform}")
    machine = platform.machine()
    for known in ABIS:
        if known.machine == machine and struct.calcsize("P") == 8:
            return known
    raise OSError(errno.ENOSYS, f"there is no table of system calls for {machine}, {8 * struct.calcsize('P')} bits")


def install_everywhere(program: bytes) -> None:
    """Put a filter on every thread of this process, for good; they and their children cannot take it off.

    Raises:
        OSError: the kernel would not.
    """
    thread = _install(program, _FLAG_TSYNC)
    if thread > 0:
        raise OSError(
            errno.EAGAIN, f"thread {thread} has a seccomp filter of its own, so not all threads can share one"
        )


def install_watched(program: bytes) -> int:
    """Put a filter on the calling thread, which must be the only one, and hear of every NOTIFY verdict.

    Returns:
        The listener: a descriptor, close-on-exec, that :mod:`hardtack.offline.supervisor` reads.

    Raises:
        OSError: the kernel would not.
    """
    return _install_listening(program, 0)


def install_watched_everywhere(program: bytes) -> int:
    """Put a filter on every thread of this process, for good, and hear of every NOTIFY verdict.

    Returns:
        The listener, as :func:`install_watched` gives it; another process has to read it.

    Raises:
        OSError: the kernel would not, or a thread has a filter of its own.
    """
    # Linux 5.7: both return something, so the kernel wants to be told that failure is to be an error, not a thread
    return _install_listening(program, _FLAG_TSYNC | _FLAG_TSYNC_ESRCH)


def _install_listening(program: bytes, flags: int) -> int:
    try:
        # Linux 5.19: once the supervisor has a call in hand, only a deadly signal interrupts it. Before, any signal
        # did, the kernel restarted the call, and one attempt was seen twice. See
        # SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV in Documentation/userspace-api/seccomp_filter.rst.
        return _install(program, flags | _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return _install(program, flags | _FLAG_NEW_LISTENER)


def notification_sizes() -> tuple[int, int]:
    """Bytes of a notification and of an answer, as this kernel has them; newer kernels may have longer ones.

    Raises:
        OSError: the kernel has no user notification.
    """
    sizes = (ctypes.c_uint16 * 3)()
    _seccomp(_GET_NOTIF_SIZES, 0, ctypes.addressof(sizes))
    return sizes[0], sizes[1]


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends, as init is otherwise.

    Raises:
        OSError: the kernel would not.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER")


def check_that_it_refuses() -> None:
    """Ask for a socket and expect a no. A kernel that is emulated may take a filter and forget it.

    Raises:
        OSError: a socket was given, or refused with another error than the filter's.
    """
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError as error:
        if error.errno == REFUSAL:
            return
        raise
    raise OSError(errno.EPROTO, "it took the filter, and gave a socket nevertheless")


def reason(error: OSError) -> str:
    """Why something could not be done, in words; with the file, where it was one: ``/proc/self/fd: …``."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename else words


def _install(program: bytes, flags: int) -> int:
    # Without this only root may filter, and a set-uid program could be run with a filter it does not expect.
    _prctl(_PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS")
    record = _Program(len(program) // 8, program)
    # SPEC_ALLOW: before Linux 5.16 a filter turned on the mitigation of speculative store bypass, which slows numeric
    # code down. It protects sandboxes from hostile code, and this is none.
    return _seccomp(_SET_MODE_FILTER, flags | _FLAG_SPEC_ALLOW, ctypes.addressof(record))


def _seccomp(operation: int, flags: int, argument: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(
        ctypes.c_long(abi().seccomp), ctypes.c_ulong(operation), ctypes.c_ulong(flags), ctypes.c_void_p(argument)
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}: {_WHY.get(number, 'unexpected')}")
    return result


def _prctl(option: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(ctypes.c_int(option), ctypes.c_ulong(1), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({name}): {os.strerror(number)}")
