"""The service as an ASGI application: reads a request, finds its endpoint, sends the answer, measures and logs it.

Plain ASGI with a table of paths: at a millisecond an answer, a framework's layers would cost as much as the model.
What can be asked is in :mod:`.dialects`; what is done about it, in :mod:`.pipeline`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import orjson

from hardtack.errors import HardtackError
from hardtack.serve.auth import Keys
from hardtack.serve.dialects import ENDPOINTS, dialect_at
from hardtack.serve.exchange import Answer, Asked, Dialect, Endpoint
from hardtack.serve.fields import read_body
from hardtack.serve.logs import Line, RequestLog
from hardtack.serve.pipeline import Service
from hardtack.serve.refusals import Kind, Refusal, refusal_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_MODELS = "/models/"
_PATIENCE = 0.05  # seconds after which we look whether the client is still there: most answers are out by then
_LEFT = 499  # as nginx logs a client that left


class ClientLeft(Exception):
    """Nobody is there to answer."""


@dataclass(slots=True)
class _Call:
    """One request on its way."""

    id: str
    method: str
    path: str
    endpoint: Endpoint | None
    dialect: Dialect
    model: str | None
    headers: dict[bytes, bytes]


class App:
    """The application.

    Args:
        service: answers.
        keys: who may ask.
        log: hears of every request.
        endpoints: instead of those of the dialects.
    """

    def __init__(
        self, service: Service, keys: Keys, log: RequestLog, endpoints: Iterable[Endpoint] = ENDPOINTS
    ) -> None:
        self._service = service
        self._keys = keys
        self._log = log
        self._paths: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            self._paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self._date = (0, b"")
        self.asked = 0
        """How many requests came."""
        self.last = False
        """Whether every answer is its connection's last: the service is ending."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        began = time.perf_counter()
        self.asked += 1
        call = self._call(scope)
        measures = self._service.measures
        shown = call.endpoint.path if call.endpoint else "other"
        measures.requests.add(shown)
        try:
            answer = await self._answer(call, receive)
        except ClientLeft:
            measures.left.add()
            answer = None
        if answer is not None:
            await self._send(answer, call, send)
            if answer.refused is None:
                measures.success.add(shown)
            else:
                measures.failure.add(answer.refused.value)
        seconds = time.perf_counter() - began
        status = _LEFT if answer is None else answer.status
        measures.duration.see(seconds, shown)
        measures.http.add(call.method if call.endpoint else "other", shown, str(status))
        if self._log.on:
            client = scope.get("client")
            model = self._service.shelf.key_of(call.model) if call.model else ""
            self._log.request(
                Line(call.id, client[0] if client else "-", call.method, call.path, status, seconds, model)
            )

    def _call(self, scope: Message) -> _Call:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request = given.decode() if _ID.fullmatch(given) else f"{self._prefix}-{next(self._numbers):x}"
        path: str = scope["path"]
        model, rest = None, path
        if path.startswith(_MODELS):
            # a client of one model, as those of text-embeddings-inference are, is pointed at /models/KEY
            model, _, rest = path.removeprefix(_MODELS).partition("/")
            rest = "/" + rest
        elif query := scope["query_string"]:
            model = parse_qs(query.decode("latin-1")).get("model", [None])[0]
        methods = self._paths.get(rest)
        method: str = scope["method"]
        endpoint = methods.get("GET" if method == "HEAD" else method) if methods else None
        dialect = (
            endpoint.dialect if endpoint else next(iter(methods.values())).dialect if methods else dialect_at(rest)
        )
        return _Call(request, method, path if model is None else rest, endpoint, dialect, model, headers)

    async def _answer(self, call: _Call, receive: Receive) -> Answer:
        try:
            endpoint = call.endpoint
            self._check_key(call)
            if endpoint is None:
                return self._nowhere(call)
            asked = Asked({}, call.model, call.id)
            if endpoint.fields:
                body = await self._body(call, receive)
                asked = Asked(read_body(endpoint.fields, body), call.model, call.id, body)
                call.model = asked.values.get("model") or call.model
            handling = endpoint.handle(self._service, asked)
            return await (_watched(handling, receive) if endpoint.fields else handling)
        except Refusal as refusal:
            return call.dialect.refuse(refusal, call.id)
        except HardtackError as problem:
            return call.dialect.refuse(refusal_of(problem), call.id)
        except ClientLeft:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is ours, and the service goes on
            self._log.failure(call.id, traceback.format_exc())
            return call.dialect.refuse(
                Refusal(Kind.FAILED, f"this is our fault; the log has it under {call.id}"), call.id
            )

    def _check_key(self, call: _Call) -> None:
        if call.endpoint is not None and call.endpoint.open:
            return
        if not self._keys.allow(call.headers.get(b"authorization", b""), call.headers.get(b"x-api-key", b"")):
            raise Refusal(Kind.UNAUTHORIZED, "this service wants a key: Authorization: Bearer …, or X-API-Key: …")

    def _nowhere(self, call: _Call) -> Answer:
        """The answer where no endpoint is."""
        methods = self._paths.get(call.path)
        if methods is None:
            return call.dialect.refuse(Refusal(Kind.NO_SUCH_PATH, f"there is nothing at {call.path[:200]}"), call.id)
        allowed = ", ".join(methods)
        refused = call.dialect.refuse(Refusal(Kind.WRONG_METHOD, f"{call.path} takes {allowed}"), call.id)
        return Answer(
            refused.body, status=refused.status, headers=((b"allow", allowed.encode()),), refused=refused.refused
        )

    async def _body(self, call: _Call, receive: Receive) -> Any:
        """The body, as JSON has it."""
        # also what keeps a page of another site from using a reader's own service: a browser asks before it sends JSON
        if b"json" not in call.headers.get(b"content-type", b""):
            raise Refusal(Kind.MEDIA_TYPE, "the body must be JSON, with Content-Type: application/json")
        limit = self._service.limits.body
        length = call.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise Refusal(Kind.TOO_LARGE, f"the body has {int(length)} bytes; one request may have {limit}")
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body"):
            body = await self._rest(body, receive, limit)
        elif message["type"] == "http.disconnect":
            raise ClientLeft
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as problem:
            raise Refusal(Kind.INVALID, f"the body is not JSON: {problem}") from None

    async def _rest(self, first: bytes, receive: Receive, limit: int) -> bytes:
        pieces, size = [first], len(first)
        try:
            async with asyncio.timeout(self._service.limits.receive):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > limit:
                        raise Refusal(Kind.TOO_LARGE, f"the body is too long; one request may have {limit} bytes")
                    if not message.get("more_body"):
                        return b"".join(pieces)
        except TimeoutError:
            raise Refusal(Kind.TOO_SLOW, "the body did not arrive in time") from None

    async def _send(self, answer: Answer, call: _Call, send: Send) -> None:
        headers = [
            (b"content-type", answer.media),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", call.id.encode()),
            (b"date", self._now()),
            *answer.headers,
        ]
        if self.last or answer.status == 408:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _now(self) -> bytes:
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


async def _watched(handling: Awaitable[Answer], receive: Receive) -> Answer:
    """Wait for an answer; where it takes long and the client leaves meanwhile, give up what has not begun.

    Raises:
        ClientLeft: it left.
    """
    ours = asyncio.current_task()
    assert ours is not None
    loop = ours.get_loop()
    watch: asyncio.Task[None] | None = None
    left = False

    async def until_gone() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        ours.cancel()

    def begin() -> None:
        nonlocal watch
        watch = loop.create_task(until_gone())

    timer = loop.call_later(_PATIENCE, begin)
    try:
        return await handling
    except asyncio.CancelledError:
        if not left:
            raise
        ours.uncancel()
        raise ClientLeft from None
    finally:
        timer.cancel()
        if watch is not None:
            watch.cancel()
