"""Connections: a thread for each, requests in, responses out, files sent by the kernel.

Knows HTTP and files, and of the Hub only that :func:`~hardtack.mirror.protocol.answer` is asked. A file that has
changed since the scan is refused rather than sent under a hash that is no longer its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import socketserver
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO

from hardtack.mirror.content import Content
from hardtack.mirror.messages import Request, Response, Slice
from hardtack.mirror.protocol import Rules, answer

Log = Callable[[str], None]
OnRequest = Callable[[str, str, int], None]
Transform = Callable[[Request, Response], Response]

_CHANGED = "This file changed since the mirror was started; start it again."
_LARGEST_BODY = 4 << 20  # bytes of a request; the only one that has a body is a list of paths
_CHUNK = 8 << 20  # bytes sent between two looks at whether the file is still the same
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Service:
    """What every connection needs; the last three as in :class:`~hardtack.mirror.server.MirrorServer`."""

    content: Content
    rules: Rules
    log: Log | None = None
    on_request: OnRequest | None = None
    transform: Transform | None = None


class Listener(ThreadingHTTPServer):
    """The listening socket and the threads of its connections, all of which end with it.

    Raises:
        OSError: the address cannot be listened on.
    """

    daemon_threads = False  # so that server_close() waits for them
    request_queue_size = 128  # the default of 5 refuses a crowd that connects at once

    def __init__(self, family: socket.AddressFamily, host: str, port: int, service: Service) -> None:
        self.address_family = family
        self.service = service
        self._open: set[object] = set()
        self._guard = threading.Lock()
        super().__init__((host, port), _Connection)

    @property
    def url(self) -> str:
        """The address, as clients write it."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def server_bind(self) -> None:
        """Bind, without asking the name service for our own name as HTTPServer does: a mirror calls out to no one."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: object, client_address: object) -> None:
        """Start the thread of a new connection."""
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]  # typeshed: or a datagram

    def shutdown_request(self, request: object) -> None:
        """Close a connection that is done."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        """End the connections that clients keep open, whose threads would else wait for the next request."""
        with self._guard:
            for connection in self._open:
                if isinstance(connection, socket.socket):
                    with contextlib.suppress(OSError):  # already gone
                        connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  socketserver's
        """Log what a thread died of; a client that went away is no more than a line."""
        if self.service.log is not None:
            error = sys.exception()
            gone = isinstance(error, OSError)
            self.service.log(f"{client_address}: {error}" if gone else traceback.format_exc())


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes, and the second must not wait for an acknowledgement
    timeout = 60.0  # seconds of silence, so that a client that went away does not hold a thread
    server: Listener

    def _answer(self) -> None:
        service = self.server.service
        body = self._read_body()
        request = self._request(body if isinstance(body, bytes) else b"")
        response = body if isinstance(body, Response) else answer(service.content, request, service.rules)
        if service.transform is not None:
            response = service.transform(request, response)
        with contextlib.ExitStack() as stack:
            stream = None
            if isinstance(response.body, Slice):
                stream = _open_unchanged(response.body)
                if stream is None:
                    response = Response.json({"error": _CHANGED}, ("X-Error-Message", _CHANGED), status=500)
                else:
                    stack.enter_context(stream)
            if service.on_request is not None:
                service.on_request(self.command, self.path, response.status)
            self.log_message('%s "%s" %d', self.command, self.path, response.status)
            try:
                self._send(response, stream)
            except OSError:
                # The client went away, or the body could not be made: either way what was promised will not come.
                self._break_off()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815  http.server's names

    def _read_body(self) -> bytes | Response:
        """The request's body; or, where it cannot be read, the answer, after which the connection is of no use."""
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") is not None:
            status = 411
        elif not re.fullmatch("[0-9]{1,18}", length):
            status = 400
        elif int(length) > _LARGEST_BODY:
            status = 413
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            status = 400
        self.close_connection = True
        return Response.json({"error": "This body cannot be read."}, status=status)

    def _request(self, body: bytes) -> Request:
        # A target may be a whole address (RFC 9112, 3.2.2).
        path, _, query = re.sub(r"^https?://[^/?#]*", "", self.path).partition("#")[0].partition("?")
        # Behind a proxy, links must have the address that the client used; it alone sees what it claims here.
        host = self.headers.get("X-Forwarded-Host") or self.headers.get("Host") or ""
        scheme = "https" if self.headers.get("X-Forwarded-Proto", "").strip().lower() == "https" else "http"
        base = f"{scheme}://{host}" if _HOST.fullmatch(host) else self.server.url
        fields = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path or "/", query, fields, body, base)

    def _send(self, response: Response, stream: BinaryIO | None) -> None:
        self.send_response_only(response.status)
        self.send_header("Server", self.version_string())
        self.send_header("Date", self.date_time_string())
        for name, value in response.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if isinstance(response.body, bytes):
            self.wfile.write(response.body)
        elif not isinstance(response.body, Slice):
            promised, sent = int(response.header("Content-Length") or 0), 0
            for piece in response.body:
                self.wfile.write(piece)
                sent += len(piece)
            self.close_connection = self.close_connection or sent != promised
        elif stream is not None:
            self._send_file(stream, response.body)

    def _send_file(self, stream: BinaryIO, part: Slice) -> None:
        position, end = part.offset, part.offset + part.length
        while position < end:
            sent = self.connection.sendfile(stream, position, min(_CHUNK, end - position))
            position += sent
            if not sent or (position < end and not _unchanged(stream, part)):
                raise OSError(_CHANGED)

    def _break_off(self) -> None:
        """Reset the connection: an ordinary end could be taken for the end of the content."""
        self.close_connection = True
        with contextlib.suppress(OSError):  # already gone
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def version_string(self) -> str:
        """The Server header."""
        return "hardtack-mirror"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Log a line; what a client wrote must not steer a terminal."""
        if self.server.service.log is not None:
            self.server.service.log((format % args).encode("unicode_escape").decode("ascii"))


def _open_unchanged(part: Slice) -> BinaryIO | None:
    try:
        stream = part.source.open("rb", buffering=0)
    except OSError:
        return None
    if _unchanged(stream, part):
        return stream
    stream.close()
    return None


def _unchanged(stream: BinaryIO, part: Slice) -> bool:
    status = os.fstat(stream.fileno())
    return (status.st_size, status.st_mtime_ns) == (part.size, part.modified_ns)
