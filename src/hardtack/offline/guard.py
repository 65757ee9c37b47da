"""Take the network away from a command, or from this process, and have the kernel vouch for it.

Two ways, one filter (:mod:`hardtack.offline.bpf`):

- :func:`run_guarded` runs a command whose every attempt at the network is refused, counted and named; with all that
  the command starts.
- :func:`seal` refuses it to this process from now on, all threads and children, without counting.

Both hold as root and as nobody, inside containers too, and in either case nothing runs unless the kernel was just seen
to refuse. Where it cannot, :class:`~hardtack.errors.NotProven` says why: no weaker guard is put in its place.

What the guard does not cover is in :data:`NOT_COVERED`; a proof should print it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from hardtack.errors import Misused, NotProven
from hardtack.offline import bpf, descriptors, syscalls

NOT_COVERED = (
    "a process outside that lends a hand over an AF_UNIX socket: a proxy, the Docker socket, nscd, systemd-resolved",
    "a descriptor of such a process, taken with ptrace or pidfd_getfd or handed over on an AF_UNIX socket",
    "files on network file systems, and devices such as /dev/net/tun: reading and writing them makes no socket",
    "a program that refuses itself the network first with a seccomp filter of its own: refused, but not counted",
)

_HOW = "seccomp filter with user notification"
# The interpreter runs with -I -S -B: no site-packages, no PYTHON* variable and no user's code before the filter is on.
# The package's own directory comes last, so that nothing that lies beside it can pose as the standard library.
_START = "import sys; sys.path.append(sys.argv[1]); from hardtack.offline.warden import main; main(sys.argv[2:])"
_PACKAGES = str(Path(__file__).parents[2])
_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# What a terminal or a manager sends to a whole group, the warden included.
_TO_THE_GROUP = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP})

Stream = int | IO[Any] | None


@dataclass(frozen=True)
class Attempt:
    """One kind of call that was refused.

    Attributes:
        what: the call, such as ``socket(AF_INET, SOCK_STREAM)``.
        program: the name of the process that made it, as ``ps`` shows it; ``?`` if it was killed meanwhile.
        count: how often.
    """

    what: str
    program: str
    count: int

    @property
    def leaves(self) -> bool:
        """Whether it could have left this machine, had it been allowed.

        A netlink socket cannot: the kernel of this very machine is all that is at its other end (netlink(7)), and
        ``getifaddrs``, ``getaddrinfo`` and ``ip`` open one to ask which addresses there are. It is refused and counted
        like the rest, since it can also change routes, but it is no attempt to reach anybody.
        """
        return not self.what.startswith(f"socket({socket.AF_NETLINK.name},")


@dataclass(frozen=True)
class Watched:
    """What became of a guarded command.

    Attributes:
        returncode: its exit status; minus the number of the signal that ended it.
        attempts: what was refused, in the order of first occurrence; final, since nothing that the command started
            lives on. One thing escapes the count, though not the refusal: an attempt that a signal cuts short in the
            microseconds before it is noted, and that is not made again.
        timed_out: whether it was killed because ``timeout`` had passed.
        closed: network sockets and io_urings it would have inherited, closed before its start.
        seconds: wall-clock, from its start to its end.
        peak_bytes: the largest resident set of any single process of it that was waited for. Never less than some
            15 MB: the kernel counts the process that made the exec.
        guard: how it was guarded.
        not_covered: what that does not cover.
    """

    returncode: int
    attempts: tuple[Attempt, ...]
    timed_out: bool
    closed: tuple[str, ...]
    seconds: float
    peak_bytes: int
    guard: str = _HOW
    not_covered: tuple[str, ...] = NOT_COVERED


@dataclass(frozen=True)
class Guarding:
    """Whether :func:`run_guarded` works here.

    Attributes:
        able: whether it does.
        how: by what means it does.
        kernel: the system that was asked: ``Linux 6.18.0 x86_64``.
        why_not: what is missing; empty if able.
    """

    able: bool
    how: str
    kernel: str
    why_not: str


def can_guard() -> Guarding:
    """Find out by doing it once, in a process of its own. Takes some 50 ms and changes nothing here."""
    try:
        _supervise((), env=None, stdin=None, stdout=None, stderr=None, pass_fds=(), timeout=None)
    except NotProven as error:
        return Guarding(able=False, how=_HOW, kernel=_kernel(), why_not=error.found)
    return Guarding(able=True, how=_HOW, kernel=_kernel(), why_not="")


def run_guarded(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
) -> Watched:
    """Run a command with no network and say what it tried.

    Every process that it starts is under the same filter. When the command ends, what it left running is killed.
    While it runs, and if this is the main thread, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 go to the
    command in place of this process; if this process dies, the command is killed.

    Args:
        command: program and arguments; the program is looked for on the PATH of ``env``.
        env: the command's environment; None: this process's.
        stdin: as for :class:`subprocess.Popen`, but never PIPE: nobody would be at its other end. Likewise the next.
        stdout: see ``stdin``.
        stderr: see ``stdin``.
        pass_fds: descriptors it inherits; network sockets among them are closed before its start.
        timeout: seconds after which it is killed; None: never.

    Raises:
        NotProven: the kernel cannot guard it; it was not started.
        Misused: there is no such program, or it cannot be executed.
        ValueError: no command, or a stream is PIPE.
    """
    if not command:
        raise ValueError("there is no command to run")
    if subprocess.PIPE in (stdin, stdout, stderr):
        raise ValueError("a stream cannot be PIPE: nobody would be at its other end; pass a file or a descriptor")
    report = _supervise(command, env=env, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, timeout=timeout)
    if "not_started" in report:
        reason = os.strerror(report["not_started"])
        raise Misused(
            "the command could not be started",
            where=command[0],
            expected="a program that can be executed",
            found=reason,
            mend=f"command -v {shlex.quote(command[0])}",
        )
    return Watched(
        returncode=report["returncode"],
        attempts=tuple(Attempt(*row) for row in report["attempts"]),
        timed_out=report["timed_out"],
        closed=tuple(report["closed"]),
        seconds=report["seconds"],
        peak_bytes=report["peak_bytes"],
    )


def seal() -> None:
    """Refuse the network to this process from now on: every thread, also those that run already, and every child.

    There is no way back. Refused calls fail with EACCES, a :class:`PermissionError`. Sockets that are open already work
    on, and a listening one goes on accepting: a server opens it first and is sealed then.

    Raises:
        NotProven: the kernel cannot, or an io_uring is open, which opens sockets past any filter.
    """
    try:
        rings = descriptors.open_rings()
        if rings:
            raise not_proven(f"descriptor {rings[0]} is an io_uring, which can open sockets past any filter")
        syscalls.install_everywhere(bpf.network_filter(syscalls.abi(), bpf.refuse_with(bpf.REFUSAL)))
        syscalls.check_that_it_refuses()
    except OSError as error:
        raise not_proven(syscalls.reason(error)) from error


def _supervise(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    stdin: Stream,
    stdout: Stream,
    stderr: Stream,
    pass_fds: Sequence[int],
    timeout: float | None,
) -> dict[str, Any]:
    """Run the warden to its end and return its report. An empty command: guard, check, and leave it at that."""
    ours, theirs = socket.socketpair()
    limit = "-" if timeout is None else str(timeout)
    # A Ctrl-C while the warden's interpreter starts must reach the command, not end the warden in a traceback: signals
    # wait, here and (masks are inherited) there, until both know what to do with them.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_THE_GROUP)
    waiting = ",".join(str(int(signum)) for signum in sorted(_TO_THE_GROUP - former)) or "-"
    start = [sys.executable, "-I", "-S", "-B", "-c", _START, _PACKAGES, str(theirs.fileno()), limit, waiting, *command]
    with ours, contextlib.ExitStack() as masked:
        masked.callback(signal.pthread_sigmask, signal.SIG_SETMASK, former)
        try:
            with theirs:
                warden = subprocess.Popen(
                    start, env=env, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=(*pass_fds, theirs.fileno())
                )
        except OSError as error:
            raise not_proven(f"the guard's own process could not be started: {error}") from error
        try:
            with _signals_go_to(ours):
                masked.close()
                message = b"".join(iter(lambda: ours.recv(65536), b""))
        finally:
            ours.close()  # should we be interrupted, this tells the warden to end it all
            warden.wait()
    if not message:
        raise not_proven(f"the guard's own process ended early, with status {warden.returncode}")
    report: dict[str, Any] = json.loads(message)
    if "cannot" in report:
        raise not_proven(report["cannot"])
    return report


@contextlib.contextmanager
def _signals_go_to(channel: socket.socket) -> Iterator[None]:
    """Meanwhile, signals for this process are sent down the channel, one byte each. Ignored ones stay ignored."""

    def pass_on(signum: int, _: FrameType | None) -> None:
        # Ctrl-C at a terminal goes to its whole foreground group: the command has it already, and many programs take
        # a second one for "at once, without tidying up".
        if signum in (signal.SIGINT, signal.SIGQUIT) and _at_a_terminal():
            return
        with contextlib.suppress(BrokenPipeError):  # the command has just ended
            channel.send(bytes([signum]))

    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread set handlers; the application's own stay in charge
        return
    former = {signum: signal.getsignal(signum) for signum in _PASSED_ON}
    ours = [signum for signum, handler in former.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for signum in ours:
            signal.signal(signum, pass_on)
        yield
    finally:
        for signum in ours:
            signal.signal(signum, former[signum])


def _at_a_terminal() -> bool:
    """Whether this process is in the foreground of the terminal it belongs to."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _kernel() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def not_proven(why: str) -> NotProven:
    """That the network cannot be taken away, and why."""
    return NotProven(
        "the network cannot be taken away here, so nothing is proven",
        where=_kernel(),
        expected=_HOW,
        found=why,
        mend="docker run --rm --network none IMAGE hardtack prove",
    )
