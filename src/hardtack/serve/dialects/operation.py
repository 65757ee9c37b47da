"""What whoever runs the service asks: is it alive, is it ready, how is it doing, and what can it be asked."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from hardtack import __version__
from hardtack.serve import page
from hardtack.serve.dialects.tei import TEI
from hardtack.serve.exchange import Answer, Asked, Endpoint, answer_json
from hardtack.serve.metrics import CONTENT_TYPE, STARTED, resident_bytes
from hardtack.serve.refusals import Kind, Refusal

if TYPE_CHECKING:
    from hardtack.serve.service import Service


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


async def stats(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /stats``: what the page shows."""
    measures = service.measures
    requests = []
    for (path,), count in sorted(measures.requests.values.items()):
        if path not in _UNSHOWN:
            figures = {"p50": measures.duration.quantile(0.5, path), "p99": measures.duration.quantile(0.99, path)}
            answered = measures.success.values.get((path,), 0.0)
            under_way = count - measures.duration.count(path)
            requests.append(
                {"path": path, "count": int(count), "refused": int(count - answered - under_way), **figures}
            )
    return answer_json(
        {
            "version": __version__,
            "ready": service.ready,
            "keys": service.keys,
            "denied": None if service.denied is None else dict(service.denied()),
            "memory": resident_bytes(),
            "seconds": round(time.time() - STARTED, 1),
            "requests": requests,
            "models": service.about(),
        }
    )


async def show(service: Service, asked: Asked, name: str, media: str) -> Answer:  # noqa: ARG001 - a handler's
    """``GET /`` and the files of the page."""
    return Answer(page.read(name), media.encode(), headers=_PAGE_HEADERS)


_UNSHOWN = frozenset({"other", "/stats", *page.FILES})
_PAGE_HEADERS = (
    (b"content-security-policy", page.CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
ENDPOINTS = (
    Endpoint("GET", "/health", TEI, health, "Whether it is alive.", open=True),
    Endpoint("GET", "/ready", TEI, ready, "Whether every model is in memory and it takes requests.", open=True),
    Endpoint("GET", "/metrics", TEI, metrics, "Figures for Prometheus.", media="text/plain"),
    Endpoint("GET", "/stats", TEI, stats, "What the page shows, as JSON."),
    Endpoint("GET", "/openapi.json", TEI, openapi, "This description.", open=True),
    *(
        Endpoint("GET", path, TEI, partial(show, name=name, media=media), "The page.", open=True, shown=False)
        for path, (name, media) in page.FILES.items()
    ),
)
