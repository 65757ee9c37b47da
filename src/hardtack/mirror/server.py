"""A mirror that runs: started, found by its address, stopped.

It listens on 127.0.0.1 unless told otherwise and calls out to no one.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from hardtack.errors import Misused, Unable
from hardtack.mirror.connection import Listener, Log, OnRequest, Service, Transform
from hardtack.mirror.content import Content
from hardtack.mirror.protocol import Rules
from hardtack.mirror.served import Served

LOOPBACK = "127.0.0.1"
PORT = 8642


class MirrorServer:
    """A mirror that listens from the start and answers while it is a context.

    Args:
        content: what is served.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        token: the only bearer token to answer to; None answers to everyone, but gives nobody what is gated.
        gated_only: the token is asked for only where a repository is gated or private.
        page_size: the most items of a list in one response.
        log: called with one line a request, from several threads.
        on_request: called with method, target (path and query, still encoded) and status, before the response is sent;
            from several threads.
        transform: stands between protocol and socket and may answer something else. For tests of clients.

    Raises:
        Misused: the address is none of this machine's, or the token could not be sent in a header.
        Unable: the port is taken, or not ours to take.
    """

    def __init__(
        self,
        content: Content,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        token: str | None = None,
        gated_only: bool = False,
        page_size: int = 1000,
        log: Log | None = None,
        on_request: OnRequest | None = None,
        transform: Transform | None = None,
    ) -> None:
        if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
            raise Misused("A token is printable ASCII without spaces.", where="token", mend="openssl rand -hex 20")
        rules = Rules(token, gated_only, page_size)
        self._listener = _listen(host, port, Service(content, rules, log, on_request, transform))
        # The poll decides how long stopping takes; connections do not wait for it.
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), name="mirror")

    @property
    def url(self) -> str:
        """What clients need as HF_ENDPOINT."""
        return self._listener.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        self._listener.server_close()


def serve(
    served: Iterable[Served],
    *,
    host: str = LOOPBACK,
    port: int = PORT,
    token: str | None = None,
    gated_only: bool = False,
    log: Log | None = None,
    ready: Log | None = None,
    until: threading.Event | None = None,
) -> None:
    """Scan the folders, then serve them until interrupted or until ``until`` is set.

    Args:
        served: the folders.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        token: as for :class:`MirrorServer`; so is the next.
        gated_only: see ``token``.
        log: called with one line a request.
        ready: called with the mirror's address once it answers.
        until: ends it.

    Raises:
        Misused: a folder cannot be served, or host or token are not usable.
        DiskError: a file cannot be read.
        Unable: the port is taken, or not ours to take.
        KeyboardInterrupt: the way to end it from a terminal; the mirror is stopped by then.
    """
    content = Content.gather(served)
    with MirrorServer(content, host=host, port=port, token=token, gated_only=gated_only, log=log) as server:
        if ready is not None:
            ready(server.url)
        (until or threading.Event()).wait()


def _listen(host: str, port: int, service: Service) -> Listener:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return Listener(family, host, port, service)
    except (socket.gaierror, OverflowError) as error:
        raise Misused(
            "This is no address to listen on.", where=f"{host}:{port}", found=str(error), mend="hardtack mirror"
        ) from error
    except OSError as error:
        raise Unable(
            "The mirror cannot listen there.",
            where=f"{host}:{port}",
            found=error.strerror or str(error),
            mend="hardtack mirror --port 0",
        ) from error
