"""Cohere's and Jina's rerank: their two forms of answer in one, since the fields do not contradict each other.

https://docs.cohere.com/reference/rerank, https://jina.ai/reranker
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hardtack.serve.dialects.openai import STATUSES
from hardtack.serve.exchange import Answer, Asked, Dialect, Endpoint, answer_json, texts_of
from hardtack.serve.fields import ANYTHING, FLAG, TEXT, Field, Shape, many, refuse, whole
from hardtack.serve.refusals import Kind, Refusal

if TYPE_CHECKING:
    from hardtack.serve.service import Service


def _form(refusal: Refusal, status: int, request: str) -> Mapping[str, Any]:  # noqa: ARG001 - a dialect's form
    return {"id": request, "message": refusal.what}


COHERE = Dialect("cohere", {**STATUSES, Kind.INVALID: 422, Kind.WRONG_TASK: 422}, _form)


def _read_document(value: Any, name: str) -> str | dict[str, Any]:
    if not isinstance(value, str | dict):
        refuse(f"`{name}` must be a string or an object", name)
    return value


_DOCUMENT = Shape({"anyOf": [{"type": "string"}, {"type": "object"}]}, _read_document)
RERANK = (
    Field("query", TEXT, "What is looked for.", required=True),
    Field("documents", many(_DOCUMENT, "documents"), "Texts, or objects that have a text.", required=True),
    Field("model", TEXT, "A key, a repository or its last part; the only reranker where it is not said."),
    Field("top_n", whole(1), "Only so many, the best."),
    Field("return_documents", FLAG, "Whether each result has its document.", default=False),
    Field("rank_fields", many(TEXT, "names"), "Where objects have their text; `text` where it is not said."),
    Field("max_chunks_per_doc", ANYTHING, "Passed over: a document is cut to the model's length."),
    Field("max_tokens_per_doc", ANYTHING, "Passed over, likewise."),
)


async def rerank(service: Service, asked: Asked, version: str) -> Answer:
    """``POST /v1/rerank`` and ``/v2/rerank``."""
    values = asked.values
    documents = values["documents"]
    fields = values["rank_fields"] or ["text"]
    texts = [_text(document, fields, number) for number, document in enumerate(documents)]
    texts_of(texts, service.limits.texts, "documents")
    which = values["model"] or asked.model
    made = await service.score(which, [(values["query"], text) for text in texts])
    scores = made.scores[:, 0]
    order = np.argsort(-scores, kind="stable")[: values["top_n"]].tolist()
    results: list[dict[str, Any]] = []
    for number in order:
        result: dict[str, Any] = {"index": number, "relevance_score": float(scores[number])}
        if values["return_documents"]:
            document = documents[number]
            result["document"] = {"text": document} if isinstance(document, str) else document
        results.append(result)
    return answer_json(
        {
            "id": asked.id,
            "object": "list",
            "model": which or made.model.key,
            "results": results,
            "usage": {"total_tokens": made.tokens},
            "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
        }
    )


def _text(document: str | dict[str, Any], fields: list[str], number: int) -> str:
    if isinstance(document, str):
        return document
    texts = [value for field in fields if isinstance(value := document.get(field), str)]
    if not texts:
        where = f"documents[{number}]"
        refuse(f"`{where}` has no text under {' or '.join(fields)}; `rank_fields` says where it is", where)
    return "\n".join(texts)


ENDPOINTS = tuple(
    Endpoint("POST", f"/v{version}/rerank", COHERE, partial(rerank, version=version), f"Sort documents: {who}.", RERANK)
    for version, who in (("1", "Cohere's version 1, Jina's"), ("2", "Cohere's version 2"))
)
