"""OpenAI's embeddings and models, as its own client and everything built on it ask for them.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hardtack.serve.exchange import Answer, Asked, Dialect, Endpoint, answer_json, join_json, texts_of, to_json
from hardtack.serve.fields import TEXT, TEXTS, Field, either, is_list, is_text, list_of, many, whole, word
from hardtack.serve.refusals import Kind, Refusal

if TYPE_CHECKING:
    from hardtack.serve.service import Service

STATUSES: Mapping[Kind, int] = {
    Kind.INVALID: 400,
    Kind.TOO_LARGE: 413,
    Kind.MEDIA_TYPE: 415,
    Kind.UNAUTHORIZED: 401,
    Kind.NO_SUCH_PATH: 404,
    Kind.WRONG_METHOD: 405,
    Kind.NO_SUCH_MODEL: 404,
    Kind.WRONG_TASK: 400,
    Kind.OVERLOADED: 429,
    Kind.TOO_SLOW: 408,
    Kind.NOT_READY: 503,
    Kind.FAILED: 500,
}
_TYPES: Mapping[Kind, str] = {
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.OVERLOADED: "rate_limit_error",
    Kind.NOT_READY: "server_error",
    Kind.FAILED: "server_error",
}
_CODES: Mapping[Kind, str] = {
    Kind.UNAUTHORIZED: "invalid_api_key",
    Kind.NO_SUCH_MODEL: "model_not_found",
    Kind.OVERLOADED: "rate_limit_exceeded",
}


def _form(refusal: Refusal, status: int, request: str) -> Mapping[str, Any]:  # noqa: ARG001 - a dialect's form
    kind = _TYPES.get(refusal.kind, "invalid_request_error")
    return {"error": {"message": refusal.what, "type": kind, "param": refusal.param, "code": _CODES.get(refusal.kind)}}


OPENAI = Dialect("openai", STATUSES, _form)

_ID = whole(0)
_IDS = many(_ID, "token ids")
_INPUT = either(
    "a string, a list of strings, or token ids",
    TEXTS,
    _IDS,
    many(_IDS, "lists of token ids"),
    TEXTS,
    fits=(lambda value: is_text(value) or list_of(str)(value), list_of(int), list_of(list), is_list),
)
EMBEDDINGS = (
    Field("input", _INPUT, "One text or several; token ids where the service takes them.", required=True),
    Field("model", TEXT, "A key, a repository or its last part; the only embedder where it is not said."),
    Field("encoding_format", word("float", "base64"), "Numbers, or base64 of float32.", default="float"),
    Field("dimensions", whole(1), "Numbers of a vector, where the model was trained to be cut."),
    Field("user", TEXT, "Passed over."),
)


async def embeddings(service: Service, asked: Asked) -> Answer:
    """``POST /v1/embeddings``."""
    values = asked.values
    given, which = values["input"], values["model"] or asked.model
    texts: list[str] = []
    ids: list[list[int]] | None = None
    if isinstance(given, list) and not isinstance(given[0], str):
        if not service.accept_token_ids:
            raise Refusal(
                Kind.INVALID,
                "`input` is token ids, of a tokenizer that need not be this model's: send the text itself "
                "(langchain: OpenAIEmbeddings(…, check_embedding_ctx_length=False)), or start the service with "
                "--accept-token-ids",
                param="input",
            )
        ids = [given] if isinstance(given[0], int) else given
        if len(ids) > service.limits.texts:
            raise Refusal(Kind.TOO_LARGE, f"one request may have {service.limits.texts} inputs", param="input")
    else:
        texts = texts_of(given, service.limits.texts, "input")
    made = await service.embed(which, texts, ids=ids, dimensions=values["dimensions"])
    if values["encoding_format"] == "base64":
        rows: Any = [base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode() for row in made.vectors]
    else:
        rows = made.vectors
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
    parts = ({"object": "embedding", "index": number, "embedding": row} for number, row in enumerate(rows))
    after = b'],"model":' + to_json(which or made.model.key) + b',"usage":' + to_json(usage) + b"}"
    return Answer(await join_json(b'{"object":"list","data":[', parts, made.model.dim, after))


async def models(service: Service, asked: Asked) -> Answer:  # noqa: ARG001 - a handler's arguments
    """``GET /v1/models``."""
    data = [
        {"id": slot.offer.key, "object": "model", "created": 0, "owned_by": slot.offer.repo or "local"}
        | {"task": slot.offer.task.value, "repo": slot.offer.repo, "commit": slot.offer.commit}
        | {"loaded": slot.shelved is not None}
        for slot in service.shelf.slots.values()
    ]
    return answer_json({"object": "list", "data": data})


ENDPOINTS = (
    Endpoint("POST", "/v1/embeddings", OPENAI, embeddings, "Vectors of texts, as OpenAI has it.", EMBEDDINGS),
    Endpoint("GET", "/v1/models", OPENAI, models, "The models there are, as OpenAI has it."),
)
