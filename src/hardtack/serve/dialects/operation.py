"""What whoever runs the service asks: is it alive, is it ready, how is it doing, and what can it be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardtack.serve.dialects.tei import TEI
from hardtack.serve.exchange import Answer, Asked, Endpoint, answer_json
from hardtack.serve.metrics import CONTENT_TYPE
from hardtack.serve.refusals import Kind, Refusal

if TYPE_CHECKING:
    from hardtack.serve.pipeline import Service


async def health(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /health``: alive, which is all that an answer can say."""
    return answer_json({"status": "ok"})


async def ready(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /ready``: whether requests should be sent here."""
    if not service.ready:
        raise Refusal(Kind.NOT_READY, service.why_not_ready, retry_after=1)
    return answer_json({"status": "ready"})


async def metrics(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /metrics``."""
    return Answer(service.measures.text().encode(), CONTENT_TYPE.encode())


async def openapi(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /openapi.json``."""
    from hardtack.serve.dialects import ENDPOINTS
    from hardtack.serve.openapi import describe

    return answer_json(describe(ENDPOINTS))


ENDPOINTS = (
    Endpoint("GET", "/health", TEI, health, "Whether it is alive.", open=True),
    Endpoint("GET", "/ready", TEI, ready, "Whether every model is in memory and it takes requests.", open=True),
    Endpoint("GET", "/metrics", TEI, metrics, "Figures for Prometheus.", media="text/plain"),
    Endpoint("GET", "/openapi.json", TEI, openapi, "This description.", open=True),
)
