"""The small process between the caller and a guarded command: it starts it, watches it, and outlives all it started.

Run by :func:`hardtack.offline.guard.run_guarded` as a fresh interpreter, so that forking and filtering happen in a
process with one thread and nothing else loaded, and so that the caller is never filtered itself. Imports the standard
library only, writes nothing to stdout, and never starts the command unless the kernel has just been seen to refuse.

The order of things::

    warden                                        child
    fork ───────────────────────────────────────▶ close inherited network sockets and rings
                                                  filter on
         ◀──────────────────────────── listener ─ give the listener away
    answer, count                                 try socket(AF_INET): is it refused?
         ◀─────────────────────────────── ready ─
    forget that one attempt ───────────────── go ▶ exec COMMAND
         ◀────────────── errno, or the end (exec) ─
    answer, count; pass on signals; reap …
    the command ends: kill what it left behind, report to the caller

A command that ends takes all its descendants along, as in a container: else the counts could still grow after the
report. Daemons do not escape that, since orphans become the warden's own children (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NoReturn

from hardtack.offline import bpf, syscalls
from hardtack.offline.descriptors import close_all_but, close_ways_out
from hardtack.offline.supervisor import Supervisor

Report = dict[str, Any]  # what run_guarded reads: {"cannot": why}, {"not_started": errno}, or the fields of Watched

# What a terminal or a manager sends to a whole group: for the command to act upon, and for the warden to survive.
_FOR_THE_COMMAND = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MESSAGE = 65536
_GO = b"go"


def main(arguments: Sequence[str]) -> None:
    """``DESCRIPTOR SECONDS|- SIGNALS|- COMMAND…``: run it under guard, report in JSON down the descriptor.

    SIGNALS were blocked by the caller before this process began, and wait until there is somebody for them.
    """
    channel = socket.socket(fileno=int(arguments[0]))
    limit = None if arguments[1] == "-" else float(arguments[1])
    waiting = frozenset() if arguments[2] == "-" else frozenset(map(int, arguments[2].split(",")))
    try:
        report = _watch(arguments[3:], channel, limit, waiting)
    except OSError as error:
        report = {"cannot": syscalls.reason(error)}
    with contextlib.suppress(BrokenPipeError):  # the caller was killed: the command has been, too, and nobody asks
        channel.sendall(json.dumps(report).encode())


def _watch(command: Sequence[str], channel: socket.socket, limit: float | None, waiting: AbstractSet[int]) -> Report:
    Path("/proc/self/stat").read_bytes()  # children, descriptors and names are found there: without it, no promise
    syscalls.adopt_orphans()
    wake, waker = _wake_on_child()
    handlers = {signum: signal.getsignal(signum) for signum in _FOR_THE_COMMAND}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        channel.close()
        ours.close()
        _become(command, theirs, handlers, waiting)
    theirs.close()
    _hand_over(pid, handlers, waiting)
    try:
        # The command's own descriptors must end when it ends: whoever reads its pipes waits for that.
        close_all_but({2, channel.fileno(), ours.fileno(), wake, waker})
        return _supervise(pid, ours, channel, wake, limit)
    finally:
        _end_the_rest()


def _hand_over(pid: int, handlers: Mapping[signal.Signals, Any], waiting: AbstractSet[int]) -> None:
    """Give the child what came before there was one, and be deaf to it from now on.

    What came after the fork is given once more; the child has not begun by then, so it is one signal to it.
    """
    for signum in signal.sigpending() & waiting:
        if handlers.get(signal.Signals(signum)) is not signal.SIG_IGN:
            os.kill(pid, signum)
    for signum in _FOR_THE_COMMAND:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, waiting)


def _supervise(pid: int, child: socket.socket, channel: socket.socket, wake: int, limit: float | None) -> Report:
    first, listeners, *_ = socket.recv_fds(child, _MESSAGE, 1)
    if not listeners:
        return _said(first)
    supervisor = Supervisor(listeners[0], syscalls.abi())
    ready = _answer_until_ready(supervisor, listeners[0], child)
    if "cannot" in ready:
        return ready
    supervisor.attempts.clear()
    started = time.monotonic()
    child.send(_GO)
    failed = child.recv(_MESSAGE)
    if failed:
        return {"not_started": int(failed)}
    watch = _Watch(pid, supervisor, None if limit is None else started + limit)
    watch.until_it_ends(listeners[0], channel, wake)
    seconds = time.monotonic() - started
    return {
        "returncode": watch.returncode,
        "timed_out": watch.timed_out,
        "attempts": [[what, program, count] for (what, program), count in supervisor.attempts.items()],
        "closed": ready["closed"],
        "seconds": seconds,
        "peak_bytes": watch.peak_bytes,
    }


def _become(
    command: Sequence[str], warden: socket.socket, handlers: Mapping[signal.Signals, Any], waiting: AbstractSet[int]
) -> NoReturn:
    """In the child: filter, hand over, check, exec. Never returns, and never runs the command unguarded."""
    try:
        closed = close_ways_out()
        listener = syscalls.install_watched(bpf.network_filter(syscalls.abi(), bpf.NOTIFY))
        socket.send_fds(warden, [b"listener"], [listener])
        os.close(listener)
        syscalls.check_that_it_refuses()
        warden.send(json.dumps({"closed": closed}).encode())
        if warden.recv(_MESSAGE) == _GO and command:
            _execute(command, warden, handlers, waiting)
    except OSError as error:
        warden.send(json.dumps({"cannot": syscalls.reason(error)}).encode())
    finally:
        os._exit(0)  # whatever happened: the warden's own code must not go on in here


def _execute(
    command: Sequence[str], warden: socket.socket, handlers: Mapping[signal.Signals, Any], waiting: AbstractSet[int]
) -> None:
    """Turn into the command. Returns only if that failed, and the warden has been told the errno."""
    # Python ignores the first two from its start on, and exec would hand that on. A handler of Python's own is none
    # after exec, and must not run before: a signal that waits ends this process here, as it would have the command.
    for signum, handler in {signal.SIGPIPE: signal.SIG_DFL, signal.SIGXFSZ: signal.SIG_DFL, **handlers}.items():
        signal.signal(signum, signal.SIG_IGN if handler is signal.SIG_IGN else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, waiting)
    try:
        os.execvpe(command[0], list(command), _environment())  # noqa: S606 (no shell is what is wanted)
    except OSError as error:
        warden.send(str(error.errno).encode())


def _environment() -> dict[bytes, bytes]:
    """The environment as the caller gave it. Python adds LC_CTYPE to its own in the C locale (PEP 538)."""
    pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    return dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)


def _wake_on_child() -> tuple[int, int]:
    """A pipe that becomes readable when a child ends. Not pidfd_open: orphans have to be reaped as well."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader, writer


def _answer_until_ready(supervisor: Supervisor, listener: int, child: socket.socket) -> Report:
    while True:
        readable, _, _ = select.select([listener, child.fileno()], [], [])
        if child.fileno() in readable:
            return _said(child.recv(_MESSAGE))
        supervisor.answer()


def _said(message: bytes) -> Report:
    report: Report = json.loads(message) if message else {"cannot": "the child ended before it was guarded"}
    return report


class _Watch:
    """One command, from its start to its end."""

    def __init__(self, pid: int, supervisor: Supervisor, deadline: float | None) -> None:
        self.returncode: int | None = None
        self.peak_bytes = 0
        self.timed_out = False
        self._pid = pid
        self._supervisor = supervisor
        self._deadline = deadline

    def until_it_ends(self, listener: int, channel: socket.socket, wake: int) -> None:
        """Answer the command's attempts and the caller's signals until the command itself has ended."""
        poll = select.poll()

        def caller_speaks() -> None:
            signals = channel.recv(_MESSAGE)
            if not signals:  # the caller was killed, or gave up waiting
                poll.unregister(channel)
                signals = bytes([signal.SIGKILL])
            for signum in signals:
                os.kill(self._pid, signum)

        hands: dict[int, Callable[[], None]] = {
            listener: self._supervisor.answer,
            channel.fileno(): caller_speaks,
            wake: lambda: self._reap(wake),
        }
        for descriptor in hands:
            poll.register(descriptor, select.POLLIN)
        while self.returncode is None:
            for descriptor, event in poll.poll(self._milliseconds_left()):
                if descriptor == listener and not event & select.POLLIN:
                    poll.unregister(listener)  # hung up: its last process has ended, and only reaping is left
                elif self.returncode is None:
                    hands[descriptor]()
            if self.returncode is None and self._milliseconds_left() == 0:
                self.timed_out = True
                self._deadline = None
                os.kill(self._pid, signal.SIGKILL)

    def _milliseconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic()) * 1000

    def _reap(self, wake: int) -> None:
        os.read(wake, _MESSAGE)
        while self.returncode is None:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == self._pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                self.peak_bytes = usage.ru_maxrss * 1024


def _end_the_rest() -> None:
    """Kill what the command left behind, and what that leaves behind, until there is nobody left."""
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Processes whose parent this one is; also those that ended and were not reaped, so a number cannot be reused."""
    me = os.getpid()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
            if int(stat.rpartition(b")")[2].split()[1]) == me:
                found.append(int(entry.name))
    return found
