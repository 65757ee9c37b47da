"""What stands between a client and a Hub in a company: a proxy, and certificates of an authority of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

Handler = Callable[[socket.socket], None]


class _Listener:
    """Hands every connection to a thread; a context manager."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # a client that goes away, or does not like a certificate, ends its own connection only
        with connection, contextlib.suppress(OSError):
            self._handle(connection)


class Proxy(_Listener):
    """A proxy for ``http://`` (the whole address in the request line) and for ``https://`` (CONNECT).

    ``seen`` has the first line of each connection's first request.
    """

    def __init__(self) -> None:
        super().__init__(self._pass)
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _pass(self, client: socket.socket) -> None:
        head = _head(client)
        line = head.split(b"\r\n", 1)[0].decode()
        self.seen.append(line)
        method, target, _ = line.split(" ")
        host, port = target.split(":") if method == "CONNECT" else (urlsplit(target).hostname, urlsplit(target).port)
        with socket.create_connection((str(host), int(port or 80))) as hub:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                # one request a connection, so that none goes by unread
                plain = head.replace(f"http://{host}:{port}".encode(), b"", 1).replace(b"keep-alive", b"close")
                hub.sendall(plain)
            _both_ways(client, hub)


class Tls(_Listener):
    """``https://`` before a server that speaks ``http://``, with a certificate of ``authority``."""

    def __init__(self, port: int, authority: trustme.CA) -> None:
        super().__init__(self._pass)
        self._behind = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _pass(self, client: socket.socket) -> None:
        with (
            self._context.wrap_socket(client, server_side=True) as plain,
            socket.create_connection(("127.0.0.1", self._behind)) as hub,
        ):
            _both_ways(plain, hub)


def authority(folder: Path) -> tuple[trustme.CA, Path]:
    """An authority that nobody knows, and its certificate as a file."""
    made = trustme.CA()
    path = folder / "authority.pem"
    made.cert_pem.write_to_path(str(path))
    return made, path


def _head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        part = client.recv(65536)
        if not part:
            raise ConnectionError("the client went away")
        head += part
    return head


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()
