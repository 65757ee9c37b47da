"""One request and its answer, as the dialects see them, and what an endpoint is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from hardtack.serve.fields import Field
from hardtack.serve.refusals import Kind, Refusal

if TYPE_CHECKING:
    from hardtack.serve.service import Service

JSON = b"application/json"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
_AT_ONCE = 65536  # numbers that are written before the loop is let on


@dataclass(frozen=True)
class Asked:
    """A request, read.

    Attributes:
        values: of the endpoint's fields.
        model: the model that the path names, or None.
        id: the request's id.
        body: as it came; empty where there is none.
    """

    values: Mapping[str, Any]
    model: str | None
    id: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A response.

    Attributes:
        body: whole.
        media: its type.
        status: of HTTP.
        headers: besides those that every response has.
        refused: why, where it is a refusal.
    """

    body: bytes
    media: bytes = JSON
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    refused: Kind | None = None


Handler = Callable[["Service", Asked], Awaitable[Answer]]


@dataclass(frozen=True)
class Dialect:
    """How a family of clients is spoken to when the answer is no.

    Attributes:
        name: of the dialect.
        statuses: of HTTP, for each kind of refusal.
        form: the body of a refusal: (refusal, status, request's id).
    """

    name: str
    statuses: Mapping[Kind, int]
    form: Callable[[Refusal, int, str], Mapping[str, Any]]

    def refuse(self, refusal: Refusal, request: str) -> Answer:
        """The response to a request that is refused."""
        status = self.statuses[refusal.kind]
        headers: list[tuple[bytes, bytes]] = []
        if refusal.retry_after is not None:
            headers.append((b"retry-after", b"%d" % refusal.retry_after))
        if refusal.kind is Kind.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        body = to_json(self.form(refusal, status, request))
        return Answer(body, status=status, headers=tuple(headers), refused=refusal.kind)


@dataclass(frozen=True)
class Endpoint:
    """A path and what answers there.

    Attributes:
        method: ``GET`` or ``POST``.
        path: whole.
        dialect: how it says no.
        handle: answers.
        about: one line.
        fields: of the body, for POST.
        open: whether it asks for no key.
        media: types that it answers with.
        shown: whether the OpenAPI page has it.
    """

    method: str
    path: str
    dialect: Dialect
    handle: Handler
    about: str
    fields: Sequence[Field] = field(default=())
    open: bool = False
    media: str = "application/json"
    shown: bool = True


def to_json(value: Any) -> bytes:
    """JSON; arrays of numpy are written as they lie in memory, with no list in between."""
    return orjson.dumps(value, option=_OPTIONS)


def answer_json(value: Any) -> Answer:
    """A response of some JSON."""
    return Answer(to_json(value))


async def join_json(before: bytes, parts: Iterable[Any], numbers: int, after: bytes) -> bytes:
    """``before``, the parts as JSON with commas between, ``after``; the loop is let on now and then.

    Args:
        before: what the list begins with, bracket and all.
        parts: of the list.
        numbers: how many floats each part has, about.
        after: what the list ends with.
    """
    step = max(1, _AT_ONCE // max(1, numbers))
    pieces: list[bytes] = []
    written = []
    for part in parts:
        written.append(part)
        if len(written) == step:
            pieces.append(orjson.dumps(written, option=_OPTIONS)[1:-1])
            written = []
            await asyncio.sleep(0)
    if written:
        pieces.append(orjson.dumps(written, option=_OPTIONS)[1:-1])
    return before + b",".join(pieces) + after


def texts_of(value: str | list[str], limit: int, name: str) -> list[str]:
    """One text or several as a list, no longer than may be.

    Raises:
        Refusal: there are too many.
    """
    texts = [value] if isinstance(value, str) else value
    if len(texts) > limit:
        raise Refusal(Kind.TOO_LARGE, f"`{name}` has {len(texts)} texts; one request may have {limit}", param=name)
    return texts
