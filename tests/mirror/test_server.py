from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.request
from pathlib import Path

import pytest

from hardtack.errors import Misused, Unable
from hardtack.mirror import Content, MirrorServer, Served, serve


def test_it_listens_on_loopback_unless_told(folder: Path) -> None:
    content = Content.gather([Served("org/tiny", folder)])
    with MirrorServer(content) as server:
        assert server.url.startswith("http://127.0.0.1:")
    if socket.has_ipv6:
        with MirrorServer(content, host="::1") as server:
            assert server.url.startswith("http://[::1]:")
            with urllib.request.urlopen(f"{server.url}/api/models") as response:
                assert response.status == 200


def test_stopping_leaves_no_thread_and_no_socket(folder: Path) -> None:
    content = Content.gather([Served("org/tiny", folder)])
    threads, sockets = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count of descriptors
    for _ in range(3):
        with MirrorServer(content) as server:
            host, port = server.url.removeprefix("http://").split(":")
            idle = socket.create_connection((host, int(port)), timeout=30)  # a client that keeps its connection
            idle.sendall(b"GET /api/models HTTP/1.1\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            half = socket.create_connection((host, int(port)), timeout=30)  # and one that never ends its request
            half.sendall(b"GET /api")
        idle.close()
        half.close()
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=30)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == sockets  # noqa: PTH208


def test_a_port_that_is_taken(folder: Path) -> None:
    content = Content.gather([Served("org/tiny", folder)])
    with MirrorServer(content) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(Unable) as refused:
            MirrorServer(content, port=port)
    assert refused.value.found == "Address already in use"


@pytest.mark.parametrize(("host", "port"), [("localhost", 70_000), ("127.0.0.1", 70_000), ("127.0.0.1", -1)])
def test_what_is_no_address(folder: Path, host: str, port: int) -> None:
    with pytest.raises(Misused):
        MirrorServer(Content.gather([Served("org/tiny", folder)]), host=host, port=port)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_what_is_no_token(folder: Path, token: str) -> None:
    with pytest.raises(Misused):
        MirrorServer(Content.gather([Served("org/tiny", folder)]), token=token)


def test_serve_says_when_it_is_ready_and_ends_when_told(folder: Path) -> None:
    done, seen = threading.Event(), []

    def ready(url: str) -> None:
        with urllib.request.urlopen(f"{url}/org/tiny/resolve/main/modules.json") as response:
            seen.append(response.read())
        done.set()

    serve([Served("org/tiny", folder)], port=0, ready=ready, until=done)
    assert seen == [b"[]"]


def test_serve_is_stopped_by_an_interrupt(folder: Path) -> None:
    urls: list[str] = []
    main = threading.main_thread().ident
    assert main is not None
    interrupt = threading.Thread(target=lambda: signal.pthread_kill(main, signal.SIGINT))

    def ready(url: str) -> None:
        urls.append(url)
        interrupt.start()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            serve([Served("org/tiny", folder)], port=0, ready=ready)
    finally:
        signal.signal(signal.SIGINT, before)
        interrupt.join()
    with pytest.raises(OSError):
        urllib.request.urlopen(urls[0])
