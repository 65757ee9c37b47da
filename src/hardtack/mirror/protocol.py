"""The Hub's protocol, read only: from what is served and a request to a response, with no socket in between.

The table :data:`ROUTES` is the whole of it. What is answered follows what huggingface_hub 1.31 to 2.4, transformers 5
and the Rust hf-hub ask for and read back. Refused on purpose: every write, redirects (files are answered with 200 or
206 at once), compression, datasets and spaces, and Xet (none of its headers or fields is sent, so clients stay off it).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from hardtack.mirror import describe, page, problems
from hardtack.mirror.content import Content, Repo, Revision
from hardtack.mirror.messages import Request, Response, Slice, Unsatisfiable, byte_range, is_on
from hardtack.mirror.paging import paged


@dataclass(frozen=True)
class Rules:
    """How a mirror answers: only to those who show ``token``, if there is one; lists in pages of ``page_size``.

    ``gated_only`` asks for the token only where a repository is gated or private.
    """

    token: str | None = None
    gated_only: bool = False
    page_size: int = 1000


@dataclass(frozen=True)
class Call:
    """A request at its route: ``parts`` are the decoded pieces of the path; ``trusted`` means it showed the token."""

    content: Content
    request: Request
    rules: Rules
    trusted: bool
    parts: Mapping[str, str]


Answer = Callable[[Call], Response]


class Route(NamedTuple):
    """A method, a pattern for the still encoded path, and what answers it."""

    method: str
    pattern: re.Pattern[str]
    answer: Answer


def answer(content: Content, request: Request, rules: Rules = Rules()) -> Response:
    """The response to a request. HEAD is GET without its body."""
    trusted = rules.token is not None and _shows(request, rules.token)
    if rules.token is not None and not trusted and not rules.gated_only:
        return _without_body(request, problems.unauthorized(request))
    method = "GET" if request.method == "HEAD" else request.method
    matches = [(route, match) for route in ROUTES if (match := route.pattern.fullmatch(request.path))]
    for route, match in matches:
        if route.method == method:
            parts = {name: unquote(part) for name, part in match.groupdict().items() if part is not None}
            return _without_body(request, route.answer(Call(content, request, rules, trusted, parts)))
    if matches or method != "GET":
        posted = matches and all(route.method == "POST" for route, _ in matches)
        allowed = ("Allow", "POST" if posted else "GET, HEAD")
        return _without_body(request, problems.problem(405, "This mirror is read only.", allowed))
    return _without_body(request, problems.problem(404, "This mirror has no such page."))


def _shows(request: Request, token: str) -> bool:
    scheme, _, shown = (request.header("authorization") or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())


def _without_body(request: Request, response: Response) -> Response:
    return replace(response, body=b"") if request.method == "HEAD" else response


def _with_repo(inner: Callable[[Call, Repo], Response]) -> Answer:
    def found(call: Call) -> Response:
        repo = call.content.find(call.parts["repo"])
        if repo is None or (repo.private and not call.trusted):
            return problems.repo_not_found()
        return inner(call, repo)

    return found


def _with_revision(inner: Callable[[Call, Repo, Revision], Response]) -> Answer:
    def found(call: Call, repo: Repo) -> Response:
        revision = repo.find(call.parts.get("revision", "main"))
        if revision is None:
            return problems.revision_not_found()
        return inner(call, repo, revision)

    return _with_repo(found)


@_with_revision
def _model(call: Call, repo: Repo, revision: Revision) -> Response:
    flag = call.request.flag
    info = describe.model(repo, revision, blobs=flag("blobs"), security=flag("securityStatus"))
    return Response.json(describe.expanded(info, _expand(call.request)))


def _expand(request: Request) -> list[str]:
    """The fields that are asked for, in both ways of writing a list."""
    return [*request.values("expand"), *request.values("expand[]")]


@_with_revision
def _tree(call: Call, repo: Repo, revision: Revision) -> Response:
    folder = call.parts.get("path", "")
    if folder not in revision.folders:
        return problems.entry_not_found(revision)
    entries = revision.below(folder, recursive=call.request.flag("recursive"))
    last = (repo, revision) if call.request.flag("expand") else None
    return paged(call.request, call.rules.page_size, [(each.path, describe.entry(each, last)) for each in entries])


@_with_revision
def _paths_info(call: Call, repo: Repo, revision: Revision) -> Response:
    paths, expand = _asked_paths(call.request)
    entries = (revision.entry(path.strip("/")) for path in dict.fromkeys(paths))
    last = (repo, revision) if expand else None
    return Response.json([describe.entry(each, last) for each in entries if each is not None])


def _asked_paths(request: Request) -> tuple[list[str], bool]:
    """Paths and ``expand`` from a form, as huggingface_hub posts them, or from JSON, as huggingface.js does."""
    if not (request.header("content-type") or "").startswith("application/json"):
        form = parse_qs(request.body.decode(errors="replace"))
        return form.get("paths", []), is_on(form.get("expand", [""])[-1])
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        return [], False
    if not isinstance(asked, dict):
        return [], False
    paths = asked.get("paths")
    return [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else [], asked.get(
        "expand"
    ) is True


@_with_repo
def _refs(call: Call, repo: Repo) -> Response:
    return Response.json(describe.refs(repo, pull_requests=is_on(call.request.value("include_prs"))))


@_with_revision
def _commits(_call: Call, repo: Repo, revision: Revision) -> Response:
    return Response.json(describe.commits(repo, revision))


@_with_repo
def _auth_check(call: Call, repo: Repo) -> Response:
    return problems.gated() if repo.gated and not call.trusted else Response.json({})


@_with_revision
def _resolve(call: Call, repo: Repo, revision: Revision) -> Response:
    if repo.gated and not call.trusted:
        return problems.gated()
    file = revision.files.get(call.parts["path"])
    if file is None:
        return problems.entry_not_found(revision)
    etag = f'"{file.etag}"'
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "bytes"),
        ("X-Repo-Commit", revision.commit),
        ("ETag", etag),
    ]
    if file.lfs:
        headers += [("X-Linked-Etag", etag), ("X-Linked-Size", str(file.size))]
    try:
        span = byte_range(_asked_range(call.request, etag), file.size)
    except Unsatisfiable:
        outside = ("Content-Range", f"bytes */{file.size}")
        return problems.problem(416, "Not one of these bytes is there.", *headers[1:], outside)
    first, last = span if span else (0, file.size - 1)
    length = last - first + 1
    headers.append(("Content-Length", str(length)))
    if span:
        headers.append(("Content-Range", f"bytes {first}-{last}/{file.size}"))
    return Response(
        206 if span else 200, tuple(headers), Slice(file.source, first, length, file.size, file.modified_ns)
    )


def _asked_range(request: Request, etag: str) -> str | None:
    # RFC 9110 gives Range a meaning for GET alone; and If-Range with anything but this very etag asks for the whole.
    if request.method != "GET" or request.header("if-range") not in (None, etag):
        return None
    return request.header("range")


def _models(call: Call) -> Response:
    request = call.request
    search, author, tags = request.value("search"), request.value("author"), {*request.values("filter")}
    task = request.value("pipeline_tag")
    expand = _expand(request)
    detailed = any(request.flag(name) for name in ("full", "cardData", "config")) or bool(expand)
    items: list[tuple[str, Any]] = []
    for repo in _sorted(call.content, request):
        revision = repo.find("main")
        if (
            revision is not None
            and (call.trusted or not repo.private)
            and (search or "").lower() in repo.id.lower()
            and author in (None, repo.author)
            and task in (None, revision.card.pipeline_tag)
            and tags <= {*revision.card.tags}
        ):
            info = (describe.model if detailed else describe.summary)(repo, revision)
            items.append((repo.id, describe.expanded(info, expand)))
    return paged(call.request, call.rules.page_size, items)


def _sorted(content: Content, request: Request) -> list[Repo]:
    """By id; or by date, the newest first, which is the one order of the Hub's that a mirror knows."""
    repos = list(content.repos.values())
    if request.value("sort") == "lastModified":
        repos.sort(key=lambda repo: max(each.modified for each in repo.revisions.values()),
                   reverse=request.value("direction") != "1")  # fmt: skip
    return repos


def _whoami(call: Call) -> Response:
    if not call.trusted:
        return problems.problem(401, "This mirror knows no users.")
    token = {"displayName": "mirror", "role": "read"}
    user = {"type": "user", "id": "mirror", "name": "mirror", "fullname": "hardtack mirror", "orgs": []}
    return Response.json(user | {"auth": {"type": "access_token", "accessToken": token}})


def _agent_harnesses(_call: Call) -> Response:
    # huggingface_hub keeps this for a day; while it is answered with an error, every command asks again.
    return Response.json({"standardEnvVars": [], "harnesses": {}})


def _page(call: Call) -> Response:
    repos = [repo for repo in call.content.repos.values() if call.trusted or not repo.private]
    text = page.render(repos, call.request.base, wants_token=call.rules.token is not None)
    return Response.of(200, text.encode(), "text/html; charset=utf-8", ("Content-Security-Policy", page.POLICY))


def _route(method: str, pattern: str, inner: Answer) -> Route:
    pieces = {
        # The shorter id first: in /name/resolve/main/x/resolve/y the repository is "name".
        "<repo>": r"(?P<repo>[^/]+(?:/[^/]+)??)",
        # Quoted it is one segment; unquoted refs are taken too, since the Hub takes them.
        "<revision>": r"(?P<revision>refs/(?:pr|convert|heads|tags)/[^/]+|[^/]+)",
        "<path>": r"(?P<path>.+?)",
    }
    for name, piece in pieces.items():
        pattern = pattern.replace(name, piece)
    return Route(method, re.compile(pattern, re.DOTALL), inner)


ROUTES: tuple[Route, ...] = (
    _route("GET", r"/", _page),
    _route("GET", r"/api/models/?", _models),
    _route("GET", r"/api/whoami-v2", _whoami),
    _route("GET", r"/api/agent-harnesses", _agent_harnesses),
    _route("GET", r"/(?:api/)?(?:datasets|spaces)/.*", lambda _: problems.repo_not_found()),
    _route("GET", r"/(?:api/models/)?<repo>/resolve/<revision>/<path>", _resolve),
    _route("GET", r"/api/models/<repo>/revision/<revision>", _model),
    _route("GET", r"/api/models/<repo>/tree/<revision>(?:/<path>)?/?", _tree),
    _route("POST", r"/api/models/<repo>/paths-info/<revision>", _paths_info),
    _route("GET", r"/api/models/<repo>/refs", _refs),
    _route("GET", r"/api/models/<repo>/commits/<revision>", _commits),
    _route("GET", r"/api/models/<repo>/auth-check", _auth_check),
    _route("GET", r"/api/models/<repo>", _model),
)
