"""A request and its response as values: what :mod:`~hardtack.mirror.protocol` computes and the server carries.

Nothing here knows sockets, repositories or the Hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

_RANGE = re.compile(r"bytes=(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))")


@dataclass(frozen=True)
class Request:
    """One request.

    ``path`` is still percent-encoded, since an encoded slash does not separate. ``headers`` are by lower-case name.
    ``base`` is the scheme and host that the client used, for links that must be absolute.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    base: str = "http://localhost"

    def header(self, name: str) -> str | None:
        """A header by its lower-case name."""
        return (self.headers or {}).get(name)

    def values(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return parse_qs(self.query).get(name, [])

    def value(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.values(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        """Whether a query parameter is on: clients write ``true``, ``True`` or ``1``."""
        return is_on(self.value(name))


def is_on(word: str | None) -> bool:
    """How clients write true."""
    return (word or "").lower() in ("true", "1")


@dataclass(frozen=True)
class Slice:
    """``length`` bytes from ``offset`` of a file that is still ``size`` bytes, unchanged since ``modified_ns``."""

    source: Path
    offset: int
    length: int
    size: int
    modified_ns: int


# The last is for those who stand between protocol and server. Its pieces are sent as they come; a piece that cannot be
# made (an OSError) breaks the connection off.
Body = bytes | Slice | Iterable[bytes]


@dataclass(frozen=True)
class Response:
    """One response; ``headers`` say Content-Length, also where the method is HEAD and ``body`` empty."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = b""

    @classmethod
    def of(cls, status: int, body: bytes, content_type: str, *headers: tuple[str, str]) -> Response:
        """A response with its body in memory."""
        return cls(status, (("Content-Type", content_type), ("Content-Length", str(len(body))), *headers), body)

    @classmethod
    def json(cls, data: Any, *headers: tuple[str, str], status: int = 200) -> Response:
        """A response in JSON."""
        return cls.of(status, json.dumps(data).encode(), "application/json; charset=utf-8", *headers)

    def header(self, name: str) -> str | None:
        """A header by name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_headers(self, *headers: tuple[str, str]) -> Response:
        """The same response, these headers in place of those of the same names."""
        names = {name.lower() for name, _ in headers}
        return replace(self, headers=(*(item for item in self.headers if item[0].lower() not in names), *headers))

    def without_header(self, name: str) -> Response:
        """The same response without this header."""
        return replace(self, headers=tuple(item for item in self.headers if item[0].lower() != name.lower()))


class Unsatisfiable(Exception):
    """The range lies wholly outside the content."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes that a ``Range`` header asks for, of content of ``size`` bytes (RFC 9110, section 14).

    Args:
        header: the header's value: ``bytes=0-99``, ``bytes=100-`` or ``bytes=-100``.
        size: the size of the whole in bytes.

    Returns:
        First and last position, both included. None: the whole, for no header, or one that a server may ignore because
        it is malformed or asks for several ranges.

    Raises:
        Unsatisfiable: not one of the bytes asked for is there.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        if int(suffix) == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - int(suffix)), size - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return int(first), min(int(last), size - 1) if last else size - 1
