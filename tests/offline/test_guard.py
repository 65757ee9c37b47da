"""run_guarded(): the kernel refuses, and what it refused is told to the last attempt."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hardtack.errors import Misused
from hardtack.offline.guard import NOT_COVERED, Watched, can_guard, run_guarded

from .conftest import SOURCE, Run

Guarded = Callable[..., Run]

TRY = """
import socket
def attempt(*arguments):
    try:
        socket.socket(*arguments).close()
        return "open"
    except OSError as error:
        return error.errno
"""


# Says how many were refused and how many were interrupted. The main thread tries, too: signals come to it.
THOUSAND = """
import errno, threading
results = []
def work(): results.extend(attempt(2, 2) for _ in range(125))
threads = [threading.Thread(target=work) for _ in range(7)]
for thread in threads: thread.start()
work()
for thread in threads: thread.join()
import signal
signal.setitimer(signal.ITIMER_REAL, 0)
print(results.count(errno.EACCES), results.count(errno.EINTR))
"""


def test_what_this_kernel_can() -> None:
    guarding = can_guard()
    assert guarding.able == (guarding.why_not == "")
    assert guarding.kernel.startswith("Linux ")


class TestRefused:
    def test_every_domain_but_local(self, guarded: Guarded) -> None:
        run = guarded(
            TRY + "print([attempt(*it) for it in [(2, 1), (2, 2), (10, 1), (10, 2), (16, 3), (40, 1), (17, 3)]])"
        )
        assert run.printed == f"{[errno.EACCES] * 7}\n"
        assert run.counts == {
            "socket(AF_INET, SOCK_STREAM)": 1,
            "socket(AF_INET, SOCK_DGRAM)": 1,
            "socket(AF_INET6, SOCK_STREAM)": 1,
            "socket(AF_INET6, SOCK_DGRAM)": 1,
            "socket(AF_NETLINK, SOCK_RAW)": 1,
            "socket(AF_VSOCK, SOCK_STREAM)": 1,
            "socket(AF_PACKET, SOCK_RAW)": 1,
        }
        assert run.watched.not_covered == NOT_COVERED

    def test_socketpair(self, guarded: Guarded) -> None:
        run = guarded("""
            import socket
            socket.socketpair()
            try: socket.socketpair(socket.AF_INET)
            except OSError as error: print(error.errno)
            """)
        assert run.printed == f"{errno.EACCES}\n"
        assert run.counts == {"socketpair(AF_INET, SOCK_STREAM)": 1}

    def test_names_are_not_looked_up_and_that_soon(self, guarded: Guarded) -> None:
        run = guarded("""
            import socket
            try: socket.getaddrinfo("name.example", 443)
            except socket.gaierror: print("no")
            """)
        assert run.printed == "no\n"
        assert run.counts
        # One try per server and search domain is what the resolver gives it; a refusal taken for a passing trouble
        # would be tried until its time is up.
        assert sum(run.counts.values()) < 30

    def test_loopback_too(self, guarded: Guarded) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            run = guarded(
                f"""
                import urllib.request
                try: urllib.request.urlopen("http://127.0.0.1:{server.getsockname()[1]}")
                except OSError as error: print(error.reason.errno)
                """
            )
            with pytest.raises(BlockingIOError):
                server.accept()
        assert run.printed == f"{errno.EACCES}\n"
        assert sum(run.counts.values()) == 1

    def test_rings(self, guarded: Guarded) -> None:
        run = guarded("""
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            print(libc.syscall(425, 1, ctypes.create_string_buffer(120)), ctypes.get_errno())
            """)
        assert run.printed == f"-1 {errno.EACCES}\n"
        assert run.counts == {"io_uring_setup()": 1}

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="a matter of x86_64")
    def test_i386_calls(self, guarded: Guarded) -> None:
        # push rbx; mov eax,359 (socket); mov ebx,AF_INET; mov ecx,SOCK_STREAM; xor edx,edx; int 0x80; pop rbx; ret
        code = bytes.fromhex("53 b867010000 bb02000000 b901000000 31d2 cd80 5b c3")
        run = guarded(f"""
            import ctypes, mmap
            page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            page.write({code!r})
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())
            """)
        if run.watched.returncode == -11:
            pytest.skip("this kernel has no i386 calls")
        assert run.printed == f"{-errno.EACCES}\n"
        assert run.counts == {"system call 0x167 of a foreign ABI (0x40000003)": 1}

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="a matter of x86_64")
    def test_x32_calls(self, guarded: Guarded) -> None:
        run = guarded("""
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            print(libc.syscall(ctypes.c_long(0x40000000 + 41), 2, 1, 0), ctypes.get_errno())
            """)
        assert run.printed == f"-1 {errno.EACCES}\n"
        assert run.counts == {"system call 0x40000029 of a foreign ABI (0xc000003e)": 1}


class TestStillWorks:
    def test_local_sockets_processes_and_loops(self, guarded: Guarded, tmp_path: Path) -> None:
        run = guarded(f"""
            import asyncio, multiprocessing, socket, subprocess
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind("{tmp_path}/socket")
                server.listen()
                client.connect("{tmp_path}/socket")
            async def shell():
                process = await asyncio.create_subprocess_exec("echo", "loop", stdout=subprocess.PIPE)
                return (await process.communicate())[0].decode().strip()
            if __name__ == "__main__":
                with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, 2]))
                with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(abs, [-3]))
                print(asyncio.run(shell()))
            """)
        assert run.printed == "[1, 2]\n[3]\nloop\n"
        assert run.watched.attempts == ()
        assert run.watched.returncode == 0


class TestCounts:
    def test_grandchildren_by_name(self, guarded: Guarded, tmp_path: Path) -> None:
        script = tmp_path / "fetcher"
        script.write_text(f"#!{sys.executable}\n{TRY}\nattempt()\n")
        script.chmod(0o755)
        run = guarded(["sh", "-c", f"{script}; {script} & wait; cd / && exec {script}"])
        assert [(it.what, it.program, it.count) for it in run.watched.attempts] == [
            ("socket(AF_INET, SOCK_STREAM)", "fetcher", 3)
        ]

    def test_exact_from_many_threads(self, guarded: Guarded) -> None:
        run = guarded(TRY + THOUSAND)
        assert run.printed == "1000 0\n"
        assert run.counts == {"socket(AF_INET, SOCK_DGRAM)": 1000}

    def test_exact_amid_signals(self, guarded: Guarded) -> None:
        """A signal may cut an attempt short before it is noted: then it fails with EINTR. The others all count, once.

        Once: so it is since Linux 5.19; before, one that is cut short after it was noted counts as well.
        """
        run = guarded(
            TRY
            + """
import signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
"""
            + THOUSAND
        )
        refused, interrupted = map(int, run.printed.split())
        assert refused + interrupted == 1000
        assert refused > 500
        assert run.counts == {"socket(AF_INET, SOCK_DGRAM)": refused}

    def test_daemons_are_counted_and_ended(self, guarded: Guarded) -> None:
        """A daemon in a session of its own, orphaned, that holds a pipe and would live for ever."""
        reader, writer = os.pipe()
        run = guarded(
            TRY
            + f"""
import os, signal
ready = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        attempt()
        os.write(ready[1], b"1")
        while True: signal.pause()
    os._exit(0)
os.wait()
os.read(ready[0], 1)
os.write({writer}, b"parent done")
""",
            pass_fds=[writer],
        )
        os.close(writer)
        assert os.read(reader, 100) == b"parent done"
        assert os.read(reader, 100) == b"", "somebody still holds the pipe"
        os.close(reader)
        assert run.counts == {"socket(AF_INET, SOCK_STREAM)": 1}
        assert run.watched.returncode == 0

    def test_runs_side_by_side_do_not_mix(self, guarded: Guarded, program: Callable[[str], list[str]]) -> None:
        seen: dict[int, Watched] = {}

        def run(times: int) -> None:
            seen[times] = run_guarded(program(TRY + f"for _ in range({times}): attempt()"))

        threads = [threading.Thread(target=run, args=(times,)) for times in (1, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {times: watched.attempts[0].count for times, watched in seen.items()} == {1: 1, 20: 20}


class TestInherited:
    def test_network_sockets_are_closed_and_local_ones_kept(self, guarded: Guarded) -> None:
        ours, theirs = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as server, ours, theirs:
            run = guarded(
                f"""
                import os
                print(os.path.exists("/proc/self/fd/{server.fileno()}"), os.readlink("/proc/self/fd/0"))
                os.write({theirs.fileno()}, b"kept")
                """,
                stdin=server.fileno(),
                pass_fds=[server.fileno(), theirs.fileno()],
            )
            assert ours.recv(4) == b"kept"
            assert run.watched.closed == (
                "descriptor 0: socket(AF_INET, SOCK_STREAM)",
                f"descriptor {server.fileno()}: socket(AF_INET, SOCK_STREAM)",
            )
        assert run.printed == "False /dev/null\n"

    def test_rings_are_closed(self, guarded: Guarded) -> None:
        ring = ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120))
        if ring < 0:
            pytest.skip("no io_uring here")
        run = guarded(f"import os; print(os.path.exists('/proc/self/fd/{ring}'))", pass_fds=[ring])
        os.close(ring)
        assert run.printed == "False\n"
        assert run.watched.closed == (f"descriptor {ring}: io_uring",)

    def test_the_environment_is_exactly_the_callers(self, guarded: Guarded) -> None:
        run = guarded(["/usr/bin/env"], env={"ONE": "1", "PYTHONHOME": "/nonexistent", "EMPTY": ""})
        assert run.printed == "ONE=1\nPYTHONHOME=/nonexistent\nEMPTY=\n"

    def test_signals_are_as_without_guard(self, guarded: Guarded) -> None:
        command = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
        assert guarded(command).printed == subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def test_no_descriptor_of_ours(self, guarded: Guarded) -> None:
        # 3 is the directory that ls itself reads
        assert guarded(["ls", "/proc/self/fd"]).printed.split() == ["0", "1", "2", "3"]


class TestOutcome:
    def test_exit_codes_and_signals(self, guarded: Guarded) -> None:
        assert guarded(["sh", "-c", "exit 7"]).watched.returncode == 7
        assert guarded(["sh", "-c", "kill -KILL $$"]).watched.returncode == -9

    def test_memory_is_the_commands_own_and_not_ours(self, guarded: Guarded) -> None:
        ballast = b"x" * 300_000_000
        assert guarded(["true"]).watched.peak_bytes < 50_000_000 < len(ballast)
        assert guarded("x = b'x' * 200_000_000").watched.peak_bytes > 200_000_000

    def test_timeout(self, guarded: Guarded) -> None:
        run = guarded(["sleep", "1000"], timeout=0.1)
        assert run.watched.timed_out
        assert run.watched.returncode == -9

    def test_timeout_amid_attempts(self, guarded: Guarded) -> None:
        run = guarded(TRY + "while True: attempt()", timeout=0.5)
        assert run.watched.timed_out

    @pytest.mark.parametrize(
        ("command", "found"), [("/nonexistent/program", "No such file"), ("/etc", "Permission denied")]
    )
    def test_no_such_program(self, guarded: Guarded, command: str, found: str) -> None:
        with pytest.raises(Misused) as caught:
            guarded([command, "argument"])
        assert caught.value.where == command
        assert found in caught.value.found
        assert caught.value.mend == f"command -v {command}"

    def test_misuse(self) -> None:
        with pytest.raises(ValueError, match="no command"):
            run_guarded([])
        with pytest.raises(ValueError, match="cannot be PIPE"):
            run_guarded(["true"], stdout=subprocess.PIPE)

    def test_nothing_is_left_in_this_process(self, guarded: Guarded) -> None:
        guarded(["true"])

        def ours() -> list[Path]:
            return [it for kind in ("fd", "task") for it in sorted(Path("/proc/self", kind).iterdir())]

        before = ours()
        for _ in range(3):
            guarded(TRY + "attempt()")
        assert ours() == before
        with socket.socket() as still_free:
            assert still_free.family == socket.AF_INET


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: all the other tests are this one already")
def test_as_nobody(program: Callable[[str], list[str]]) -> None:
    """In a process that is nobody: guarded and sealed alike."""
    source = """
        import os, sys
        from hardtack.offline.guard import run_guarded, seal
        watched = run_guarded([sys.executable, "-c", "import socket; socket.socket()"], stderr=2)
        print(os.geteuid(), watched.returncode, watched.attempts[0].count)
        seal()
        """

    def as_nobody(command: list[str]) -> subprocess.CompletedProcess[str] | None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            return subprocess.run(
                command,
                env=environment,
                user=65534,
                group=65534,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
        except PermissionError:
            return None  # the interpreter lies where nobody may not go, such as /root

    results = [as_nobody([python, *program(source)[1:]]) for python in (sys.executable, "/usr/bin/python3")]
    ran = [result for result in results if result and "No module named" not in result.stderr]
    if not ran:
        pytest.skip("no Python here, or no hardtack, that nobody may read")
    for result in ran:
        assert result.stdout == "65534 1 1\n", result.stderr
