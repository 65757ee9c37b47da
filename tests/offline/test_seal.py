"""seal(): this process, all its threads, all its children. Each test seals a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hardtack.offline.guard import can_guard

pytestmark = pytest.mark.skipif(not can_guard().able, reason=can_guard().why_not or "-")


def test_threads_started_before(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import queue, socket, threading
        from hardtack.offline.guard import seal
        asked, said = queue.Queue(), queue.Queue()
        def work():
            for _ in iter(asked.get, None):
                try:
                    socket.socket().close()
                    said.put("open")
                except PermissionError:
                    said.put("refused")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        asked.put(1)
        print(said.get())
        seal()
        for _ in threads: asked.put(1)
        print(*(said.get() for _ in threads))
        for _ in threads: asked.put(None)
        """)
    assert printed == "open\nrefused refused refused refused\n"


def test_children_and_what_is_still_allowed(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import asyncio, multiprocessing, socket, subprocess, sys
        from hardtack.offline.guard import seal
        def attempt(_=None):
            try: socket.socket()
            except OSError as error: return error.errno
        async def shell():
            process = await asyncio.create_subprocess_exec("echo", "async", stdout=subprocess.PIPE)
            return (await process.communicate())[0].decode().strip()
        seal()
        seal()
        print(attempt())
        with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(attempt, range(2)))
        print(asyncio.run(shell()))
        child = subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], capture_output=True)
        print(child.stderr[-18:])
        socket.socketpair()
        """)
    assert printed.split("\n") == ["13", "[13, 13]", "async", r"b'Permission denied\n'", ""]


def test_sockets_opened_before_go_on(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import socket
        from hardtack.offline.guard import seal
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            seal()
            client.connect(server.getsockname())
            accepted, _ = server.accept()
            accepted.sendall(b"served")
            print(client.recv(6))
            accepted.close()
        """)
    assert printed == "b'served'\n"


def test_an_open_ring_prevents_the_promise(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import ctypes, socket
        from hardtack.errors import NotProven
        from hardtack.offline.guard import seal
        ring = ctypes.CDLL(None, use_errno=True).syscall(425, 1, ctypes.create_string_buffer(120))
        if ring < 0:
            print("no io_uring here:", ctypes.get_errno())
            raise SystemExit
        try:
            seal()
        except NotProven as error:
            print(error.found)
        socket.socket().close()
        """)
    if printed.startswith("no io_uring"):
        pytest.skip(printed)
    assert "is an io_uring" in printed


def test_a_thread_with_a_filter_of_its_own_prevents_it(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import socket, threading
        from hardtack.errors import NotProven
        from hardtack.offline import bpf, syscalls
        from hardtack.offline.guard import seal
        filtered, done = threading.Event(), threading.Event()
        def other():
            syscalls.install_watched(bpf.assemble([bpf.Return(bpf.ALLOW)]))
            filtered.set()
            done.wait()
        thread = threading.Thread(target=other)
        thread.start()
        filtered.wait()
        try:
            seal()
        except NotProven as error:
            print(error.exit_code, error.found)
        done.set()
        """)
    assert printed.startswith("1 thread ")
    assert "has a seccomp filter of its own" in printed
