"""Long lists in pages, as the Hub gives them: each names the next in a ``Link`` header, which clients follow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from hardtack.mirror.messages import Request, Response

_NUMBER = re.compile("[0-9]{1,9}")


def paged(request: Request, most: int, items: Sequence[tuple[str, Any]]) -> Response:
    """A page of items.

    The cursor is the last key that was given, so a page needs no memory; and since what is served does not change, a
    cursor that is no key was not given by this mirror, and nothing follows it.

    Args:
        request: says ``limit`` and ``cursor``.
        most: the most items of a page, whatever the limit.
        items: keys, which are distinct, and what is given.
    """
    asked, cursor = request.value("limit"), request.value("cursor")
    size = max(1, min(int(asked), most)) if asked and _NUMBER.fullmatch(asked) else most
    keys = [key for key, _ in items]
    start = 0 if cursor is None else keys.index(cursor) + 1 if cursor in keys else len(keys)
    body = [item for _, item in items[start : start + size]]
    if start + size >= len(items):
        return Response.json(body)
    kept = [(name, value) for name, value in parse_qsl(request.query) if name != "cursor"]
    query = urlencode([*kept, ("cursor", keys[start + size - 1])])
    path = quote(request.path, safe="/%")
    return Response.json(body, ("Link", f'<{request.base}{path}?{query}>; rel="next"'))
