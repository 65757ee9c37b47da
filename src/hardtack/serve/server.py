"""A service that runs: bound, loaded, sealed, ready, and ended in good order.

The order is the promise: it listens first (on loopback unless told), is alive while it loads, is sealed once nothing
more has to be opened, and ready only then. On SIGTERM it is no longer ready, answers all that it took, and ends; a
second signal ends it at once. Idle, it sleeps: nothing here wakes by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from hardtack.errors import Misused, Unable
from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.manager import ModelManager
from hardtack.serve.app import App
from hardtack.serve.auth import Keys
from hardtack.serve.limits import Limits
from hardtack.serve.logs import RequestLog, Style
from hardtack.serve.memory import few_arenas, few_primitives
from hardtack.serve.metrics import Gauge, Measures
from hardtack.serve.service import Service
from hardtack.serve.shelf import Offer, Shelf

LOOPBACK = "127.0.0.1"
PORT = 8080

_SWITCH = 0.0005
"""Seconds for which one thread may keep the interpreter from the others: by default ten times as long, in which a batch
that is ready would wait for the loop, and the engine for the batch."""

_LINGER_MOST = 10.0
"""Seconds after which open connections are no longer listened to, however many requests still come."""

Denied = Callable[[], Mapping[str, int]]
"""What was refused to this process so far: attempt → how often."""

Seal = Callable[[], Denied]
"""Takes the network away from this process, for good, and says how to ask what it tried since."""


@dataclass(frozen=True)
class Setup:
    """How a service runs.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        keys: API keys that are taken; none: everybody may ask.
        limits: what it takes on.
        lazy: load a model when it is first asked for.
        idle: seconds without work after which a lazy service lets go of a model; None: never.
        accept_token_ids: take token ids for text.
        log: how the lines look.
        linger: seconds without a request after which, on SIGTERM, open connections are no longer listened to: their
            requests may be on the way.
    """

    host: str = LOOPBACK
    port: int = PORT
    keys: frozenset[str] = field(default=frozenset(), repr=False)
    limits: Limits = field(default_factory=Limits)
    lazy: bool = False
    idle: float | None = None
    accept_token_ids: bool = False
    log: Style = Style.PLAIN
    linger: float = 0.5


def serve(
    offers: Sequence[Offer],
    manager: ModelManager,
    setup: Setup,
    *,
    seal: Seal | None = None,
    ready: Callable[[str], None] | None = None,
    write: Callable[[str], object] = sys.stderr.write,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        offers: the models there are.
        manager: loads them.
        setup: how.
        seal: called once all is loaded, or, where that is lazy, once it listens.
        ready: told the address once requests may come.
        write: takes the lines of the log.

    Raises:
        Misused: the address is none of this machine's.
        Unable: the port is taken, or not ours to take; or the server's own packages are not installed.
        HardtackError: a model cannot be loaded.
    """
    new_loop = _loop_factory()
    sys.setswitchinterval(_SWITCH)
    few_arenas(usable_cpus())
    few_primitives()
    with (
        contextlib.closing(_listen(setup.host, setup.port)) as listening,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(_serve(offers, manager, setup, listening, seal, ready, write))


async def _serve(
    offers: Sequence[Offer],
    manager: ModelManager,
    setup: Setup,
    listening: socket.socket,
    seal: Seal | None,
    ready: Callable[[str], None] | None,
    write: Callable[[str], object],
) -> None:
    measures = Measures()
    shelf = Shelf(offers, manager, limits=setup.limits, measures=measures, idle=setup.idle if setup.lazy else None)
    service = Service(
        shelf, setup.limits, measures, accept_token_ids=setup.accept_token_ids, lazy=setup.lazy, keys=bool(setup.keys)
    )
    app = App(service, Keys(setup.keys), RequestLog(setup.log, write))
    server, stop = _make_server(app, ceil(setup.limits.wait) + 20)
    url = _url(listening)

    async def start() -> None:
        try:
            if not setup.lazy:
                await shelf.load_all()
            if seal is not None:
                denied = seal()
                service.denied = denied
                measures.add(_denied_gauge(denied))
            gc.collect()
            gc.freeze()  # what is loaded stays: no collection need look at it again
            service.started = True
        except BaseException:
            stop()
            raise
        if ready is not None:
            ready(url)

    with _signals(service, app, server, stop, setup.linger):
        starting = asyncio.get_running_loop().create_task(start())
        try:
            await server.serve(sockets=[listening])
        finally:
            if not starting.done():
                starting.cancel()
            shelf.close()
            with contextlib.suppress(asyncio.CancelledError):
                await starting


def _make_server(app: App, patience: int) -> tuple[Any, Callable[[], None]]:
    """A uvicorn that waits for its end instead of looking for it ten times a second, and how to end it."""
    import uvicorn

    ended = asyncio.Event()

    class Server(uvicorn.Server):
        async def main_loop(self) -> None:
            await ended.wait()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # ours are set already, and an ending that was asked for is no death by signal

    config = uvicorn.Config(
        app,
        interface="asgi3",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=patience,
    )
    server = Server(config)

    def stop() -> None:
        server.should_exit = True
        ended.set()

    return server, stop


@contextlib.contextmanager
def _signals(service: Service, app: App, server: Any, stop: Callable[[], None], linger: float) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def end() -> None:
        if service.ending:
            server.force_exit = True
            stop()
            return
        service.ending = True
        app.last = True
        for listener in getattr(server, "servers", ()):
            listener.close()
        loop.call_later(linger, look, app.asked, loop.time() + _LINGER_MOST)

    def look(asked: int, last: float) -> None:
        # connections that are open may have a request on its way: they are answered, and told that it was the last
        if app.asked == asked or loop.time() > last:
            stop()
        else:
            loop.call_later(linger, look, app.asked, last)

    caught = (signal.SIGTERM, signal.SIGINT)
    for signum in caught:
        loop.add_signal_handler(signum, end)
    try:
        yield
    finally:
        for signum in caught:
            loop.remove_signal_handler(signum)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvicorn  # noqa: F401
        import uvloop
    except ImportError as problem:
        raise Unable(
            "the server's own packages are not installed", where=problem.name or "", expected="uvicorn and uvloop",
            found=str(problem), mend="pip install 'hardtack[serve]'",
        ) from problem  # fmt: skip
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, OverflowError) as problem:
        raise Misused(
            "this is no address to listen on", where=f"{host}:{port}", expected="an address of this machine",
            found=str(problem), mend="hardtack serve --host 127.0.0.1",
        ) from problem  # fmt: skip
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError as problem:
        made.close()
        raise Unable(
            "the service cannot listen there", where=f"{host}:{port}", expected="a free port of this machine",
            found=problem.strerror or str(problem), mend="hardtack serve --port 0",
        ) from problem  # fmt: skip
    return made


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _denied_gauge(denied: Denied) -> Gauge:
    def read() -> dict[tuple[str, ...], float]:
        return {(what,): float(count) for what, count in denied().items()}

    name = "hardtack_denied_network_attempts_total"
    return Gauge(name, "Attempts to reach a network that the kernel refused.", read, ("attempt",), kind="counter")
