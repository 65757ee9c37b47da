"""What only a socket shows: keep-alive, bodies, crowds, files that change, and what is not HTTP."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hardtack.mirror import Content, MirrorServer, Served
from hardtack.mirror.messages import Request, Response
from tests.hub import lay_out

BIG = os.urandom(3_000_017)


@pytest.fixture
def big(folder: Path) -> Path:
    return lay_out(folder, {"big.bin": BIG})


@pytest.fixture
def server(big: Path) -> Iterator[MirrorServer]:
    with MirrorServer(Content.gather([Served("org/tiny", big)])) as server:
        yield server


def connect(server: MirrorServer) -> http.client.HTTPConnection:
    address = urlsplit(server.url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)


def raw(server: MirrorServer, data: bytes) -> bytes:
    """Everything that comes back until the server ends the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_one_connection_serves_many_requests(server: MirrorServer) -> None:
    connection = connect(server)
    locals_ports = set()
    for method, path, status in [
        ("HEAD", "/org/tiny/resolve/main/big.bin", 200),
        ("GET", "/org/tiny/resolve/main/big.bin", 200),
        ("GET", "/org/tiny/resolve/main/none", 404),
        ("HEAD", "/org/tiny/resolve/main/none", 404),
        ("GET", "/org/tiny/resolve/main/empty.txt", 200),
        ("DELETE", "/api/models/org/tiny", 405),
        ("GET", "/api/models/org/tiny", 200),
    ]:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        assert response.status == status
        assert response.getheader("Connection") is None
        assert len(body) == (0 if method == "HEAD" else int(response.getheader("Content-Length", "-1")))
        locals_ports.add(connection.sock.getsockname())
    assert len(locals_ports) == 1
    connection.close()


def test_a_body_of_paths(server: MirrorServer) -> None:
    connection = connect(server)
    for _ in range(2):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/api/models/org/tiny/paths-info/main", "paths=config.json&expand=False", kind)
        response = connection.getresponse()
        assert response.status == 200
        assert b'"path": "config.json"' in response.read()
    connection.close()


def test_32_clients_at_once_get_what_they_asked_for(server: MirrorServer) -> None:
    together = threading.Barrier(32)

    def client(number: int) -> bool:
        connection = connect(server)
        together.wait(timeout=30)
        good = True
        for turn in range(3):
            start = (number * 70_001 + turn * 13) % len(BIG)
            connection.request("GET", "/org/tiny/resolve/main/big.bin", headers={"Range": f"bytes={start}-"})
            response = connection.getresponse()
            good &= response.status == 206 and response.read() == BIG[start:]
        connection.close()
        return good

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(client, range(32))) == [True] * 32


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/org/tiny/resolve/main/../../../../../etc/passwd",
        "/org/tiny/resolve/main/..%2f..%2f..%2fetc%2fpasswd",
        "/org/tiny/resolve/main/%2fetc%2fpasswd",
        "/org/tiny/resolve/main//etc/passwd",
        "/org/tiny/resolve/main/config.json%00.txt",
        "/org/tiny/resolve/main/.git/config",
        "http://elsewhere/org/tiny/resolve/main/../x",
    ],
)
def test_no_path_leads_out(server: MirrorServer, path: str) -> None:
    answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"root:" not in answer


def test_a_target_may_be_a_whole_address(server: MirrorServer) -> None:
    answer = raw(server, b"GET http://x/org/tiny/resolve/main/modules.json HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n[]")


def test_a_link_to_the_next_page_uses_the_host_that_was_asked(big: Path) -> None:
    with MirrorServer(Content.gather([Served("org/tiny", big)]), page_size=1) as server:
        request = b"GET /api/models/org/tiny/tree/main HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
        assert b"Link: <http://mirror.lan:80/api/" in raw(server, request % b"mirror.lan:80")
        assert b"Link: <http://[::1]:80/api/" in raw(server, request % b"[::1]:80")
        behind = b"x\r\nX-Forwarded-Host: hub.example\r\nX-Forwarded-Proto: https"  # a proxy that speaks TLS
        assert b"Link: <https://hub.example/api/" in raw(server, request % behind)
        for odd in (b"evil/path?", b"a>b", b"user@host", b""):
            assert f"Link: <{server.url}/api/".encode() in raw(server, request % odd)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 99999999999", 413),
        (b"Content-Length: -1", 400),
        (b"Content-Length: 1, 1", 400),
        (b"Content-Length: x", 400),
        (b"Transfer-Encoding: chunked", 411),
    ],
)
def test_a_body_that_cannot_be_read_ends_the_connection(server: MirrorServer, head: bytes, status: int) -> None:
    """Else its bytes would be taken for the next request."""
    for method in (b"POST", b"GET"):
        smuggled = b"GET /api/models HTTP/1.1\r\n\r\n"
        answer = raw(server, method + b" /api/models HTTP/1.1\r\n" + head + b"\r\n\r\n" + smuggled)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.count(b"HTTP/1.1") == 1
        assert b"Connection: close" in answer


@pytest.mark.parametrize("change", ["rewrite", "same size", "touch", "remove"])
def test_a_file_that_changed_since_the_scan_is_not_served(server: MirrorServer, folder: Path, change: str) -> None:
    path = folder / "config.json"
    match change:
        case "rewrite":
            path.write_bytes(b"something else")
        case "same size":
            size, time = path.stat().st_size, path.stat().st_mtime_ns
            path.write_bytes(b"x" * size)
            os.utime(path, ns=(time + 1, time + 1))
        case "touch":
            os.utime(path, ns=(1, 1))
        case "remove":
            path.unlink()
    connection = connect(server)
    connection.request("GET", "/org/tiny/resolve/main/config.json")
    response = connection.getresponse()
    assert response.status == 500
    assert b"changed" in response.read()
    connection.request("GET", "/org/tiny/resolve/main/modules.json")
    assert connection.getresponse().read() == b"[]"
    connection.close()


def test_a_body_that_breaks_is_reset(big: Path) -> None:
    def broken(body: bytes) -> Iterator[bytes]:
        yield body
        raise OSError("the source is gone")

    def transform(request: Request, response: Response) -> Response:
        return Response(200, (("Content-Length", "1000"),), broken(b"x" * 10))

    with MirrorServer(Content.gather([Served("org/tiny", big)]), transform=transform) as server:
        connection = connect(server)
        connection.request("GET", "/")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            connection.getresponse().read()
        connection.close()


def test_requests_are_told_before_they_are_answered_and_logged(big: Path) -> None:
    told: list[tuple[str, str, int]] = []
    lines: list[str] = []
    content = Content.gather([Served("org/tiny", big)])
    with MirrorServer(
        content, log=lines.append, on_request=lambda method, target, status: told.append((method, target, status))
    ) as server:
        raw(server, b"GET /x\x1b[2J%0a?q=1 HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert [(method, status) for method, _, status in told] == [("GET", 404)]
    assert lines == ['GET "/x\\x1b[2J%0a?q=1" 404']


def test_what_is_no_http_is_an_error_and_no_more(server: MirrorServer) -> None:
    assert b"400" in raw(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert raw(server, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")
    connection = connect(server)
    connection.request("GET", "/org/tiny/resolve/main/big.bin")
    assert hashlib.sha256(connection.getresponse().read()).digest() == hashlib.sha256(BIG).digest()
    connection.close()
