"""A service in a process of its own, and a plain way to ask it; for tests."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_READY = re.compile(r"serving .* on (http://\S+), ready after")


@dataclass(frozen=True)
class Said:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Serving:
    """``hardtack serve ARGUMENTS`` while this is a context; ready when it is entered."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self.command = [sys.executable, "-W", "error", "-m", "hardtack", "serve", *arguments, "--port", "0"]
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        self._environment = kept | {"HOME": str(cwd), "HF_HOME": str(cwd / "hf")} | environment
        self._cwd = cwd
        self.lines: list[str] = []
        self.url = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command, cwd=self._cwd, env=self._environment, stderr=subprocess.PIPE, text=True
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(ready,))
        self._reader.start()
        ready.wait(60)
        if not self.url:
            self.process.kill()
            self.__exit__(None, None, None)
            raise AssertionError("".join(self.lines))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """One request on a connection of its own; a body that is not bytes is sent as JSON."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body, **headers)
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Said:
        return self.ask("POST", path, body, **headers)

    def get(self, path: str, **headers: str) -> Said:
        return self.ask("GET", path, **headers)

    def connect(self) -> http.client.HTTPConnection:
        where = urlsplit(self.url)
        assert where.hostname
        return http.client.HTTPConnection(where.hostname, where.port, timeout=30)

    def metric(self, line: str) -> float:
        """The figure of one line of /metrics, 0 where it is not there."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics").body.decode(), re.M)
        return float(found[1]) if found else 0.0

    def _read(self, ready: threading.Event) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := _READY.search(line):
                self.url = found[1]
                ready.set()
        ready.set()  # it ended before it was


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> Said:
    """One request on a connection that is open."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent = {"Content-Type": "application/json"} | sent
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, data, sent)
    response = connection.getresponse()
    return Said(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
