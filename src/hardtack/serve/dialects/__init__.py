"""The dialects: every path there is, and which dialect says no where there is none."""

from __future__ import annotations

from hardtack.serve.dialects import classify, cohere, openai, operation, tei, tei_inspection
from hardtack.serve.exchange import Dialect, Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *openai.ENDPOINTS,
    *cohere.ENDPOINTS,
    *classify.ENDPOINTS,
    *tei.ENDPOINTS,
    *tei_inspection.ENDPOINTS,
    *operation.ENDPOINTS,
)


def dialect_at(path: str) -> Dialect:
    """The dialect that a path which is not there was meant in."""
    if path.startswith("/v2/") or path.endswith("/rerank"):
        return cohere.COHERE
    return openai.OPENAI if path.startswith("/v1/") else tei.TEI
