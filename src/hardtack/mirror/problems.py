"""What may go wrong, as the Hub says it: a status, a code and a message.

Codes are those of huggingface_hub's ``hf_raise_for_status``. Over plain http a client does not guess what a 401 means,
so the code is always sent. Nothing of the request is repeated in a header.
"""

from __future__ import annotations

from hardtack.mirror.content import Revision
from hardtack.mirror.messages import Request, Response


def problem(status: int, message: str, *headers: tuple[str, str], code: str | None = None) -> Response:
    """An error of any kind."""
    named = (("X-Error-Code", code),) if code else ()
    return Response.json({"error": message}, ("X-Error-Message", message), *named, *headers, status=status)


def unauthorized(request: Request) -> Response:
    """The token is wrong, or was not shown."""
    challenge = ("WWW-Authenticate", 'Bearer realm="hardtack mirror"')
    if request.header("authorization") is None:
        return problem(401, "This mirror wants a token.", challenge, code="RepoNotFound")
    return problem(401, "Invalid credentials in Authorization header", challenge)


def repo_not_found() -> Response:
    """No such repository, as far as the one who asks may know."""
    return problem(404, "Repository not found", code="RepoNotFound")


def revision_not_found() -> Response:
    """No such branch, tag or commit."""
    return problem(404, "Revision not found", code="RevisionNotFound")


def entry_not_found(revision: Revision) -> Response:
    """No such file; the commit lets a client remember that: huggingface_hub writes ``.no_exist/<commit>/<path>``."""
    return problem(404, "Entry not found", ("X-Repo-Commit", revision.commit), code="EntryNotFound")


def gated() -> Response:
    """The repository may be looked at, its files only be had with the token."""
    return problem(403, "This repository is gated; the mirror's token opens it.", code="GatedRepo")
