"""The application by itself: no socket, no model, handlers of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hardtack.serve.app import App
from hardtack.serve.auth import Keys
from hardtack.serve.dialects.openai import OPENAI
from hardtack.serve.exchange import Answer, Asked, Endpoint, answer_json
from hardtack.serve.fields import TEXT, Field
from hardtack.serve.limits import Limits
from hardtack.serve.logs import RequestLog, Style
from hardtack.serve.metrics import Measures
from hardtack.serve.service import Service

Handle = Callable[[Any, Asked], Awaitable[Answer]]
BODY = b'{"text": "x"}'


class Client:
    """One application, asked without a socket."""

    def __init__(self, handle: Handle, *, keys: tuple[str, ...] = (), style: Style = Style.OFF) -> None:
        endpoints = (
            Endpoint("POST", "/do", OPENAI, handle, "Do.", (Field("text", TEXT, "A text.", required=True),)),
            Endpoint("GET", "/open", OPENAI, handle, "Look.", open=True),
        )
        self.written: list[str] = []
        self.measures = Measures()
        service = cast("Service", SimpleNamespace(measures=self.measures, limits=Limits(body=100, receive=0.05)))
        log = RequestLog(style, self.written.append, clock=lambda: 0.0)
        self.app = App(service, Keys(keys), log, endpoints)
        self.sent: list[Any] = []
        self.messages: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(self, method: str, path: str, *pieces: bytes, whole: bool = True, **headers: str) -> int:
        """The status; 0 where no answer was sent."""
        self.sent.clear()
        for number, piece in enumerate(pieces):
            more = not whole or number + 1 < len(pieces)
            self.messages.put_nowait({"type": "http.request", "body": piece, "more_body": more})
        names = {"content-type": "application/json"} | {name.replace("_", "-"): each for name, each in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), each.encode()) for name, each in names.items()],
        }

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self.app(scope, self.messages.get, send)
        return self.sent[0]["status"] if self.sent else 0

    @property
    def json(self) -> Any:
        return json.loads(self.sent[1]["body"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def echo(_: Any, asked: Asked) -> Answer:
    return answer_json(dict(asked.values))


def test_a_body_may_come_in_pieces() -> None:
    async def main() -> None:
        client = Client(echo)
        assert await client.ask("POST", "/do", BODY[:4], BODY[4:]) == 200
        assert client.json == {"text": "x"}

    asyncio.run(main())


def test_a_body_that_does_not_come_to_its_end() -> None:
    async def main() -> None:
        client = Client(echo)
        assert await client.ask("POST", "/do", BODY[:4], whole=False) == 408
        assert client.headers[b"connection"] == b"close"

    asyncio.run(main())


@pytest.mark.parametrize("said", ["101", "not said"])
def test_a_body_that_is_too_long(said: str) -> None:
    async def main() -> None:
        client = Client(echo)
        assert await client.ask("POST", "/do", b" " * 60, b" " * 60, content_length=said) == 413

    asyncio.run(main())


def test_a_client_that_leaves_while_it_sends() -> None:
    async def main() -> None:
        client = Client(echo)
        client.messages.put_nowait({"type": "http.disconnect"})
        assert await client.ask("POST", "/do") == 0
        assert client.measures.left.values[()] == 1

    asyncio.run(main())


def test_a_client_that_leaves_while_it_waits_stops_the_work() -> None:
    stopped = []

    async def forever(_: Any, asked: Asked) -> Answer:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(asked.id)
            raise
        raise AssertionError("not reached")

    async def main() -> None:
        client = Client(forever, style=Style.PLAIN)
        asking = asyncio.create_task(client.ask("POST", "/do", BODY, x_request_id="left"))
        await asyncio.sleep(0.01)
        client.messages.put_nowait({"type": "http.disconnect"})
        assert await asyncio.wait_for(asking, 10) == 0
        assert stopped == ["left"]
        assert client.measures.left.values[()] == 1
        assert client.written[0].split()[-2] == "499"

    asyncio.run(main())


def test_our_own_fault_is_a_500_with_an_id_and_a_trace_in_the_log() -> None:
    async def broken(_: Any, asked: Asked) -> Answer:
        raise ZeroDivisionError("secret")

    async def main() -> None:
        client = Client(broken)
        assert await client.ask("POST", "/do", BODY, x_request_id="req-7") == 500
        assert "req-7" in client.json["error"]["message"]
        assert "secret" not in json.dumps(client.json)
        assert "req-7" in client.written[0]
        assert "ZeroDivisionError: secret" in client.written[0]

    asyncio.run(main())


def test_a_key_is_asked_for_before_anything_is_told() -> None:
    async def main() -> None:
        client = Client(echo, keys=("key",))
        for method, path in (("POST", "/do"), ("GET", "/do"), ("GET", "/nothing")):
            assert await client.ask(method, path) == 401
            assert client.headers[b"www-authenticate"] == b"Bearer"
        assert await client.ask("GET", "/open") == 200
        assert await client.ask("POST", "/do", BODY, authorization="Bearer key") == 200
        assert await client.ask("POST", "/do", BODY, x_api_key="key") == 200
        assert await client.ask("GET", "/nothing", x_api_key="key") == 404

    asyncio.run(main())


def test_an_ending_service_closes_its_connections() -> None:
    async def main() -> None:
        client = Client(echo)
        await client.ask("GET", "/open")
        assert b"connection" not in client.headers
        client.app.last = True
        await client.ask("GET", "/open")
        assert client.headers[b"connection"] == b"close"

    asyncio.run(main())


@pytest.mark.parametrize("style", [Style.PLAIN, Style.JSON])
def test_a_line_of_the_log_is_one_line(style: Style) -> None:
    async def main() -> None:
        client = Client(echo, style=style)
        await client.ask("GET", "/a\n\x1b[31mb\u2028")
        assert client.written[0].endswith("\n")
        assert "\x1b" not in client.written[0]
        assert len(client.written[0].splitlines()) == 1
        if style is Style.JSON:
            assert json.loads(client.written[0])["status"] == 404

    asyncio.run(main())
