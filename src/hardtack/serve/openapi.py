"""The OpenAPI page, written from the endpoints: what is checked and what is published are one description.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hardtack import __version__
from hardtack.serve.exchange import Endpoint
from hardtack.serve.fields import body_schema
from hardtack.serve.refusals import Kind

_ALWAYS = (Kind.WRONG_METHOD, Kind.FAILED, Kind.OVERLOADED, Kind.NOT_READY, Kind.NO_SUCH_MODEL, Kind.WRONG_TASK)
_POST = (Kind.INVALID, Kind.TOO_LARGE, Kind.MEDIA_TYPE, Kind.TOO_SLOW)


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole page."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.shown:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hardtack serve",
            "version": __version__,
            "description": "Embedding, reranking and classifying, in the dialects that clients already speak.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    kinds: Sequence[Kind] = (
        _ALWAYS + (_POST if endpoint.fields else ()) + (() if endpoint.open else (Kind.UNAUTHORIZED,))
    )
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": {endpoint.media: {"schema": {}}}}}
    for kind in kinds:
        status = str(endpoint.dialect.statuses[kind])
        said = responses.get(status, {}).get("description")
        description = f"{said} Or: {kind.value}." if said else f"{kind.value.capitalize()}."
        responses[status] = {
            "description": description,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{endpoint.path.strip('/').replace('/', '_') or 'root'}",
        "summary": endpoint.about,
        "tags": [endpoint.dialect.name],
        "responses": responses,
    }
    if endpoint.fields:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body_schema(endpoint.fields)}},
        }
    if not endpoint.open:
        operation["security"] = [{}, {"bearer": []}, {"key": []}]
    return operation
