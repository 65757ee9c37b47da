"""One line a request, for people or for machines, with the request's id. No text that anybody sent is in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Write = Callable[[str], object]


class Style(StrEnum):
    """How lines look."""

    PLAIN = "plain"
    JSON = "json"
    OFF = "off"


@dataclass(frozen=True)
class Line:
    """What became of one request."""

    id: str
    client: str
    method: str
    path: str
    status: int
    seconds: float
    model: str


class RequestLog:
    """Writes the lines.

    Args:
        style: how they look.
        write: takes a line, with its end.
        clock: since the epoch.
    """

    def __init__(self, style: Style, write: Write, clock: Callable[[], float] = time.time) -> None:
        self._style = style
        self._write = write
        self._clock = clock

    @property
    def on(self) -> bool:
        """Whether anything is written."""
        return self._style is not Style.OFF

    def request(self, line: Line) -> None:
        """Write one."""
        if self._style is Style.OFF:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
        if self._style is Style.JSON:
            fields = {"time": stamp, "level": "info", "id": line.id, "client": line.client, "method": line.method}
            fields |= {"path": line.path, "model": line.model}
            text = json.dumps({**fields, "status": line.status, "ms": round(line.seconds * 1000, 2)})
        else:
            # what a client wrote must not steer a terminal: the path is its ASCII form
            path = line.path.encode("unicode_escape").decode("ascii")
            text = f"{stamp} {line.id} {line.client} {line.method} {path} {line.status} {line.seconds * 1000:.1f}ms"
        self._write(text + "\n")

    def failure(self, request: str, trace: str) -> None:
        """Write what our own fault was, whatever the style: nobody else will hear of it."""
        if self._style is Style.JSON:
            self._write(json.dumps({"level": "error", "id": request, "trace": trace}) + "\n")
        else:
            self._write(f"error in request {request}\n{trace}\n")
