"""A registry in this process for tests: blobs and manifests in memory, with the ways in which registries say no.

``seen`` has every request; ``token`` makes it ask who asks; ``broken`` uploads end with a 500; ``refuse`` is the status
of every upload.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class FakeRegistry:
    """A context manager; ``host`` is what an image's name begins with."""

    def __init__(self, *, token: str = "", refuse: int = 0, broken: int = 0) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.seen: list[str] = []
        self.token, self.refuse, self.broken = token, refuse, broken
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def handle_any(self) -> None:
                registry.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def count(self, method: str) -> int:
        return sum(line.startswith(f"{method} ") for line in self.seen)

    def answer(self, ask: BaseHTTPRequestHandler) -> None:
        body = ask.rfile.read(int(ask.headers.get("content-length") or 0))
        url = urlsplit(ask.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.seen.append(f"{ask.command} {ask.path}")
        if url.path == "/token":
            good = ask.headers.get("authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
            self.say(ask, 200 if good else 401, json.dumps({"token": self.token}).encode() if good else b"")
            return
        if self.token and ask.headers.get("authorization") != f"Bearer {self.token}":
            realm = f'Bearer realm="http://{self.host}/token",service="here"'
            self.say(ask, 401, b"", {"www-authenticate": realm})
            return
        _, _, rest = url.path.partition("/v2/")
        name, _, what = rest.rpartition("/blobs/") if "/blobs/" in rest else rest.rpartition("/manifests/")
        if "/manifests/" in rest:
            self.answer_manifest(ask, name, what, body)
        elif ask.command == "POST":
            self.answer_post(ask, name, query)
        elif ask.command == "PUT":
            if self.broken:
                self.broken -= 1
                self.say(ask, 500, b"")
                return
            assert f"sha256:{hashlib.sha256(body).hexdigest()}" == query["digest"]
            self.blobs[name, query["digest"]] = body
            self.say(ask, 201, b"")
        else:
            self.say(ask, 200 if (name, what) in self.blobs else 404, self.blobs.get((name, what), b""))

    def answer_manifest(self, ask: BaseHTTPRequestHandler, name: str, what: str, body: bytes) -> None:
        if ask.command == "PUT":
            self.manifests[name, what] = self.manifests[name, f"sha256:{hashlib.sha256(body).hexdigest()}"] = body
            self.say(ask, 201, b"")
            return
        found = self.manifests.get((name, what))
        missing = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}).encode()
        self.say(ask, 200 if found else 404, found or missing)

    def answer_post(self, ask: BaseHTTPRequestHandler, name: str, query: dict[str, str]) -> None:
        if self.refuse:
            self.say(ask, self.refuse, json.dumps({"errors": [{"code": "DENIED", "message": "not you"}]}).encode())
        elif "mount" in query and (query["from"], query["mount"]) in self.blobs:
            self.blobs[name, query["mount"]] = self.blobs[query["from"], query["mount"]]
            self.say(ask, 201, b"")
        else:
            self.say(ask, 202, b"", {"location": f"/v2/{name}/blobs/uploads/1?state=x"})

    @staticmethod
    def say(ask: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        ask.send_response(status)
        for key, value in (headers or {}).items():
            ask.send_header(key, value)
        ask.send_header("content-length", str(len(body)))
        ask.end_headers()
        if ask.command != "HEAD":
            ask.wfile.write(body)
