"""A container registry over its HTTP API v2: blobs and manifests, out and in.

Only what baking needs, with the standard library alone. Proxies and ``SSL_CERT_FILE`` are Python's own affair; plain
http is spoken with loopback alone, and credentials go to nobody but the registry and the token service it names.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPException
from io import RawIOBase
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from hardtack.bake.reference import Reference, is_loopback
from hardtack.bake.registry_auth import Challenge, Credentials, docker_credentials
from hardtack.errors import AccessDenied, HubUnreachable, Misused, Unable

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
_CHUNK = 1 << 20
_TRIES = 3
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
Body = tuple[Callable[[], Iterable[bytes]], int]


class Registry:
    """One repository of a registry.

    Args:
        reference: names it.
        credentials: for a host, or None; by default those that `docker login` left.
        timeout: seconds of silence.
        pause: waits between two attempts.
    """

    def __init__(
        self, reference: Reference, *, credentials: Callable[[str], Credentials | None] = docker_credentials,
        timeout: float = 60, pause: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.reference = reference
        self._credentials = credentials(reference.host)
        self._timeout = timeout
        self._pause = pause
        self._tokens: dict[str, str] = {}
        self._opener = urllib.request.build_opener(_Redirects)

    def manifest(self, name: str) -> bytes:
        """A manifest by tag or digest."""
        with self._ask("GET", f"manifests/{name}", {"accept": MANIFESTS}) as answer:
            data: bytes = answer.read()
            return data

    def blob(self, digest: str) -> Iterator[bytes]:
        """The bytes of a blob, as they come and unchecked."""
        with self._ask("GET", f"blobs/{digest}", {}) as answer:
            try:
                while data := answer.read(_CHUNK):
                    yield data
            except (OSError, HTTPException) as problem:
                raise self._silent(f"blobs/{digest}", problem) from problem

    def has(self, digest: str) -> bool:
        """Whether it has a blob."""
        try:
            with self._ask("HEAD", f"blobs/{digest}", {}):
                return True
        except _NotThere:
            return False

    def push(self, digest: str, size: int, chunks: Callable[[], Iterable[bytes]], sources: Iterable[str] = ()) -> bool:
        """See that a blob is there; whether its bytes had to be sent.

        Args:
            digest: of the blob.
            size: in bytes.
            chunks: gives its bytes, anew for every attempt.
            sources: repositories of this registry that have it, perhaps; it is mounted from there.
        """
        if self.has(digest):
            return False
        where = ""
        for source in sources:
            with self._ask("POST", f"blobs/uploads/?{urlencode({'mount': digest, 'from': source})}", {}) as answer:
                if answer.status == 201:
                    return False
                where = answer.headers["location"]
        for last in (False, False, True):
            if not where:
                with self._ask("POST", "blobs/uploads/", {}) as answer:
                    where = answer.headers["location"]
            url = urljoin(f"{self.reference.origin}/v2/{self.reference.name}/", where)
            url += ("&" if "?" in url else "?") + urlencode({"digest": digest})
            try:
                with self._ask("PUT", url, {"content-type": "application/octet-stream"}, (chunks, size)):
                    return True
            except HubUnreachable:
                if last:
                    raise
                where = ""  # an upload that broke off is begun anew
        raise AssertionError("the last attempt returns or raises")

    def put_manifest(self, name: str, data: bytes, media: str) -> None:
        """Write a manifest under a tag or its digest."""
        with self._ask("PUT", f"manifests/{name}", {"content-type": media}, (lambda: [data], len(data))):
            pass

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: Body | None = None) -> Any:
        url = path if "://" in path else f"{self.reference.origin}/v2/{self.reference.name}/{path}"
        ours = urlsplit(url).netloc == urlsplit(self.reference.origin).netloc
        scope = f"repository:{self.reference.name}:{'pull' if method in ('GET', 'HEAD') else 'pull,push'}"
        challenged = False
        for attempt in range(1, 10):
            request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310  http is loopback
            if body is not None:
                request.data = _Stream(body[0]())
                request.add_header("content-length", str(body[1]))
            elif method == "POST":
                request.add_header("content-length", "0")
            if ours and scope in self._tokens:
                request.add_unredirected_header("authorization", self._tokens[scope])
            try:
                return self._opener.open(request, timeout=self._timeout)
            except urllib.error.HTTPError as problem:
                with problem:
                    if problem.code == 401 and ours and not challenged:
                        challenged = True
                        self._tokens[scope] = self._authorize(problem.headers.get("www-authenticate", ""), scope)
                        continue
                    if problem.code in _PASSING and attempt < _TRIES and body is None:
                        self._pause(_patience(problem.headers.get("retry-after"), attempt))
                        continue
                    raise self._refused(problem, path) from problem
            except (OSError, HTTPException) as problem:
                if attempt < _TRIES and body is None:
                    self._pause(_patience(None, attempt))
                    continue
                raise self._silent(path, problem) from problem
        raise AssertionError("every attempt returns, goes on or raises")

    def _authorize(self, header: str, scope: str) -> str:
        challenge = Challenge.parse(header)
        if challenge.scheme == "basic" and self._credentials:
            return self._credentials.basic
        realm = challenge.parameters.get("realm", "")
        parts = urlsplit(realm)
        if challenge.scheme != "bearer" or not (parts.scheme == "https" or is_loopback(parts.netloc)):
            raise AccessDenied(
                "the registry wants to know who asks", where=str(self.reference), expected="credentials for it",
                found=header or "no hint how", mend=f"docker login {self.reference.host}",
            )  # fmt: skip
        asked = {"service": challenge.parameters.get("service", ""), "scope": scope}
        request = urllib.request.Request(f"{realm}?{urlencode({k: v for k, v in asked.items() if v})}")  # noqa: S310
        if self._credentials:
            request.add_unredirected_header("authorization", self._credentials.basic)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                said = json.loads(answer.read())
            return f"Bearer {said.get('token') or said['access_token']}"
        except urllib.error.HTTPError as problem:
            with problem:
                raise self._refused(problem, realm) from problem
        except (OSError, HTTPException, ValueError, KeyError) as problem:
            raise self._silent(realm, problem) from problem

    def _refused(self, problem: urllib.error.HTTPError, path: str) -> Unable | Misused:
        where = f"{self.reference}: {path.partition('?')[0]}"
        found = f"{problem.code} {_said(problem)}".strip()
        if problem.code in (401, 403):
            return AccessDenied(
                "the registry refused", where=where, expected="leave to do that", found=found,
                mend=f"docker login {self.reference.host}",
            )  # fmt: skip
        if problem.code == 404:
            return _NotThere(
                "the registry has no such image", where=where, expected="a manifest or blob", found=found,
                mend=f"skopeo list-tags docker://{self.reference.host}/{self.reference.name}",
            )  # fmt: skip
        return HubUnreachable(
            "the registry did not do what was asked", where=where, expected="its HTTP API v2", found=found,
            mend=f"curl -i {self.reference.origin}/v2/",
        )  # fmt: skip

    def _silent(self, path: str, problem: Exception) -> HubUnreachable:
        reason = getattr(problem, "reason", None) or problem
        return HubUnreachable(
            "the registry did not answer", where=f"{self.reference}: {path.partition('?')[0]}",
            expected=f"an answer within {self._timeout:g} s", found=str(reason),
            mend=f"curl -i {self.reference.origin}/v2/",
        )  # fmt: skip


class _NotThere(Misused):
    """404: what was asked for is not there."""


class _Stream(RawIOBase):
    """Chunks as something that ``http.client`` reads."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002  whoever sends takes what there is
        return next(self._chunks, b"")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Blobs may lie elsewhere; the way there never leads from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:  # fmt: skip
        there = urlsplit(newurl)
        if there.scheme != "https" and not is_loopback(there.netloc):
            raise urllib.error.HTTPError(newurl, code, "a redirect to plain http", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _patience(after: str | None, attempt: int) -> float:
    return min(float(after), 30.0) if after and after.isdigit() else 0.5 * 2**attempt


def _said(problem: urllib.error.HTTPError) -> str:
    """The registry's own words, if it has any."""
    try:
        rows = json.loads(problem.read(1 << 16))["errors"]
        return "; ".join(f"{row.get('code', '')}: {row.get('message', '')}" for row in rows)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return str(problem.reason)
