"""A Hub for tests: the real mirror, on loopback, with faults put between its protocol and its socket.

    with FixtureHub(Served("org/tiny", lay_out(tmp_path / "tiny", {"config.json": "{}"}))) as hub:
        hub.truncate("model.safetensors", keep=100, times=1)
        run_a_client(endpoint=hub.url)
        assert hub.count("GET", "model.safetensors") == 2

A fault has a *where*: a file's path in its repository, or a pattern with ``*`` for the whole decoded path of the
address (``*/tree/*``). It holds ``times`` requests long, or until the hub ends. Faults lie over each other in the order
they were added. Faults in bytes concern GET alone, so that a client gets as far as the bytes.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from hardtack.mirror import Content, MirrorServer, Served
from hardtack.mirror.git import blob_id, lfs_pointer
from hardtack.mirror.messages import Request, Response, Slice
from hardtack.mirror.scan import File
from hardtack.spec.digest import hash_bytes

Change = Callable[[Request, Response], Response]

HOSTILE_CONTENT = b"this must never reach a disk\n"


def lay_out(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, which is returned."""
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


def client_environment(url: str, home: Path) -> dict[str, str]:
    """The environment for a client in a process of its own: this Hub, a home of its own, and nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


@dataclass(frozen=True)
class Seen:
    """A request that was answered; ``path`` is decoded and without its query, ``target`` as it was sent."""

    method: str
    target: str
    status: int

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])


@dataclass
class Stall:
    """A body that stops in the middle: ``reached`` is set there; it goes on once ``release`` is set."""

    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Fault:
    where: str
    change: Change
    methods: tuple[str, ...]
    left: int | None

    def concerns(self, request: Request) -> bool:
        return request.method in self.methods and _is_at(unquote(request.path), self.where)


class FixtureHub:
    """A mirror with faults; a context manager. ``seen`` has every request so far, in the order of the answers."""

    def __init__(self, *served: Served, token: str | None = None, page_size: int = 1000) -> None:
        self.content = Content.gather(served)
        self.seen: list[Seen] = []
        self._faults: list[_Fault] = []
        self._stalls: list[Stall] = []
        self._guard = threading.Lock()
        self._server = MirrorServer(
            self.content, token=token, page_size=page_size, on_request=self._note, transform=self._transform
        )

    @property
    def url(self) -> str:
        """What a client needs as HF_ENDPOINT."""
        return self._server.url

    def commit(self, repo: str, revision: str = "main") -> str:
        """The commit that a revision names here."""
        found = self.content.repos[repo].find(revision)
        assert found is not None
        return found.commit

    def count(self, method: str | None = None, where: str = "*") -> int:
        """How many requests there were, of this method and at this place."""
        return sum(method in (None, each.method) and _is_at(each.path, where) for each in list(self.seen))

    def forget(self) -> None:
        """Count from zero again."""
        self.seen.clear()

    def heal(self) -> None:
        """Take all faults away."""
        with self._guard:
            self._faults.clear()

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stall in self._stalls:
            stall.release.set()
        self._server.__exit__(kind, error, trace)

    # Faults.

    def fault(
        self, where: str, change: Change, *, methods: tuple[str, ...] = ("GET",), times: int | None = None
    ) -> None:
        """Any fault: ``change`` gets the request and the true response, and gives another."""
        with self._guard:
            self._faults.append(_Fault(where, change, methods, times))

    def wrong_bytes(self, where: str, *, times: int | None = None) -> None:
        """The right number of bytes, none of them right."""
        self.fault(where, lambda _, true: replace(true, body=bytes(255 - b for b in content_of(true))), times=times)

    def truncate(self, where: str, *, keep: int, times: int | None = None) -> None:
        """Only the first ``keep`` bytes of what Content-Length promises, then an ordinary end of the connection."""
        self.fault(where, lambda _, true: replace(true, body=iter([content_of(true)[:keep]])), times=times)

    def reset(self, where: str, *, after: int, times: int | None = None) -> None:
        """The connection is reset after ``after`` bytes; a client may have seen fewer."""

        def broken(body: bytes) -> Iterator[bytes]:
            yield body[:after]
            raise ConnectionResetError

        self.fault(where, lambda _, true: replace(true, body=broken(content_of(true))), times=times)

    def stall(self, where: str, *, after: int, times: int | None = None) -> Stall:
        """Nothing comes after ``after`` bytes until the test lets it; the end of the hub lets it too."""
        stall = Stall()
        self._stalls.append(stall)

        def halting(body: bytes) -> Iterator[bytes]:
            yield body[:after]
            stall.reached.set()
            stall.release.wait()
            yield body[after:]

        self.fault(where, lambda _, true: replace(true, body=halting(content_of(true))), times=times)
        return stall

    def lfs_pointer(self, where: str) -> None:
        """A repository that was copied without git-LFS: the pointer's text where the file should be."""

        def pointed(request: Request, true: Response) -> Response:
            if true.status not in (200, 206):
                return true
            file = self._file(unquote(request.path))
            pointer = lfs_pointer(file.sha256, file.size)
            bare = true.without_header("X-Linked-Etag").without_header("X-Linked-Size").without_header("Content-Range")
            headers = (("Content-Length", str(len(pointer))), ("ETag", f'"{blob_id(pointer)}"'))
            return _for(request, replace(bare.with_headers(*headers), status=200, body=pointer))

        self.fault(where, pointed, methods=("GET", "HEAD"))

    def busy(self, where: str, *, times: int, retry_after: int = 0) -> None:
        """429 with Retry-After, so many times."""
        answer = Response.json({"error": "Too many requests"}, ("Retry-After", str(retry_after)), status=429)
        self.fault(where, lambda request, _: _for(request, answer), methods=("GET", "HEAD"), times=times)

    def broken(self, where: str, *, times: int | None, status: int = 503) -> None:
        """A server error, so many times."""
        answer = Response.json({"error": "broken"}, status=status)
        self.fault(where, lambda request, _: _for(request, answer), methods=("GET", "HEAD"), times=times)

    def without_header(self, where: str, name: str) -> None:
        """A proxy that drops a header."""
        self.fault(where, lambda _, true: true.without_header(name), methods=("GET", "HEAD"))

    def without_commit(self, where: str = "*/resolve/*") -> None:
        """A proxy that drops X-Repo-Commit: https://github.com/huggingface/huggingface_hub/issues/1796."""
        self.without_header(where, "X-Repo-Commit")

    def hostile_names(self, *names: str, lfs: bool = False) -> None:
        """Lists that also hold files of these names, and bytes for them that match what the lists say."""
        hashes = hash_bytes(HOSTILE_CONTENT)
        large = {"size": hashes.size, "pointerSize": len(lfs_pointer(hashes.sha256, hashes.size))}
        entry: dict[str, Any] = {"type": "file", "oid": hashes.git, "size": hashes.size}
        sibling: dict[str, Any] = {"blobId": hashes.git, "size": hashes.size}
        if lfs:
            entry["lfs"], sibling["lfs"] = large | {"oid": hashes.sha256}, large | {"sha256": hashes.sha256}

        def listed(_: Request, true: Response) -> Response:
            if true.status != 200:
                return true
            data = json.loads(content_of(true))
            if isinstance(data, list):
                data += [entry | {"path": name} for name in names]
            else:
                data["siblings"] += [sibling | {"rfilename": name} for name in names]
            return _with_json(true, data)

        def served(request: Request, true: Response) -> Response:
            path = unquote(request.path)
            if "/resolve/" not in path or not any(path.endswith(f"/{name}") for name in names):
                return true
            etag = hashes.sha256 if lfs else hashes.git
            commit = next(iter(next(iter(self.content.repos.values())).revisions))
            given = Response.of(200, HOSTILE_CONTENT, "application/octet-stream", ("ETag", f'"{etag}"'))
            return _for(request, given.with_headers(("X-Repo-Commit", true.header("X-Repo-Commit") or commit)))

        self.fault("/api/models/*", lambda r, t: listed(r, t) if _lists(r) else t)
        self.fault("*", served, methods=("GET", "HEAD"))

    def _file(self, path: str) -> File:
        repo, _, rest = path.strip("/").removeprefix("api/models/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        found = self.content.repos[repo].find(revision)
        assert found is not None
        return found.files[name]

    def _note(self, method: str, target: str, status: int) -> None:
        self.seen.append(Seen(method, target, status))

    def _transform(self, request: Request, response: Response) -> Response:
        with self._guard:
            met = [each for each in self._faults if each.concerns(request) and each.left != 0]
            for each in met:
                each.left = each.left and each.left - 1
        for each in met:
            response = each.change(request, response)
        return response


def content_of(response: Response) -> bytes:
    """The body in memory."""
    if isinstance(response.body, bytes):
        return response.body
    if isinstance(response.body, Slice):
        part = response.body
        return part.source.read_bytes()[part.offset : part.offset + part.length]
    return b"".join(response.body)


def _is_at(path: str, where: str) -> bool:
    return fnmatchcase(path, where) if "*" in where else path.endswith(f"/{where}")


def _lists(request: Request) -> bool:
    rest = request.path.removeprefix("/api/models/")
    return not any(f"/{word}" in rest for word in ("resolve/", "refs", "commits/", "auth-check"))


def _for(request: Request, response: Response) -> Response:
    return replace(response, body=b"") if request.method == "HEAD" else response


def _with_json(response: Response, data: Any) -> Response:
    body = json.dumps(data).encode()
    return replace(response.with_headers(("Content-Length", str(len(body)))), body=body)
