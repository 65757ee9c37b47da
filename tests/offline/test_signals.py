"""Signals for the caller reach the guarded command once, and a caller that is killed takes it along."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.usefixtures("_able")

# The caller runs a command that counts the signals it gets, says "ready", and ends at SIGUSR1 (or 'q' on its stdin).
CALLER = """
    import os, sys
    from hardtack.offline.guard import run_guarded
    watched = run_guarded([sys.executable, "-uc", sys.argv[1]], timeout=60)
    print("caller:", watched.returncode, flush=True)
    """
COMMAND = """
import signal, sys
got = []
for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signum, lambda signum, _: got.append(signum) or print("got", signum))
print("ready")
sys.stdin.readline()
print("all", *got)
sys.exit(3)
"""


@contextmanager
def caller(command: list[str], environment: dict[str, str], **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command, COMMAND],
        env=environment,
        text=True,
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options},  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_passed_on(signum: int, program: Callable[[str], list[str]], environment: dict[str, str]) -> None:
    # A session of its own, so that there is no terminal whose Ctrl-C this could be.
    with caller(program(CALLER), environment, start_new_session=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        assert process.stdout.readline() == f"got {signum}\n"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == f"all {signum}\ncaller: 3\n"


def test_a_command_that_does_not_mind_them_dies_of_them(
    program: Callable[[str], list[str]], environment: dict[str, str]
) -> None:
    source = CALLER.replace('sys.executable, "-uc", sys.argv[1]', '"sh", "-c", "echo ready; exec sleep 1000"')
    with caller(program(source), environment, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "caller: -15\n"


def test_control_c_at_a_terminal_arrives_once(program: Callable[[str], list[str]], environment: dict[str, str]) -> None:
    """The terminal gives it to the whole group, the command included: nothing is to be passed on."""
    ours, theirs = os.openpty()
    source = f"""
    import fcntl, os, termios
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.tcsetpgrp(0, os.getpgrp())
    {CALLER.strip()}
    """
    with caller(program(source), environment, stdin=theirs) as process:
        os.close(theirs)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.write(ours, b"\x03")
        assert process.stdout.readline() == f"got {signal.SIGINT}\n"
        os.write(ours, b"\n")
        assert process.stdout.read() == f"all {signal.SIGINT}\ncaller: 3\n"
    os.close(ours)


def test_a_killed_caller_takes_the_command_along(
    program: Callable[[str], list[str]], environment: dict[str, str]
) -> None:
    with caller(program(CALLER), environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.kill()
        # The end of its output: nobody holds it any more, neither the command nor what stands between.
        assert process.stdout.read() == ""


def test_handlers_come_back(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import signal
        from hardtack.offline.guard import run_guarded
        def mine(*_): pass
        signal.signal(signal.SIGTERM, mine)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        run_guarded(["grep", "SigIgn", "/proc/self/status"])
        print(signal.getsignal(signal.SIGTERM) is mine, signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
              signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """)
    ignored, restored = printed.splitlines()
    assert int(ignored.split()[1], 16) & 1, "what the caller ignores, the command ignores"
    assert restored == "True True True"


@pytest.mark.parametrize("ignoring", [False, True])
def test_control_c_while_the_guard_starts(
    ignoring: bool, program: Callable[[str], list[str]], environment: dict[str, str]
) -> None:
    """To the whole group, in the moment in which the guard's own process has just been made."""
    source = f"""
        import os, signal, subprocess
        from hardtack.offline import guard
        class Early(subprocess.Popen):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                os.killpg(0, signal.SIGINT)
        subprocess.Popen = Early
        signal.signal(signal.SIGINT, signal.SIG_IGN if {ignoring} else signal.default_int_handler)
        watched = guard.run_guarded(["echo", "begun"])
        print("caller:", watched.returncode, flush=True)
        print("blocked:", signal.pthread_sigmask(signal.SIG_BLOCK, []))
        """
    with caller(program(source), environment, start_new_session=True, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        begun = "begun\ncaller: 0\n" if ignoring else f"caller: {-signal.SIGINT}\n"
        assert process.stdout.read() == f"{begun}blocked: set()\n"
