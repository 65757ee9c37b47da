"""Sealing with a count, always in a process of its own: there is no way back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hardtack.offline.guard import can_guard

pytestmark = pytest.mark.skipif(not can_guard().able, reason="this kernel gives no guard")


def run(code: str, **env: str) -> str:
    script = "import socket, threading\nfrom hardtack.offline.sealed import seal_and_count\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_nothing_was_tried() -> None:
    assert run("sealed = seal_and_count(); print(sealed.counted, dict(sealed.denied()))") == "True {}\n"


def test_attempts_of_threads_that_ran_before_are_refused_and_counted() -> None:
    said = run("""
        go, results = threading.Event(), []
        def attempt():
            go.wait()
            for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM):
                try:
                    socket.socket(socket.AF_INET, kind)
                except PermissionError:
                    results.append("refused")
        thread = threading.Thread(target=attempt)
        thread.start()
        sealed = seal_and_count()
        go.set()
        thread.join()
        print(results, dict(sealed.denied()))
        sealed.forget()
        print(dict(sealed.denied()))
    """)
    counts = {"socket(AF_INET, SOCK_STREAM)": 2, "socket(AF_INET, SOCK_DGRAM)": 1}
    assert said == f"{['refused'] * 3} {counts}\n{{}}\n"


def test_children_are_sealed_too_and_counted() -> None:
    said = run("""
        import subprocess, sys
        sealed = seal_and_count()
        child = "import socket\\ntry: socket.socket(socket.AF_INET6)\\nexcept PermissionError: print('refused')"
        print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
        print([attempt.what for attempt in sealed.attempts()])
    """)
    assert said == "refused\n['socket(AF_INET6, SOCK_STREAM)']\n"


def test_what_listens_already_goes_on() -> None:
    said = run("""
        listening = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listening.getsockname())
        sealed = seal_and_count()
        accepted, _ = listening.accept()
        accepted.sendall(b"still here")
        print(client.recv(100).decode(), dict(sealed.denied()))
        for each in (listening, client, accepted): each.close()
    """)
    assert said == "still here {}\n"


def test_local_sockets_stay() -> None:
    assert run("seal_and_count(); a, b = socket.socketpair(); a.close(); b.close(); print('fine')") == "fine\n"


def test_where_the_counter_is_killed_it_still_refuses() -> None:
    said = run(
        """
        import os, signal
        from tests.offline.test_sealed import tallies
        sealed = seal_and_count()
        for pid in tallies("KILLED"):
            os.kill(pid, signal.SIGKILL)
        try:
            socket.socket(socket.AF_INET)
        except OSError:
            print("refused")
        print(dict(sealed.denied()), sealed.counted)
    """,
        HARDTACK_TEST_MARK="KILLED",
    )
    assert said == "refused\n{} False\n"


def test_under_a_guard_that_counts_already_it_is_sealed_without_a_count() -> None:
    from hardtack.offline.guard import run_guarded

    code = (
        "from hardtack.offline.sealed import seal_and_count; sealed = seal_and_count(); "
        "assert not sealed.counted and sealed.why_not, sealed.why_not"
    )
    watched = run_guarded([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    assert watched.returncode == 0


def test_the_counter_ends_with_the_process() -> None:
    code = (
        "from hardtack.offline.sealed import seal_and_count; sealed = seal_and_count(); "
        "print('sealed', flush=True); import time; time.sleep(60)"
    )
    env = {**os.environ, "HARDTACK_TEST_MARK": "ENDING"}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "sealed\n"
    assert len(tallies("ENDING")) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while tallies("ENDING") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert tallies("ENDING") == []


def tallies(mark: str) -> list[int]:
    """The processes that count for one that was started with this mark in its environment."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal()
        and b"offline.tally" in _read(entry / "cmdline")
        and f"HARDTACK_TEST_MARK={mark}".encode() in _read(entry / "environ")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended


def test_an_io_uring_is_refused_before_it_is_in_the_way() -> None:
    said = run("""
        import ctypes, errno
        from hardtack.offline.sealed import refuse_rings
        refuse_rings()
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(425, 1, ctypes.create_string_buffer(120)), ctypes.get_errno() == errno.ENOSYS)
        socket.socket(socket.AF_INET).close()
        print(seal_and_count().counted)
    """)
    assert said == "-1 True\nTrue\n"
